// A whole sequence forward in one launch. The traces of an element stay in the shared memory of one group of
// blocks. A step is one pass over the block's slice of the trace
//   H ← rule(H, g, x(t−1) y(t−1)) and E likewise,  s_j += x_i (w_ij + α_ij φ(H_ij))
// and then, for the block's own columns, y_j = f(u_j + s_j), the clamp and the LSTM cell. Each block
// broadcasts its part of y to the group, which synchronizes once per step. The softmax and M depend on all
// columns: every block computes them for itself at the beginning of the next step, in one fixed order.
// Grid: groups of G blocks (resident/shape.hpp); a group does one element after another. On chip: the slices
// of H and E, W and α if they fit, three slots of y. Bytes: no trace within a sequence; on a tape the
// checkpoints, 4 B P N (2 in bfloat16) every K-th step. From L2 per step: W and α if they are not on chip, 8
// B P N, and in an LSTM the gate weights, 12 B N N. Barriers per step: one of the group and one of the block;
// in a grid one more of the block, with softmax two more.
#pragma once

#include "resident/group_block.cuh"

namespace plasticity::cuda {

/// The shared memory of a forward block. Offsets are read from the kernel's parameters at every access and
/// take no registers.
struct ForwardShared {
  float* memory;
  const ResidentForward& run;

