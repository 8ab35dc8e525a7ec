// Blocks that are resident together, and the schedule of their threads.
#pragma once

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "simt/config.hpp"
#include "simt/executor/state.hpp"

namespace simt {

/// The threads that can run, and the rule by which one is chosen.
class ReadyQueue {
 public:
  ReadyQueue(Order order, std::uint64_t seed) : order_(order), random_(seed) {}

  void push(CudaThread* thread);
  CudaThread* pop();  // null if no thread can run
  /// Lower than every priority so far. (A random one starves others: threads that spin draw until theirs is
  /// low.)
  std::uint64_t lowest_priority() { return --lowest_; }
  std::uint64_t random() { return random_(); }
  Order order() const { return order_; }
  bool randomised() const { return order_ == Order::random || order_ == Order::priority; }

 private:
  Order order_;
  std::mt19937_64 random_;
  std::uint64_t lowest_ = 1ull << 32;  // the priorities at the start are higher, but for a few
  std::deque<CudaThread*> threads_;    // a queue, a bag or a heap, depending on the order
};

class Group {
 public:
  Group(const Launch& what, std::uint64_t seed) : launch(what), ready(config().order, seed) {}

  void add_cluster(unsigned number);

  /// Runs all threads to their end. `error` then has the message of a failure, or is empty.
  void run();

  void make_ready(CudaThread* thread);
  void thread_exits(CudaThread* thread);
  void fail(const std::string& what);
  Barrier& barrier_of(Scope scope, CudaThread* thread);
  unsigned exited(Scope scope, const CudaThread* thread) const;
  unsigned expected(Scope scope, const CudaThread* thread) const;
  void release(Barrier& barrier);
  void finish_warp_call_if_complete(Block& block, unsigned warp, CudaThread* some_caller);

  const Launch& launch;
  ReadyQueue ready;
  std::vector<std::unique_ptr<Cluster>> clusters;
  std::vector<std::unique_ptr<Block>> blocks;
  Barrier grid_barrier;
  unsigned live = 0, total = 0;
  std::uint64_t idle = 0;  // steps since a thread passed a barrier, finished a warp call or exited
  std::string error;
  Stats stats;
  Context home;                      // of the scheduler itself
  char launch_tag = 0, end_tag = 0;  // for TSan: the host before, the host after

 private:
  void add_block(Cluster& cluster, uint3 index);
  void start_all();
  void resume(CudaThread* thread);
  void clean_up();
  std::string deadlock() const;
};

/// The group whose threads run on this OS thread; null outside a launch.
extern constinit thread_local Group* current_group;

/// Ends the launch from inside a CUDA thread, with a message.
[[noreturn]] void stop_kernel(const std::string& what);

/// Goes back to the scheduler until this thread is chosen again.
void wait_for_turn();

/// Lets an asynchronous copy happen.
void land(const AsyncCopy& copy);

/// Whether the next asynchronous copy or store lands when it begins. The threads share the dice, which is no
/// race of theirs.
bool lands_at_once();

/// Fails the launch if stores are on their way to a block that exits.
void check_no_transactions(const Block& block);

}  // namespace simt
