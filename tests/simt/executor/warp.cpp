// Operations of a warp: all lanes of a mask synchronize, exchange values, and continue.
#include <cstring>

#include "simt/executor/group.hpp"
#include "simt/executor/sanitizer.hpp"

namespace simt {

void Group::finish_warp_call_if_complete(Block& block, unsigned warp, CudaThread* some_caller) {
  const unsigned active = some_caller->call->mask & block.alive[warp];
  if (active & ~block.parked[warp]) return;
  block.parked[warp] &= ~active;

  const void* lanes[32] = {};
  for (unsigned lane = 0; lane < 32; ++lane)
    if (active >> lane & 1) lanes[lane] = block.thread(warp, lane)->call->in;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!(active >> lane & 1)) continue;
    const WarpCall& call = *block.thread(warp, lane)->call;
    if (call.finish) call.finish(call, lane, lanes);
  }
  ++stats.warp_operations;
  idle = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if (active >> lane & 1) make_ready(block.thread(warp, lane));
}

void device::warp(WarpCall& call, Location where) {
  Quiet quiet;
  CudaThread* thread = self();
  Block& block = *thread->block;
  const unsigned warp = thread->warp();
  if (!(call.mask >> thread->lane() & 1))
    stop_kernel(std::string(call.name) + ": " + describe(*thread) + " is not in its own mask, at " +
                describe(where));
  if (call.width <= 0 || call.width > 32 || (call.width & (call.width - 1)))
    stop_kernel(std::string(call.name) + ": the width must be a power of two up to 32, at " +
                describe(where));

  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!(block.parked[warp] >> lane & 1)) continue;
    const CudaThread& other = *block.thread(warp, lane);
    const bool concerned = (call.mask >> lane & 1) || (other.call->mask >> thread->lane() & 1);
    if (!concerned) continue;
    if (std::strcmp(other.call->name, call.name) == 0 && other.call->mask == call.mask &&
        other.call->bytes == call.bytes)
      break;  // those who wait agree with each other already
    stop_kernel("divergent warp operation: " + describe(*thread) + " in " + call.name + " at " +
                describe(where) + ", " + describe(other) + " in " + other.call->name + " at " +
                describe(other.where));
  }

  thread->call = &call;
  thread->where = where;
  thread->doing = call.name;
  thread->state = State::in_warp_call;
  block.parked[warp] |= 1u << thread->lane();
  if (call.orders_memory) release(&block.warp_tags[warp]);
  current_group->finish_warp_call_if_complete(block, warp, thread);
  wait_for_turn();
  if (call.orders_memory) acquire(&block.warp_tags[warp]);
}

}  // namespace simt
