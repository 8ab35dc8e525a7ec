// The work on vectors in a step of a resident forward pass: completing the step before (softmax, M, the
// factors of the columns), and from the sums of a column to its output.
#pragma once

#include "resident/forward_block.cuh"

namespace plasticity::cuda {

/// The softmax of step t − 1, in place of its logits, and post of the block's columns. All threads of the
/// block call it.
template <Eligibility kind, ThreadShape shape>
__device__ void complete_softmax(ForwardBlock<kind, shape>& block, int t, int b) {
  const StepParams& p = block.p;
  float* y = block.y(block.slots.now);
  const std::int64_t row = (std::int64_t{t} - 1) * p.B * p.N + b * p.N;
  const auto logit = [&](int j) { return y[block.y_place(j)]; };
  const float max_logit = fold_columns(block.N, -INFINITY, logit, Max{}, Max{});
  const float sum = fold_columns(
      block.N, 0, logit, [&](float part, float value) { return part + expf(value - max_logit); }, Add{});
  const int own = block.owner.column;
  const float unclamped = block.owner.exists ? expf(logit(own) - max_logit) / sum : 0;
  __syncthreads();
  for (int j = static_cast<int>(threadIdx.x); j < block.N; j += static_cast<int>(blockDim.x)) {
    const bool clamped = p.clamp != nullptr && p.clamp[row + j] != 0;
    y[block.y_place(j)] = clamped ? p.clamp_value[row + j] : expf(logit(j) - max_logit) / sum;
  }
  __syncthreads();
  if (block.owner.exists) {
    const float output = logit(own);
    block.posts()[threadIdx.x] = output;
    block.run.y[row + own] = output;
    if (block.run.on_tape) {
      *block.run.record.output.at(t, b * p.N + own) = output;
      *block.run.record.unclamped.at(t, b * p.N + own) = unclamped;
    }
  }
  __syncthreads();
}

/// M of step t − 1. Every warp computes it.
template <Eligibility kind, ThreadShape shape>
__device__ float modulation_of_step(const ForwardBlock<kind, shape>& block, int t, int b) {
  const ResidentForward& run = block.run;
  const float* read = run.network.reads_cell ? block.c(block.slots.now) : block.y(block.slots.now);
  const float sum =
      dot_columns<shape>(block.memory + block.layout.modulator, read, block.layout.y_order.stride);
  const float M = tanhf(sum + block.modulator_bias());
  if (block.exchange.rank == 0 && threadIdx.x == 0) {
    if (run.on_tape) *run.record.modulation.at(t, b) = M;
    if (run.modulation != nullptr) run.modulation[(t - 1) * block.p.B + b] = M;
  }
  return M;
}

/// Completes step t − 1: the softmax, M, and the factors by which the thread's columns update their traces.
/// Without a trace update due, the factors keep H and E. All threads of the block call it. Every warp
/// computes M and every thread its own columns' factors: that takes less time than a barrier between them and
/// an owner.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ ForwardColumns<Place<shape>::V> complete_step(ForwardBlock<kind, shape>& block,
                                                                         int t, int b, bool due) {
  constexpr int V = Place<shape>::V;
  const StepParams& p = block.p;
  ForwardColumns<V> c;
  c.eta = 0;
  c.read_clip = p.clip;
  c.limit = INFINITY;
#pragma unroll
  for (int k = 0; k < V; ++k) {
    c.retention[k] = 1;
    c.gain[k] = c.y[k] = 0;
  }
  if (t == 0) return c;
  if (p.activation == Activation::softmax) complete_softmax(block, t, b);
  const float M = block.run.network.modulated ? modulation_of_step(block, t, b) : 0;
  if (!due) return c;
  if constexpr (kind != Eligibility::none) c.eta = block.eta();
  c.limit = update_limit<form>(p.clip);
  float rate[V];
  load_own_columns(block.posts() + block.at.local, c.y);
  if (p.rate == Rate::fan_out) {
    float bias[V];
    load_own_columns(block.fan(0) + block.at.local, rate);
    load_own_columns(block.fan(1) + block.at.local, bias);
#pragma unroll
    for (int k = 0; k < V; ++k) rate[k] = multiply_add(M, rate[k], bias[k]);
  } else if (p.rate == Rate::external) {
    load_own_columns(block.rates() + block.at.local, rate);
  } else {
    const float shared = p.rate == Rate::fixed ? block.eta() : M;
#pragma unroll
    for (int k = 0; k < V; ++k) rate[k] = shared;
  }
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const RuleFactors<float> column =
        resident_factors<form, kind>(block.run.network.rule, rate[k], c.y[k], RuleConstants<float>{p.clip});
    c.retention[k] = column.retention;
    c.gain[k] = column.gain;
  }
  return c;
}

