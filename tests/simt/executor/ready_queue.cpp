// The choice of the next thread.
#include <algorithm>

#include "simt/executor/group.hpp"

namespace simt {
namespace {

bool lower(const CudaThread* a, const CudaThread* b) { return a->priority < b->priority; }

// In priority order a thread moves to the back about once in this many steps: a change point, as in
// probabilistic concurrency testing, in which a few change points find most races.
constexpr unsigned steps_between_changes = 2048;

}  // namespace

void ReadyQueue::push(CudaThread* thread) {
  threads_.push_back(thread);
  if (order_ == Order::priority) std::push_heap(threads_.begin(), threads_.end(), lower);
}

CudaThread* ReadyQueue::pop() {
  if (threads_.empty()) return nullptr;
  CudaThread* chosen = nullptr;
  switch (order_) {
    case Order::forward:
    case Order::reverse:
      chosen = threads_.front();
      threads_.pop_front();
      return chosen;
    case Order::random: std::swap(threads_[random_() % threads_.size()], threads_.back()); break;
    case Order::priority:
      std::pop_heap(threads_.begin(), threads_.end(), lower);
      if (random_() % steps_between_changes == 0) threads_.back()->priority = lowest_priority();
      break;
  }
  chosen = threads_.back();
  threads_.pop_back();
  return chosen;
}

}  // namespace simt
