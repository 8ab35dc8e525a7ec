// The end of a sequence, or Plan::store of a live network: completes each batch element's last step, applies
// the last trace update, and gives the state out as floats.
//   H ← rule(H, g, x(L−1) y(L−1)),  L = length[b]
// Grid: as a step's, one block a tile of 32 columns of a batch element.
// Bytes: the trace read once and written once as floats; nothing of it where nobody wants it.
#pragma once

#include "rules/rules.hpp"
#include "step/complete.cuh"
#include "step/launch.hpp"
#include "step/rounding.cuh"

namespace plasticity::cuda {

template <Rule rule, Eligibility kind>
__global__ void __launch_bounds__(block_threads, 1) flush_kernel(const __grid_constant__ Flush flush) {
  PLASTICITY_SHARED(float, words, [block_warps]);
  const Problem& p = flush.problem;
  const Record& record = flush.record;
  const StepStateRecord& live = flush.live;
  const Place<1> at(p);
  const std::int64_t b = at.b, N = p.N, j = at.column;
  const bool is_live = live.phase != nullptr;
  const int phase = is_live ? live.phase[blockIdx.x] : 0;
  const std::int64_t last = is_live ? 0 : length_of(p, b) - 1;  // the step whose update waits
  const std::int64_t now = is_live ? phase % StepStateRecord::pending : slot_of(record, last + 1);
  const bool pending = is_live ? phase >= StepStateRecord::pending : last >= 0;

  Activities y{}, x{};
  float modulation = 0;
  if (!is_live && pending) {
    y = outputs_of(p, record, last, now, b, words);
    modulation = modulation_of(p, record, y, now, b, words);
    write_completed(p, record, y, modulation, last, now, b, at.tile, flush.y, flush.modulation);
  }
  if (pending) {
    x = is_live ? Activities{} : inputs_of(p, record, last, b);
    if (is_live) x.row = row_of(live.x, now, b * p.P);
  }
  if (at.inside && at.group == 0) {
    if (flush.final_y != nullptr) {
      flush.final_y[b * N + j] = y.softmax ? y[j] : *row_of(record.shown, now, b * N + j);
    }
    if (flush.final_c != nullptr) flush.final_c[b * N + j] = *row_of(record.c, now, b * N + j);
  }
  __syncthreads();  // every thread has read the block's phase
  if (is_live && threadIdx.x == 0) live.phase[blockIdx.x] = static_cast<int>(now);
  const bool rounds = record.hebb16 != nullptr && record.interval == 1 && pending;
  const bool wanted = flush.final_hebb != nullptr || flush.final_eligibility != nullptr || is_live || rounds;
  if (!at.inside || !wanted) return;

  float y_j = 0, rate = 0, eta = 0;
  if (pending) {
    y_j = y.softmax ? y[j] : *row_of(record.post, now, b * N + j);
    rate = is_live ? *row_of(live.rate, now, b * N + j) : rate_of(p, modulation, last, b, j);
    if constexpr (kind != Eligibility::none) eta = is_live ? *row_of(live.eta, now, b) : *p.eta;
  }
  const std::int64_t slot = last < 0 ? 0 : last;
  for (std::int64_t i = at.group; i < p.P; i += Place<1>::groups) {
    const std::int64_t ij = (b * p.P + i) * N + j;
    float* hebb = hebb_before(record, slot, ij);
    [[maybe_unused]] float* eligibility = nullptr;
    float h = *hebb, e = 0;
    if constexpr (kind != Eligibility::none) {
      eligibility = eligibility_before(record, slot, ij);
      e = *eligibility;
    }
    if (pending) update_traces<rule, kind>(h, e, drive_of(x[i], y_j), rate, y_j, eta, p.clip);
    if (pending && is_live) {
      *hebb = h;
      if constexpr (kind != Eligibility::none) *eligibility = e;
    }
    if (rounds) {
      static_cast<__nv_bfloat16*>(record.hebb16)[(last + 1) * p.B * p.P * N + ij] =
          from_float<__nv_bfloat16>(rounded<rule>(h, p.clip));
    }
    if (flush.final_hebb != nullptr) flush.final_hebb[ij] = h;
    if constexpr (kind != Eligibility::none) {
      if (flush.final_eligibility != nullptr) flush.final_eligibility[ij] = e;
    }
  }
}

}  // namespace plasticity::cuda