/// Loads the inputs of step t that no other step computes, for the owners.
template <Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void prefetch_step(ForwardBlock<kind, shape>& block, int t, int b) {
  const StepParams& p = block.p;
  ForwardOwner& owner = block.owner;
  block.zeroed_before = block.zeroed;
  block.zeroed = resets(p, t, b);
  if (!owner.exists) return;
  const int gates = p.lstm ? 4 : 1;
  const float* current = block.run.current;
  if (p.rate == Rate::external) owner.rate = p.external_rate[(t * p.B + b) * p.N + owner.column];
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    owner.current[gate] = 0;
    if (current != nullptr && gate < gates)
      owner.current[gate] = current[((t * p.B + b) * gates + gate) * p.N + owner.column];
  }
}

/// From the sums of the owner's column to its output, and sends that to the group.
template <Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void finish_column(ForwardBlock<kind, shape>& block, int t, int b) {
  const StepParams& p = block.p;
  ForwardOwner& owner = block.owner;
  const int own = static_cast<int>(threadIdx.x);
  // The parts are of the plastic read and of i f o; the currents in the order i f g o.
  float totals[4] = {};
  const float read = join_warps<shape>(block.parts(0) + own, block.width);
  if (p.lstm) {
    totals[0] = owner.current[0] + join_warps<shape>(block.parts(1) + own, block.width);
    totals[1] = owner.current[1] + join_warps<shape>(block.parts(2) + own, block.width);
    totals[2] = owner.current[2] + read;
    totals[3] = owner.current[3] + join_warps<shape>(block.parts(3) + own, block.width);
  } else {
    totals[0] = owner.current[0] + read;
  }
  owner.cell = step_cell(p, totals, block.zeroed ? 0 : owner.c, (t * p.B + b) * p.N + owner.column);
  const bool softmax = p.activation == Activation::softmax;
  const int next = block.slots.next, j = owner.column;
  const int place = block.y_place(j), slot = block.global_slot(next) + j;
  float* y = block.y(next);
  block.exchange.broadcast(static_cast<int>(y - block.memory) + place, slot,
                           softmax ? owner.cell.current : owner.cell.output);
  block.posts()[own] = owner.cell.post;
  if (p.rate == Rate::external) block.rates()[own] = owner.rate;
  if (!p.lstm) return;
  owner.c = owner.cell.c;
  if (block.run.network.reads_cell)
    block.exchange.broadcast(static_cast<int>(block.c(next) - block.memory) + place, slot + block.N, owner.c);
}

/// Stores the owner's current and output of step t for the caller and the tape.
template <Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void store_outputs(const ForwardBlock<kind, shape>& block, int t, int b) {
  const StepParams& p = block.p;
  const Record& record = block.run.record;
  const CellStep& cell = block.owner.cell;
  const std::int64_t N = p.N, bj = b * N + block.owner.column;
  if (block.run.a != nullptr) block.run.a[t * p.B * N + bj] = cell.current;
  if (p.activation == Activation::softmax) return;  // complete_softmax() stores the output
  block.run.y[t * p.B * N + bj] = cell.output;
  if (!block.run.on_tape) return;
  *record.output.at(t + 1, bj) = cell.output;
  if (!p.lstm) return;
  *record.post.at(t + 1, bj) = cell.post;
  *record.c.at(t + 1, bj) = cell.c;
  float* gates = record.gates.at(t + 1, 3 * b * N + block.owner.column);
  gates[0] = cell.i;
  gates[N] = cell.f;
  gates[2 * N] = cell.o;
}

}  // namespace plasticity::cuda