  template <Eligibility kind>
  __device__ TracePointers<kind, float> traces(int place) const {
    return {memory + run.layout.hebb + place, memory + run.layout.eligibility + place};
  }
  __device__ float* post() const { return memory + run.layout.post; }
  __device__ float* parts() const { return memory + run.layout.parts; }
  /// Floats per slot of the exchange.
  __device__ int slot_size() const { return run.network.channels() * static_cast<int>(run.network.N); }
  /// The offset of slot t of the exchange, here and in a grid's global memory.
  __device__ int slot(std::int64_t t) const { return static_cast<int>(t % exchange_slots) * slot_size(); }
  __device__ float* exchange(std::int64_t t) const { return memory + run.layout.exchange + slot(t); }
  __device__ float* x(std::int64_t t) const {
    if (!run.network.feedforward) return exchange(t);
    return memory + run.layout.x + static_cast<int>(t % exchange_slots) * static_cast<int>(run.network.P);
  }
};

/// The trace update of step t − 1 for the thread's column, and x of step t.
struct ResidentUpdate {
  bool due;                       // false: there is no update
  bool zeroes;                    // a reset sets the traces to zero instead
  const float *x_before, *x_now;  // null: zero
  float y, rate, eta;
};

/// Loads the initial traces and the x of step 0 into shared memory. Returns the initial c of the thread's
/// column.
template <Eligibility kind>
__device__ float begin_element(const ResidentForward& run, const GroupBlock& block,
                               const ForwardShared& shared, std::int64_t b) {
  const StepParams& p = run.params;
  const TracePointers<kind, const float> initial{run.initial_hebb, run.initial_eligibility};
  for (std::int64_t i = block.row_group; block.inside && i < p.P; i += block.row_groups) {
    TracePair<kind> traces{};
    traces.load_existing(initial, (b * p.P + i) * p.N + block.column);
    traces.store(shared.traces<kind>(static_cast<int>(i) * block.width + block.own));
  }
  if (run.network.feedforward) {
    for (std::int64_t i = threadIdx.x; p.T > 0 && i < p.P; i += blockDim.x)
      shared.x(0)[i] = p.pre[b * p.P + i];
    return 0;
  }
  for (std::int64_t j = threadIdx.x; j < p.N; j += blockDim.x)
    shared.exchange(0)[j] = run.initial_y == nullptr ? 0 : run.initial_y[b * p.N + j];
  const std::int64_t bj = b * p.N + block.column;
  const float c = block.owner && p.lstm && run.initial_c != nullptr ? run.initial_c[bj] : 0;
  if (run.on_tape && block.owner) {
    *run.record.output.at(0, bj) = run.initial_y == nullptr ? 0 : run.initial_y[bj];
    if (p.lstm) *run.record.c.at(0, bj) = c;
  }
  return c;
}

/// The softmax of step t − 1, in place of its logits. All threads of the block call it.
__device__ inline void complete_softmax(const ResidentForward& run, const GroupBlock& block, float* y,
                                        std::int64_t t, std::int64_t b) {
  const StepParams& p = run.params;
  const std::int64_t row = ((t - 1) * p.B + b) * p.N, bj = b * p.N + block.column;
  const auto logit = [&](std::int64_t j) { return y[j]; };
  const float max_logit = warp_fold(p.N, logit, Max{}, -INFINITY);
  const float sum = warp_fold(
      p.N, [&](std::int64_t j) { return expf(y[j] - max_logit); }, Add{}, 0);
  const float unclamped = block.owner ? expf(y[block.column] - max_logit) / sum : 0;
  __syncthreads();
  for (std::int64_t j = threadIdx.x; j < p.N; j += blockDim.x) {
    const bool clamped = p.clamp != nullptr && p.clamp[row + j] != 0;
    y[j] = clamped ? p.clamp_value[row + j] : expf(y[j] - max_logit) / sum;
  }
  __syncthreads();
  if (!block.owner) return;
  run.y[row + block.column] = y[block.column];
  if (!run.on_tape) return;
  *run.record.output.at(t, bj) = y[block.column];
  *run.record.unclamped.at(t, bj) = unclamped;
}

/// Completes step t − 1: the softmax, and M, which it returns. All threads of the block call it.
__device__ inline float complete_step(const ResidentForward& run, const GroupBlock& block,
                                      const ForwardShared& shared, std::int64_t t, std::int64_t b) {
  const StepParams& p = run.params;
  float* y = shared.exchange(t);
  if (p.activation == Activation::softmax) complete_softmax(run, block, y, t, b);
  if (!run.network.modulated) return 0;
  const float* read = run.network.reads_cell ? y + p.N : y;
  const auto term = [&](std::int64_t j) { return p.modulator_weight[j] * read[j]; };
  const float M = tanhf(warp_fold(p.N, term, Add{}, 0) + *p.modulator_bias);
  if (block.rank == 0 && threadIdx.x == 0) {
    if (run.on_tape) *run.record.modulation.at(t, b) = M;
    if (run.modulation != nullptr) run.modulation[(t - 1) * p.B + b] = M;
  }
  return M;
}

template <Eligibility kind>
__device__ __forceinline__ ResidentUpdate load_resident_update(const ResidentForward& run,
                                                               const GroupBlock& block,
                                                               const ForwardShared& shared, std::int64_t t,
                                                               std::int64_t b, bool zeroed, float M) {
  const StepParams& p = run.params;
  const bool recurrent = p.cell != Cell::feedforward;
  ResidentUpdate update{};
  update.due = t > 0 && !zeroed;
  update.zeroes = zeroed;
  update.x_now = recurrent && zeroed ? nullptr : shared.x(t);
  if (update.due) {
    if (!(recurrent && resets(p, t - 1, b))) update.x_before = shared.x(t - 1);
    if constexpr (kind != Eligibility::none) update.eta = *p.eta;
    if (block.inside) {
      const float* y = shared.exchange(t);
      update.y = p.lstm ? shared.post()[block.own] : y[block.column];
      update.rate = rate_of(p, M, t - 1, b, block.column);
    }
  }
  return update;
}

/// Stores traces before step t in global memory: in a checkpoint, and after the last step in the final state.
template <Rule rule, Eligibility kind>
__device__ void store_traces(const ResidentForward& run, std::int64_t t, std::int64_t ij, bool last,
                             const TracePair<kind>& traces) {
  const Record& record = run.record;
  const StepParams& p = run.params;
  const bool due = last ? record.interval == 1 && record.hebb16 != nullptr : t % record.interval == 0;
  if (run.on_tape && due) {
    const std::int64_t place = t / record.interval * p.B * p.P * p.N + ij;
    if (record.hebb16 == nullptr) {
      traces.store(TracePointers<kind, float>{record.hebb.base, record.eligibility.base} + place);
    } else {
      traces.template store_rounded<rule>(rounded_checkpoints<kind>(record) + place, p.clip);
    }
  }
  if (last) traces.store_existing({run.final_hebb, run.final_eligibility}, ij);
}

/// The pass over the thread's part of the slice. `last`: after the last step, there is an update and no read.
/// `s`: the sums of the plastic read, and in an LSTM of the gates i f o.
template <Rule rule, Eligibility kind>
__device__ void resident_pass(const ResidentForward& run, const GroupBlock& block,
                              const ForwardShared& shared, const Weights& weights,
                              const ResidentUpdate& update, std::int64_t t, std::int64_t b, bool last,
                              float (&s)[4]) {
  const StepParams& p = run.params;
  const bool stores = last || (run.on_tape && t % run.record.interval == 0);
  const int P = static_cast<int>(p.P);
#pragma unroll 2
  for (int i = block.row_group; i < P; i += block.row_groups) {
    const auto slice = shared.traces<kind>(i * block.width + block.own);
    TracePair<kind> traces{};
    if (!update.zeroes) traces.load(slice);
    if (update.due) {
      const float x_before = update.x_before == nullptr ? 0 : update.x_before[i];
      traces.template update<rule>(0, x_before, update.y, update.rate, update.eta, p.clip);
    }
    if (stores) store_traces<rule>(run, t, (b * p.P + i) * p.N + block.column, last, traces);
    if (last) continue;
    traces.store(slice);
    const float x = update.x_now == nullptr ? 0 : update.x_now[i];
    s[0] += x * (weights.w[i] + weights.alpha[i] * TraceRule<rule>::read(traces.h[0], p.clip));
    if (p.lstm) {
      const float* gates = p.w_gates + 3 * i * p.N + block.column;
      s[1] += x * __ldg(gates);
      s[2] += x * __ldg(gates + p.N);
      s[3] += x * __ldg(gates + 2 * p.N);
    }
  }
}

/// From the sums of the owner's column to its output, for the group, the tape and the caller.
__device__ inline void finish_column(const ResidentForward& run, const GroupBlock& block,
                                     const ForwardShared& shared, float* global, std::int64_t t,
                                     std::int64_t b, bool zeroed, float& c) {
  const StepParams& p = run.params;
  const Record& record = run.record;
  const std::int64_t N = p.N, bj = b * N + block.column, tbj = t * p.B * N + bj;
  const auto total = [&](int gate, int part) {
    const std::int64_t place = ((t * p.B + b) * (p.lstm ? 4 : 1) + gate) * N + block.column;
    return (run.current == nullptr ? 0 : run.current[place]) +
           row_group_sum(shared.parts() + part * block.row_groups * block.width, block);
  };
  float totals[4] = {};  // in an LSTM in the order i f g o
  if (p.lstm) {
    totals[0] = total(0, 1);
    totals[1] = total(1, 2);
    totals[2] = total(2, 0);
    totals[3] = total(3, 3);
  } else {
    totals[0] = total(0, 0);
  }
  const CellStep cell = step_cell(p, totals, zeroed ? 0 : c, tbj);
  float* slot = shared.exchange(t + 1) + block.column;
  global += shared.slot(t + 1) + block.column;
  const bool softmax = p.activation == Activation::softmax;
  block.broadcast(slot, global, softmax ? cell.current : cell.output);
  if (softmax) return;
  run.y[tbj] = cell.output;
  if (run.on_tape) *record.output.at(t + 1, bj) = cell.output;
  if (!p.lstm) return;
  c = cell.c;
  shared.post()[block.own] = cell.post;
  if (run.network.reads_cell) block.broadcast(slot + N, global + N, c);
  if (!run.on_tape) return;
  *record.post.at(t + 1, bj) = cell.post;
  *record.c.at(t + 1, bj) = c;
  float* gates = record.gates.at(t + 1, 3 * b * N + block.column);
  gates[0] = cell.i;
  gates[N] = cell.f;
  gates[2 * N] = cell.o;
}

/// Step t of an element. At t = length only the trace update of the last step is left.
template <Rule rule, Eligibility kind>
__device__ __forceinline__ void run_step(const ResidentForward& run, const GroupBlock& block,
                                         const ForwardShared& shared, const Weights& weights, float* global,
                                         std::int64_t t, std::int64_t b, bool reads, float& c) {
  const StepParams& p = run.params;
  const float M = t > 0 ? complete_step(run, block, shared, t, b) : 0;
  const bool zeroed = reads && resets(p, t, b);
  const ResidentUpdate update = load_resident_update<kind>(run, block, shared, t, b, zeroed, M);
  float s[4] = {};
  if (block.inside) resident_pass<rule, kind>(run, block, shared, weights, update, t, b, !reads, s);
  if (!reads) return;
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (block.inside && (gate == 0 || p.lstm))
      shared.parts()[(gate * block.row_groups + block.row_group) * block.width + block.own] = s[gate];
  }
  __syncthreads();
  if (block.owner) finish_column(run, block, shared, global, t, b, zeroed, c);
  if (p.cell == Cell::feedforward && t + 1 < p.T) {
    float* next = shared.x(t + 1);
    for (std::int64_t i = threadIdx.x; i < p.P; i += blockDim.x)
      next[i] = p.pre[((t + 1) * p.B + b) * p.P + i];
  }
}

