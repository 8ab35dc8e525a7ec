// The end of a sequence, or Plan::store: completes each batch element's last step, applies the last trace
// update, and writes the state as floats.
//   H ← rule(H, g, x(L−1) y(L−1)),  L = length[b]
// Grid: one block of 256 threads per tile of 32 columns of each batch element, as in a step. Bytes: the trace
// read once and written once, as floats; nothing if no output needs it.
#pragma once

#include "step/complete.cuh"
#include "step/launch.hpp"
#include "step/traces.cuh"

namespace plasticity::cuda {

/// The step whose trace update is pending, and the slot after it. `single`: the state is that of Plan::step.
struct FlushSlots {
  std::int64_t last, now;
  bool pending, single;

  __device__ FlushSlots(const Flush& flush, std::int64_t b) : single(flush.step_state.phase != nullptr) {
    const int phase = single ? flush.step_state.phase[blockIdx.x] : 0;
    last = single ? 0 : length_of(flush.params, b) - 1;
    now = single ? phase % StepStateRecord::pending : slot_before(flush.record, last + 1);
    pending = single ? phase >= StepStateRecord::pending : last >= 0;
  }
};

/// Writes the final y and c, and marks the state of Plan::step as complete. All threads of the block call it
/// after they have read `slots`.
__device__ __forceinline__ void flush_vectors(const Flush& flush, const FlushSlots& slots,
                                              const ThreadTile<1>& at, std::int64_t b) {
  const std::int64_t bj = b * flush.params.N + at.column;
  if (at.inside && at.group == 0) {
    if (flush.final_y != nullptr) flush.final_y[bj] = *flush.record.output.at(slots.now, bj);
    if (flush.final_c != nullptr) flush.final_c[bj] = *flush.record.c.at(slots.now, bj);
  }
  __syncthreads();  // every thread has read the block's phase
  if (slots.single && threadIdx.x == 0) flush.step_state.phase[blockIdx.x] = static_cast<int>(slots.now);
}

template <Form form, Eligibility kind>
__global__ void __launch_bounds__(block_threads, 1) flush_kernel(const __grid_constant__ Flush flush) {
  const StepParams& p = flush.params;
  const Record& record = flush.record;
  const StepStateRecord& state = flush.step_state;
  const BlockTile block(p, 1, 0);
  const ThreadTile<1> at(p, block.tile);
  const std::int64_t b = block.first, N = p.N, j = at.column;
  const FlushSlots slots(flush, b);

  Activities x{};
  float modulation = 0;
  if (!slots.single && slots.pending) {
    modulation = modulation_of(p, record, slots.now, b);
    if (block.tile == 0 && threadIdx.x == 0)
      store_modulation(p, record, modulation, slots.last, slots.now, b, flush.modulation);
  }
  if (slots.pending) {
    x = slots.single ? Activities{state.x.at(slots.now, b * p.P)} : presynaptic_of(p, record, slots.last, b);
  }
  flush_vectors(flush, slots, at, b);
  const bool rounds = record.hebb16 != nullptr && record.interval == 1 && slots.pending;
  const bool needs_traces =
      flush.final_hebb != nullptr || flush.final_eligibility != nullptr || slots.single || rounds;
  if (!at.inside || !needs_traces) return;

  float rate[1] = {}, y[1] = {}, retention[1] = {}, gain[1] = {};
  UpdateConstants<float> constants{0, update_limit<form>(p.clip)};
  if (slots.pending) {
    y[0] = *record.post.at(slots.now, b * N + j);
    rate[0] = slots.single ? *state.rate.at(slots.now, b * N + j) : rate_of(p, modulation, slots.last, b, j);
    compute_factors<form, kind>(p, rate, y, retention, gain);
    if constexpr (kind != Eligibility::none)
      constants.eta = slots.single ? *state.eta.at(slots.now, b) : *p.eta;
  }
  for (std::int64_t i = at.group; i < p.P; i += ThreadTile<1>::groups) {
    const std::int64_t ij = (b * p.P + i) * N + j;
    const auto stored = traces_before<kind>(record, slots.last < 0 ? 0 : slots.last, ij);
    TracePair<kind> traces;
    traces.load(stored);
    if (slots.pending) traces.template update<form>(0, x[i], {retention[0], gain[0], y[0]}, constants);
    if (slots.pending && slots.single) traces.store(stored);
    if (rounds) {  // the trace after the last step; backward does not read its eligibility
      static_cast<__nv_bfloat16*>(record.hebb16)[(slots.last + 1) * p.B * p.P * N + ij] =
          from_float<__nv_bfloat16>(rounded<form>(traces.h[0], p.clip));
    }
    traces.store_existing({flush.final_hebb, flush.final_eligibility}, ij);
  }
}

}  // namespace plasticity::cuda
