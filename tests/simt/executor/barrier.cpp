// __syncthreads, cluster.sync, grid.sync, and the effect of a thread's exit on waiting threads.
#include <cstring>

#include "simt/executor/group.hpp"
#include "simt/executor/sanitizer.hpp"

namespace simt {

Barrier& Group::barrier_of(Scope scope, CudaThread* thread) {
  switch (scope) {
    case Scope::block: return thread->block->barrier;
    case Scope::cluster: return thread->block->cluster->barrier;
    default: return grid_barrier;
  }
}

unsigned Group::exited(Scope scope, const CudaThread* thread) const {
  const Block& block = *thread->block;
  switch (scope) {
    case Scope::block: return unsigned(block.threads.size()) - block.live;
    case Scope::cluster: return block.cluster->exited;
    default: return total - live;
  }
}

unsigned Group::expected(Scope scope, const CudaThread* thread) const {
  switch (scope) {
    case Scope::block: return thread->block->live;
    case Scope::cluster: return thread->block->cluster->threads - thread->block->cluster->exited;
    default: return live;
  }
}

void Group::release(Barrier& barrier) {
  ++stats.barriers;
  idle = 0;
  ++barrier.generation;
  barrier.arrived = 0;
  barrier.last_votes = barrier.votes;
  barrier.votes = 0;
  for (CudaThread* thread : barrier.waiting) make_ready(thread);
  barrier.waiting.clear();
}

void Group::thread_exits(CudaThread* thread) {
  Block& block = *thread->block;
  Cluster& cluster = *block.cluster;
  // The last one takes the block's shared memory with it, into which others of the cluster may still hold
  // pointers. For TSan this is a write of its own, ordered after all that the block did.
  simt::release(&block.exit_tag);
  if (block.live == 1 && cluster.blocks.size() > 1 && error.empty()) {
    simt::acquire(&block.exit_tag);
    for (SharedMemory& memory : block.shared) memory.kill();
  }
  Quiet quiet;
  if (block.live == 1) check_no_transactions(block);
  thread->state = State::done;
  thread->open_copies.clear();
  thread->committed_copies.clear();
  block.alive[thread->warp()] &= ~(1u << thread->lane());
  --block.live;
  --live;
  ++cluster.exited;
  idle = 0;
  if (!error.empty()) return;

  for (Scope scope : {Scope::block, Scope::cluster, Scope::grid}) {
    Barrier& barrier = barrier_of(scope, thread);
    if (!barrier.arrived) continue;
    if (config().strict_exit || scope != Scope::block)
      return fail("exit before barrier: " + describe(*thread) + " returned while " +
                  std::to_string(barrier.arrived) + " thread(s) wait at " + describe(barrier.where));
    if (barrier.arrived >= expected(scope, thread)) release(barrier);
  }
  for (unsigned lane = 0; lane < 32; ++lane)  // a warp operation waits for those who have not exited only
    if (block.parked[thread->warp()] >> lane & 1)
      finish_warp_call_if_complete(block, thread->warp(), block.thread(thread->warp(), lane));
}

namespace {

bool same(const Location& a, const Location& b) {
  return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

void arrive(Barrier& barrier, Scope scope, const Location& where, int vote) {
  Group& group = *current_group;
  const CudaThread& thread = *self();
  if (scope == Scope::grid && !group.launch.cooperative)
    stop_kernel("grid.sync() in a launch that is not cooperative, at " + describe(where));
  const unsigned exited = group.exited(scope, &thread);
  if (exited && config().strict_exit)
    stop_kernel("exit before barrier: " + describe(thread) + " waits at " + describe(where) + " but " +
                std::to_string(exited) + " thread(s) have returned already");
  if (barrier.arrived == 0)
    barrier.where = where;
  else if (!same(barrier.where, where))
    stop_kernel("divergent barrier: some threads wait at " + describe(barrier.where) + ", " +
                describe(thread) + " at " + describe(where));
  barrier.votes += vote;
  ++barrier.arrived;
  simt::release(&barrier.tags[barrier.generation & 1]);
  if (barrier.arrived >= group.expected(scope, &thread)) group.release(barrier);
}

void wait(Barrier& barrier, std::uint64_t generation, const char* doing, const Location& where) {
  CudaThread* thread = self();
  if (barrier.generation == generation) {
    thread->state = State::at_barrier;
    thread->where = where;
    thread->doing = doing;
    barrier.waiting.push_back(thread);
  } else {
    current_group->make_ready(thread);
  }
  wait_for_turn();
  simt::acquire(&barrier.tags[generation & 1]);
}

int arrive_and_wait(Scope scope, const Location& where, int vote) {
  static constexpr const char* names[] = {"__syncthreads", "cluster.sync", "grid.sync"};
  Barrier& barrier = current_group->barrier_of(scope, self());
  const std::uint64_t generation = barrier.generation;
  arrive(barrier, scope, where, vote);
  wait(barrier, generation, names[int(scope)], where);
  return barrier.last_votes;
}

}  // namespace

namespace device {

void barrier(Scope scope, Location where) {
  Quiet quiet;
  arrive_and_wait(scope, where, 0);
}

int barrier_vote(Vote vote, bool predicate, Location where) {
  Quiet quiet;
  const int count = arrive_and_wait(Scope::block, where, predicate);
  switch (vote) {
    case Vote::count: return count;
    case Vote::all: return count == int(self()->block->threads.size());
    default: return count != 0;
  }
}

void barrier_arrive(Location where) {
  Quiet quiet;
  CudaThread* thread = self();
  Barrier& barrier = current_group->barrier_of(Scope::cluster, thread);
  thread->cluster_generation = barrier.generation;
  arrive(barrier, Scope::cluster, where, 0);
}

void barrier_wait(Location where) {
  Quiet quiet;
  CudaThread* thread = self();
  wait(current_group->barrier_of(Scope::cluster, thread), thread->cluster_generation, "cluster.barrier_wait",
       where);
}

}  // namespace device
}  // namespace simt
