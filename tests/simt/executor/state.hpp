// The state of the CUDA threads, blocks and clusters that the executor runs.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simt/executor/calls.hpp"
#include "simt/executor/fiber.hpp"
#include "simt/executor/launch.hpp"

namespace simt {

using device::Location;
using device::Scope;
using device::WarpCall;

struct Block;
struct CudaThread;

struct Barrier {
  std::vector<CudaThread*> waiting;
  unsigned arrived = 0;
  std::uint64_t generation = 0;  // how often it was passed
  Location where;                // of the first to arrive
  int votes = 0, last_votes = 0;
  char tags[2];  // for TSan, by parity of the generation: a late leaver must not see what the next round
                 // releases
};

struct AsyncStore {
  void* to;
  float value;
};

/// A transaction barrier of a block.
struct Transactions {
  unsigned arrivals = 0, pending = 0;  // of a phase, and those that its present phase lacks
  std::int64_t bytes = 0;              // announced by arrivals, less those that stores have brought
  std::uint64_t phase = 0;
  std::vector<AsyncStore> stores;  // which land when the phase ends
  std::vector<CudaThread*> waiting;
  char tags[2];  // for TSan, by parity of the phase
};

struct AsyncCopy {
  void* to;
  const void* from;
  std::size_t bytes, zeros;
};

enum class State { ready, at_barrier, in_warp_call, done };  // at_barrier: a transaction barrier too

struct CudaThread {
  uint3 index{}, block_index{};
  Block* block = nullptr;
  unsigned linear = 0;  // its number in the block
  std::uint64_t priority = 0;

  State state = State::ready;
  Location where;          // it waits there
  const char* doing = "";  // it waits in this
  WarpCall* call = nullptr;
  std::uint64_t cluster_generation = 0;  // of the cluster's barrier at barrier_arrive

  std::vector<AsyncCopy> open_copies;
  std::deque<std::vector<AsyncCopy>> committed_copies;
  Context context;

  unsigned lane() const { return linear % 32; }
  unsigned warp() const { return linear / 32; }
};

struct Cluster {
  std::vector<Block*> blocks;
  Barrier barrier;
  unsigned threads = 0, exited = 0;
};

/// Shared memory: from the heap, so that AddressSanitizer guards its ends; filled with 0xff, which reads as
/// NaN in every floating format. Dead memory (of a block that has exited) is kept, poisoned, until the launch
/// ends.
class SharedMemory {
 public:
  SharedMemory(const void* key, std::size_t bytes, std::size_t alignment);
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&&) = delete;
  ~SharedMemory();

  const void* key() const { return key_; }
  char* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  bool contains(const void* p) const { return p >= data_ && p < data_ + bytes_; }
  void kill();

 private:
  const void* key_;  // which variable it is; null for the dynamic one
  std::size_t bytes_;
  char* data_ = nullptr;
};

struct Block {
  unsigned number = 0, number_in_cluster = 0;
  Cluster* cluster = nullptr;
  std::vector<std::unique_ptr<CudaThread>> threads;
  unsigned live = 0;
  std::vector<unsigned> alive, parked;  // per warp, one bit per lane: not exited; waiting in a warp call
  std::vector<char> warp_tags;          // for TSan
  char exit_tag = 0;                    // for TSan
  Barrier barrier;
  std::map<const void*, Transactions> transactions;
  std::vector<SharedMemory> shared;  // dynamic first, then static variables in the order of their first use

  CudaThread* thread(unsigned warp, unsigned lane) { return threads[warp * 32 + lane].get(); }
  SharedMemory& shared_variable(const void* key, std::size_t bytes, std::size_t alignment);
};

/// The CUDA thread that runs; null in the scheduler and in host code.
extern constinit thread_local CudaThread* current_thread;
inline CudaThread* self() { return current_thread; }

std::string describe(const Location& where);
std::string describe(const CudaThread& thread);

}  // namespace simt
