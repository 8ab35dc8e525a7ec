// A whole sequence forward in one launch: the traces of an element stay in the shared memory of one group of
// blocks. A step is the pass over the block's slice of the trace
//   H ← rule(H, g, x(t−1) y(t−1)) and E likewise,  s_j += x_i (w_ij + α_ij φ(H_ij))
// then, for the block's own columns, y_j = f(u_j + s_j), the clamp and the LSTM cell; y goes to all blocks of
// the group, which meet once a step. What needs all columns, the softmax and M, every block works out for
// itself at the beginning of the next step, in one order.
// Grid: groups of G blocks (resident/shape.hpp); a group does elements one after another. On chip: the slices
// of H and E, of W and α where they fit, three slots of y. Bytes: none of the trace within a sequence; with a
// tape the checkpoints, 4 B P N (2 in bfloat16) every K-th step; W and α, 8 B P N a step from L2 where they
// are not on chip, and the gate weights of an LSTM, 12 B N N. Barriers a step: one of the group, one of the
// block; a grid's blocks, and softmax, one and two more of the block.
#pragma once

#include "resident/member.cuh"
#include "rules/trace_update.hpp"
#include "step/rounding.cuh"

namespace plasticity::cuda {

/// What a forward block keeps in shared memory. (Accessors, so that what stands in the parameters takes no
/// registers.)
struct ForwardSlices {
  float* memory;
  const ResidentForward& run;