/// Writes the final y and c of the owner's column, and zeros for the steps beyond the element's length.
__device__ inline void end_element(const ResidentForward& run, const GroupBlock& block,
                                   const ForwardShared& shared, std::int64_t b, std::int64_t length,
                                   float c) {
  const StepParams& p = run.params;
  const std::int64_t bj = b * p.N + block.column;
  if (block.owner) {
    for (std::int64_t t = length; t < p.T; ++t) run.y[t * p.B * p.N + bj] = 0;
    const float* y = shared.exchange(length);
    if (run.final_y != nullptr) run.final_y[bj] = y[block.column];
    if (run.final_c != nullptr) run.final_c[bj] = c;
  }
  if (block.rank == 0 && threadIdx.x == 0 && run.modulation != nullptr) {
    for (std::int64_t t = length; t < p.T; ++t) run.modulation[t * p.B + b] = 0;
  }
}

/// All steps of element b. In a grid b may not exist: all blocks still pass the barriers.
template <Rule rule, Eligibility kind>
__device__ void run_element(const ResidentForward& run, const GroupBlock& block, const ForwardShared& shared,
                            const Weights& weights, float* global, std::int64_t b) {
  const StepParams& p = run.params;
  const bool exists = b < p.B;
  const std::int64_t length = exists ? length_of(p, b) : 0;
  float c = exists ? begin_element<kind>(run, block, shared, b) : 0;
  block.sync();
  // All blocks of a grid synchronize as often as the longest element needs.
  const std::int64_t last = block.kind == GroupKind::grid ? p.T : length;
  for (std::int64_t t = 0; t <= last; ++t) {
    if (exists && t <= length) run_step<rule, kind>(run, block, shared, weights, global, t, b, t < length, c);
    if (t == last) break;
    block.sync();
    if (exists && t < length)
      block.receive(shared.exchange(t + 1), global + shared.slot(t + 1), shared.slot_size());
  }
  if (exists) end_element(run, block, shared, b, length, c);
  __syncthreads();
}

template <Rule rule, Eligibility kind>
__global__ void __launch_bounds__(resident_threads, 1)
    resident_forward_kernel(const __grid_constant__ ResidentForward run) {
  PLASTICITY_DYNAMIC_SHARED(float, memory);
  const StepParams& p = run.params;
  const GroupBlock block(p, run.shape);
  const ForwardShared shared{memory, run};
  const Weights weights(p, run.shape, block, memory + run.layout.w, memory + run.layout.alpha);
  float* global =
      block.kind == GroupKind::grid ? run.exchange + block.group * forward_exchange(run.network) : nullptr;
  const std::int64_t waves = (p.B + run.groups - 1) / run.groups;
  for (std::int64_t wave = 0; wave < waves; ++wave) {
    const std::int64_t b = wave * run.groups + block.group;
    if (block.kind != GroupKind::grid && b >= p.B) break;
    run_element<rule, kind>(run, block, shared, weights, global, b);
  }
}

}  // namespace plasticity::cuda
