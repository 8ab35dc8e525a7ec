// Transaction barriers and the asynchronous stores that they count.
#include <cstring>

#include "simt/executor/group.hpp"
#include "simt/executor/sanitizer.hpp"

namespace simt {
namespace {

constexpr std::int64_t max_bytes = (1 << 20) - 1;  // that a phase may announce, and that may come before

Block* owner_of(const void* shared) {
  for (Block* block : self()->block->cluster->blocks)
    for (const SharedMemory& memory : block->shared)
      if (memory.contains(shared)) return block;
  return nullptr;
}

Transactions& transactions_at(Block& block, const void* barrier, const char* call, const Location& where) {
  const auto found = block.transactions.find(barrier);
  if (found == block.transactions.end())
    stop_kernel(std::string(call) + " at " + describe(where) +
                ": that transaction barrier was not initialised");
  return found->second;
}

/// Ends the phase if nothing is missing.
void end_if_complete(Transactions& barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  Group& group = *current_group;
  void* const tag = &barrier.tags[barrier.phase & 1];
  simt::acquire(tag);  // all stores
  for (const AsyncStore& store : barrier.stores) std::memcpy(store.to, &store.value, sizeof store.value);
  simt::release(tag);
  barrier.stores.clear();
  barrier.pending = barrier.arrivals;
  ++barrier.phase;
  ++group.stats.barriers;
  group.idle = 0;
  for (CudaThread* thread : barrier.waiting) group.make_ready(thread);
  barrier.waiting.clear();
}

}  // namespace

void check_no_transactions(const Block& block) {
  for (const auto& [address, barrier] : block.transactions)
    if (!barrier.stores.empty() || barrier.bytes != 0)
      return current_group->fail("exit before the end of a phase: block " + std::to_string(block.number) +
                                 " exits while " + std::to_string(barrier.bytes) +
                                 " bytes of a transaction barrier are missing");
}

namespace device {

void transactions_init(void* barrier, unsigned arrivals, Location where) {
  check_aligned(barrier, 8, where);
  Quiet quiet;
  Block& block = *self()->block;
  const std::string call = "initialisation of a transaction barrier at " + describe(where);
  if (owner_of(barrier) != &block) stop_kernel(call + ": not in this block's shared memory");
  if (arrivals == 0) stop_kernel(call + " with no arrivals");
  const auto [made, is_new] = block.transactions.try_emplace(barrier);
  if (!is_new) stop_kernel(call + ": it was initialised before");
  made->second.arrivals = made->second.pending = arrivals;
}

void transactions_arrive(void* barrier, std::uint32_t bytes, Location where) {
  Quiet quiet;
  Transactions& at = transactions_at(*self()->block, barrier, "arrival", where);
  if (at.pending == 0)
    stop_kernel("more than " + std::to_string(at.arrivals) + " arrivals at a transaction barrier, at " +
                describe(where) + ", by " + describe(*self()));
  at.bytes += bytes;
  if (at.bytes > max_bytes)
    stop_kernel("a transaction barrier expects " + std::to_string(at.bytes) + " bytes, at " +
                describe(where));
  --at.pending;
  simt::release(&at.tags[at.phase & 1]);
  end_if_complete(at);
}

void transactions_wait(void* barrier, bool parity, Location where) {
  Quiet quiet;
  Transactions& at = transactions_at(*self()->block, barrier, "wait", where);
  CudaThread* thread = self();
  if ((at.phase & 1) == unsigned(parity)) {
    thread->state = State::at_barrier;
    thread->where = where;
    thread->doing = "a wait for transactions";
    at.waiting.push_back(thread);
  } else {
    current_group->make_ready(thread);
  }
  wait_for_turn();
  simt::acquire(&at.tags[parity]);
}

void store_async(void* shared, float value, void* barrier, Location where) {
  check_aligned(shared, 4, where);
  Transactions* at = nullptr;
  {
    Quiet quiet;
    Block* const owner = owner_of(barrier);
    if (owner == nullptr || owner_of(shared) != owner)
      stop_kernel("asynchronous store at " + describe(where) +
                  ": the value and its transaction barrier are not in the same block");
    at = &transactions_at(*owner, barrier, "asynchronous store", where);
  }
  const bool at_once = lands_at_once();
  if (at_once) std::memcpy(shared, &value, sizeof value);
  Quiet quiet;
  if (!at_once) at->stores.push_back({shared, value});
  at->bytes -= std::int64_t{sizeof value};
  if (at->bytes < -max_bytes)
    stop_kernel("more asynchronous stores than a transaction barrier counts, at " + describe(where));
  simt::release(&at->tags[at->phase & 1]);
  end_if_complete(*at);
}

}  // namespace device
}  // namespace simt