  __device__ float* hebb() const { return memory + run.places.hebb; }
  __device__ float* eligibility() const { return memory + run.places.eligibility; }
  __device__ float* post() const { return memory + run.places.post; }
  __device__ float* parts() const { return memory + run.places.parts; }
  __device__ int exchanged() const { return run.contents.channels() * static_cast<int>(run.contents.N); }
  /// Where slot t of the exchange begins, here and in a grid's global memory.
  __device__ int slot(std::int64_t t) const { return static_cast<int>(t % exchange_slots) * exchanged(); }
  __device__ float* exchange(std::int64_t t) const { return memory + run.places.exchange + slot(t); }
  __device__ float* x(std::int64_t t) const {
    if (!run.contents.feedforward) return exchange(t);
    return memory + run.places.x + static_cast<int>(t % exchange_slots) * static_cast<int>(run.contents.P);
  }
};

/// The update that the step before left to do, for the thread's column, and the step's own x.
struct ResidentUpdate {
  bool due, zeroes;
  const float *x_before, *x_now;  // null: zero
  float y, rate, eta;
};

/// The traces before the first step, and the activity that it sees.
__device__ inline float begin_element(const ResidentForward& run, const Member& at, const ForwardSlices& here,
                                      std::int64_t b) {
  const Problem& p = run.problem;
  for (std::int64_t i = at.row_group; at.inside && i < p.P; i += at.row_groups) {
    const std::int64_t ij = (b * p.P + i) * p.N + at.column, place = i * at.width + at.own;
    here.hebb()[place] = run.initial_hebb == nullptr ? 0 : run.initial_hebb[ij];
    if (run.contents.eligible)
      here.eligibility()[place] = run.initial_eligibility == nullptr ? 0 : run.initial_eligibility[ij];
  }
  if (run.contents.feedforward) {
    for (std::int64_t i = threadIdx.x; p.T > 0 && i < p.P; i += blockDim.x) here.x(0)[i] = p.pre[b * p.P + i];
    return 0;
  }
  for (std::int64_t j = threadIdx.x; j < p.N; j += blockDim.x)
    here.exchange(0)[j] = run.initial_y == nullptr ? 0 : run.initial_y[b * p.N + j];
  const std::int64_t bj = b * p.N + at.column;
  const float c = at.owner && p.lstm && run.initial_c != nullptr ? run.initial_c[bj] : 0;
  if (run.on_tape && at.owner) {
    *row_of(run.record.shown, 0, bj) = run.initial_y == nullptr ? 0 : run.initial_y[bj];
    if (p.lstm) *row_of(run.record.c, 0, bj) = c;
  }
  return c;
}

/// Completes step t − 1, whose columns are all there: the softmax, in place, and M. All threads of the block
/// call it.
__device__ inline float complete_step(const ResidentForward& run, const Member& at, const ForwardSlices& here,
                                      std::int64_t t, std::int64_t b) {
  const Problem& p = run.problem;
  const Record& record = run.record;
  float* y = here.exchange(t);
  const std::int64_t row = ((t - 1) * p.B + b) * p.N, bj = b * p.N + at.column;
  if (p.activation == Activation::softmax) {
    const auto value = [&](std::int64_t j) { return y[j]; };
    const float largest = warp_total(p.N, value, Largest{}, -INFINITY);
    const float sum = warp_total(
        p.N, [&](std::int64_t j) { return expf(y[j] - largest); }, Add{}, 0);
    const float activated = at.owner ? expf(y[at.column] - largest) / sum : 0;
    __syncthreads();
    for (std::int64_t j = threadIdx.x; j < p.N; j += blockDim.x) {
      const bool clamped = p.clamp != nullptr && p.clamp[row + j] != 0;
      y[j] = clamped ? p.clamp_value[row + j] : expf(y[j] - largest) / sum;
    }
    __syncthreads();
    if (at.owner) {
      run.y[row + at.column] = y[at.column];
      if (run.on_tape) {
        *row_of(record.shown, t, bj) = y[at.column];
        *row_of(record.activated, t, bj) = activated;
      }
    }
  }
  if (!run.contents.modulated) return 0;
  const float* read = run.contents.reads_cell ? y + p.N : y;
  const float M = tanhf(warp_total(
                            p.N, [&](std::int64_t j) { return p.modulator_weight[j] * read[j]; }, Add{}, 0) +
                        *p.modulator_bias);
  if (at.rank == 0 && threadIdx.x == 0) {
    if (run.on_tape) *row_of(record.modulation, t, b) = M;
    if (run.modulation != nullptr) run.modulation[(t - 1) * p.B + b] = M;
  }
  return M;
}

/// Where the traces of step t go beside staying on chip: into a checkpoint, or out.
template <Rule rule, Eligibility kind>
__device__ void keep_traces(const ResidentForward& run, std::int64_t t, std::int64_t ij, bool last, float h,
                            float e) {
  const Record& record = run.record;
  const bool due = last ? record.interval == 1 && record.hebb16 != nullptr : t % record.interval == 0;
  if (run.on_tape && due) {
    const std::int64_t place = t / record.interval * run.problem.B * run.problem.P * run.problem.N + ij;
    if (record.hebb16 == nullptr) {
      record.hebb.base[place] = h;
      if constexpr (kind != Eligibility::none) record.eligibility.base[place] = e;
    } else {
      static_cast<__nv_bfloat16*>(record.hebb16)[place] =
          from_float<__nv_bfloat16>(rounded<rule>(h, run.problem.clip));
      if constexpr (kind != Eligibility::none)
        static_cast<__nv_bfloat16*>(record.eligibility16)[place] = from_float<__nv_bfloat16>(e);
    }
  }
  if (!last) return;
  if (run.final_hebb != nullptr) run.final_hebb[ij] = h;
  if constexpr (kind != Eligibility::none) {
    if (run.final_eligibility != nullptr) run.final_eligibility[ij] = e;
  }
}

/// The pass over the thread's share of the slice. `last`: there is nothing to read any more. The sums: the
/// plastic read, and in an LSTM the gates i f o.
template <Rule rule, Eligibility kind>
__device__ void resident_pass(const ResidentForward& run, const Member& at, const ForwardSlices& here,
                              const Weights& weights, const ResidentUpdate& update, std::int64_t t,
                              std::int64_t b, bool last, float (&s)[4]) {
  const Problem& p = run.problem;
  const bool keeps = last || (run.on_tape && t % run.record.interval == 0);
  const int P = static_cast<int>(p.P);
#pragma unroll 2
  for (int i = at.row_group; i < P; i += at.row_groups) {
    const int place = i * at.width + at.own;
    float h = update.zeroes ? 0 : here.hebb()[place], e = 0;
    if constexpr (kind != Eligibility::none) e = update.zeroes ? 0 : here.eligibility()[place];
    if (update.due) {
      const float x_before = update.x_before == nullptr ? 0 : update.x_before[i];
      update_traces<rule, kind>(h, e, drive_of(x_before, update.y), update.rate, update.y, update.eta,
                                p.clip);
    }
    if (keeps) keep_traces<rule, kind>(run, t, (b * p.P + i) * p.N + at.column, last, h, e);
    if (last) continue;
    here.hebb()[place] = h;
    if constexpr (kind != Eligibility::none) here.eligibility()[place] = e;
    const float x = update.x_now == nullptr ? 0 : update.x_now[i];
    s[0] += x * (weights.w[i] + weights.alpha[i] * TraceRule<rule>::read(h, p.clip));
    if (p.lstm) {
      const float* gates = p.w_gates + 3 * i * p.N + at.column;
      s[1] += x * __ldg(gates);
      s[2] += x * __ldg(gates + p.N);
      s[3] += x * __ldg(gates + 2 * p.N);
    }
  }
}

/// From the sums of the owner's column to what the network shows, for the group, the tape and the caller.
__device__ inline void show_column(const ResidentForward& run, const Member& at, const ForwardSlices& here,
                                   float* global, std::int64_t t, std::int64_t b, bool zeroed, float& c) {
  const Problem& p = run.problem;
  const Record& record = run.record;
  const std::int64_t N = p.N, bj = b * N + at.column, tbj = t * p.B * N + bj;
  const auto total = [&](int gate, int part) {
    const std::int64_t place = ((t * p.B + b) * (p.lstm ? 4 : 1) + gate) * N + at.column;
    return (run.current == nullptr ? 0 : run.current[place]) +
           group_total(here.parts() + part * at.row_groups * at.width, at);
  };
  float totals[4] = {};  // in an LSTM i f g o
  if (p.lstm) {
    totals[0] = total(0, 1);
    totals[1] = total(1, 2);
    totals[2] = total(2, 0);
    totals[3] = total(3, 3);
  } else {
    totals[0] = total(0, 0);
  }
  const CellStep cell = step_cell(p, totals, zeroed ? 0 : c, tbj);
  float* shared = here.exchange(t + 1) + at.column;
  global += here.slot(t + 1) + at.column;
  const bool softmax = p.activation == Activation::softmax;
  at.tell_all(shared, global, softmax ? cell.raw : cell.shown);
  if (softmax) return;
  run.y[tbj] = cell.shown;
  if (run.on_tape) *row_of(record.shown, t + 1, bj) = cell.shown;
  if (!p.lstm) return;
  c = cell.c;
  here.post()[at.own] = cell.post;
  if (run.contents.reads_cell) at.tell_all(shared + N, global + N, c);
  if (!run.on_tape) return;
  *row_of(record.post, t + 1, bj) = cell.post;
  *row_of(record.c, t + 1, bj) = c;
  float* gates = row_of(record.gates, t + 1, 3 * b * N + at.column);
  gates[0] = cell.i;
  gates[N] = cell.f;
  gates[2 * N] = cell.o;
}

/// The owner's column after the last step, and zeros where the sequence is longer than the element.
__device__ inline void end_element(const ResidentForward& run, const Member& at, const ForwardSlices& here,
                                   std::int64_t b, std::int64_t length, float c) {
  const Problem& p = run.problem;
  const std::int64_t bj = b * p.N + at.column;
  if (at.owner) {
    for (std::int64_t t = length; t < p.T; ++t) run.y[t * p.B * p.N + bj] = 0;
    const float* y = here.exchange(length);
    if (run.final_y != nullptr) run.final_y[bj] = y[at.column];
    if (run.final_c != nullptr) run.final_c[bj] = c;
  }
  if (at.rank == 0 && threadIdx.x == 0 && run.modulation != nullptr) {
    for (std::int64_t t = length; t < p.T; ++t) run.modulation[t * p.B + b] = 0;
  }
}

template <Rule rule, Eligibility kind>
__device__ void run_element(const ResidentForward& run, const Member& at, const ForwardSlices& here,
                            const Weights& weights, float* global, std::int64_t b) {
  const Problem& p = run.problem;
  const bool there = b < p.B;
  const std::int64_t length = there ? length_of(p, b) : 0;
  float c = there ? begin_element(run, at, here, b) : 0;
  at.meet();
  // The blocks of a grid meet as often as the longest element needs, whichever theirs is.
  const std::int64_t last = at.kind == GroupKind::grid ? p.T : length;
  for (std::int64_t t = 0; t <= last; ++t) {
    if (there && t <= length) {
      const float M = t > 0 ? complete_step(run, at, here, t, b) : 0;
      const bool reads = t < length, zeroed = reads && resets(p, t, b);
      ResidentUpdate update{};
      update.due = t > 0 && !zeroed;
      update.zeroes = zeroed;
      const bool recurrent = p.cell != Cell::feedforward;
      update.x_now = recurrent && zeroed ? nullptr : here.x(t);
      float s[4] = {};
      if (update.due) {
        if (!(recurrent && resets(p, t - 1, b))) update.x_before = here.x(t - 1);
        if constexpr (kind != Eligibility::none) update.eta = *p.eta;
        if (at.inside) {
          const float* y = here.exchange(t);
          update.y = p.lstm ? here.post()[at.own] : y[at.column];
          update.rate = rate_of(p, M, t - 1, b, at.column);
        }
      }
      if (at.inside) resident_pass<rule, kind>(run, at, here, weights, update, t, b, !reads, s);
      if (reads) {
#pragma unroll
        for (int gate = 0; gate < 4; ++gate) {
          if (at.inside && (gate == 0 || p.lstm))
            here.parts()[(gate * at.row_groups + at.row_group) * at.width + at.own] = s[gate];
        }
        __syncthreads();
        if (at.owner) show_column(run, at, here, global, t, b, zeroed, c);
        if (!recurrent && t + 1 < p.T) {
          float* next = here.x(t + 1);
          for (std::int64_t i = threadIdx.x; i < p.P; i += blockDim.x)
            next[i] = p.pre[((t + 1) * p.B + b) * p.P + i];
        }
      }
    }
    if (t == last) break;
    at.meet();
    if (there && t < length) at.pull(here.exchange(t + 1), global + here.slot(t + 1), here.exchanged());
  }
  if (there) end_element(run, at, here, b, length, c);
  __syncthreads();
}

template <Rule rule, Eligibility kind>
__global__ void __launch_bounds__(resident_threads, 1)
    resident_forward_kernel(const __grid_constant__ ResidentForward run) {
  PLASTICITY_DYNAMIC_SHARED(float, memory);
  const Problem& p = run.problem;
  const Member at(p, run.shape);
  const ForwardSlices here{memory, run};
  const Weights weights(p, run.shape, at, memory + run.places.w, memory + run.places.alpha);
  float* global =
      at.kind == GroupKind::grid ? run.exchange + at.group * forward_exchange(run.contents) : nullptr;
  const std::int64_t waves = (p.B + run.groups - 1) / run.groups;
  for (std::int64_t wave = 0; wave < waves; ++wave) {
    const std::int64_t b = wave * run.groups + at.group;
    if (at.kind != GroupKind::grid && b >= p.B) break;
    run_element<rule, kind>(run, at, here, weights, global, b);
  }
}

}  // namespace plasticity::cuda
