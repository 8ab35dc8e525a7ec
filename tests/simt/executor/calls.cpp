// The calls that need no file of their own: copies in flight, atomics' scheduling points, fences, positions.
#include "simt/executor/calls.hpp"

#include <cstring>

#include "simt/executor/group.hpp"
#include "simt/executor/sanitizer.hpp"

namespace simt {

void land(const AsyncCopy& copy) {
  std::memcpy(copy.to, copy.from, copy.bytes - copy.zeros);
  std::memset(static_cast<char*>(copy.to) + copy.bytes - copy.zeros, 0, copy.zeros);
}

bool lands_at_once() {
  Quiet quiet;
  ReadyQueue& dice = current_group->ready;
  return dice.order() == Order::reverse || (dice.randomised() && dice.random() % 2 != 0);
}

namespace device {

void copy_async(void* shared, const void* global, std::size_t bytes, std::size_t zeros, Location where) {
  if (bytes != 4 && bytes != 8 && bytes != 16)
    stop_kernel("cp.async of " + std::to_string(bytes) + " bytes at " + describe(where));
  if (zeros > bytes) stop_kernel("cp.async with more zeros than bytes at " + describe(where));
  check_aligned(shared, bytes, where);
  check_aligned(global, bytes, where);
  // It may land at once or as late as the program allows. Late shows a missing wait, early one that reuses
  // the buffer too soon: always late has hidden such a bug in every schedule tried.
  const AsyncCopy copy{shared, global, bytes, zeros};
  if (lands_at_once()) return land(copy);
  Quiet quiet;
  self()->open_copies.push_back(copy);
}

void copy_commit() {
  Quiet quiet;
  CudaThread* thread = self();
  thread->committed_copies.push_back(std::move(thread->open_copies));
  thread->open_copies.clear();
}

void copy_wait(unsigned newest_allowed_pending) {
  auto& batches = self()->committed_copies;
  while (batches.size() > newest_allowed_pending) {
    for (const AsyncCopy& copy : batches.front()) land(copy);
    Quiet quiet;
    batches.pop_front();
  }
}

void yield() {
  Quiet quiet;
  CudaThread* thread = self();
  // To the back, or a spinning thread starves the others.
  thread->priority = current_group->ready.lowest_priority();
  current_group->make_ready(thread);
  wait_for_turn();
}

void scheduling_point() {
  Group* group = current_group;
  if (!group) return;  // host code may use the same functions
  ++group->idle;
  if (group->ready.randomised() ? group->ready.random() % 8 == 0 : group->idle % 64 == 0) yield();
}

void fence() {
  static char tag;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  acquire(&tag);  // orders everything across all fences: more than the GPU promises, so some races are missed
  release(&tag);
}

void trap(const char* what, Location where) {
  stop_kernel(std::string(what) + " by " + describe(*self()) + " at " + describe(where));
}

void check_aligned(const void* p, std::size_t bytes, Location where) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes == 0) return;
  const std::string what = "misaligned address: " + std::to_string(bytes) + " bytes at " + describe(where);
  if (!current_group) throw Error(what);
  stop_kernel(what + ", by " + describe(*self()));
}

Position position() {
  const CudaThread& thread = *self();
  const Block& block = *thread.block;
  const Launch& launch = current_group->launch;
  return {thread.lane(),
          thread.linear,
          unsigned(block.threads.size()),
          block.number,
          unsigned(launch.blocks()),
          block.number_in_cluster,
          unsigned(block.cluster->blocks.size()),
          launch.cluster,
          launch.cooperative};
}

}  // namespace device
}  // namespace simt
