// A whole sequence forward in one launch. The traces of an element stay on chip, in one group of blocks. A
// step is one pass over the block's slice of the trace
//   H ← rule(H, g, x(t−1) y(t−1)) and E likewise,  s_j += x_i (w_ij + α_ij φ(H_ij))
// and then, for the block's own columns, y_j = f(u_j + s_j), the clamp and the LSTM cell. Each block
// broadcasts its part of y to the group, which synchronizes once per step. The softmax, M and the rates
// depend on all columns: every warp computes them for itself at the beginning of the next step. The sums
// have the library's order (sums.cuh), so the bits do not depend on the group. Grid: groups of G blocks
// (resident/shape.hpp); a group does one element after another. On chip: H and E in registers, W and α in
// shared memory, three slots of y. Bytes: no trace within a sequence; on a tape the checkpoints, 4 B P N (2
// in bfloat16) every K-th step. From L2 per step: in an LSTM the gate weights, 12 B N N. Barriers per step:
// one of the group and one of the block; in a grid one more of the block, with softmax three more.
#pragma once

#include "resident/forward_column.cuh"

namespace plasticity::cuda {

/// Loads the initial traces, x of step 0 and the initial y and c.
template <Eligibility kind, ThreadShape shape>
__device__ void begin_element(ForwardBlock<kind, shape>& block, int b) {
  const ResidentForward& run = block.run;
  const StepParams& p = block.p;
  const std::int64_t element = b * p.P * p.N, bj = b * p.N + block.owner.column;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const auto of_element = [&](const float* traces) { return traces == nullptr ? nullptr : traces + element; };
  clear_traces(block.traces);
  load_traces(block.traces, block.at, p.P, p.N,
              {of_element(run.initial_hebb), of_element(run.initial_eligibility)});
  block.slots = {};
  block.steps_to_checkpoint = block.checkpoint = 0;
  block.zeroed = block.zeroed_before = false;
  if (run.network.feedforward) {
    for (int i = thread; p.T > 0 && i < p.P; i += threads) block.x(0)[block.x_place(i)] = p.pre[b * p.P + i];
    return;
  }
  for (int j = thread; j < block.N; j += threads)
    block.y(0)[block.y_place(j)] = run.initial_y == nullptr ? 0 : run.initial_y[b * p.N + j];
  if (!block.owner.exists) return;
  block.owner.c = p.lstm && run.initial_c != nullptr ? run.initial_c[bj] : 0;
  if (!run.on_tape) return;
  *run.record.output.at(0, bj) = run.initial_y == nullptr ? 0 : run.initial_y[bj];
  if (p.lstm) *run.record.c.at(0, bj) = block.owner.c;
}

/// Stores the traces in the next checkpoint, and after the last step in the final state.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void store_step_traces(ForwardBlock<kind, shape>& block, int b, bool last) {
  const ResidentForward& run = block.run;
  const Record& record = run.record;
  const StepParams& p = block.p;
  const std::int64_t element = b * p.P * p.N, size = p.B * p.P * p.N;
  const bool rounds = record.hebb16 != nullptr;
  const bool records = run.on_tape && (!last || (rounds && record.interval == 1));
  const std::int64_t place = block.checkpoint * size + element;
  if constexpr (takes_bf16(shape)) {
    if (records && rounds)
      store_rounded_traces<form>(block.traces, block.at, p.P, p.N, p.clip,
                                 {static_cast<__nv_bfloat16*>(record.hebb16) + place,
                                  static_cast<__nv_bfloat16*>(record.eligibility16) + place});
  }
  ElementTraces<float> to{};
  if (last) {
    to = {run.final_hebb == nullptr ? nullptr : run.final_hebb + element,
          run.final_eligibility == nullptr ? nullptr : run.final_eligibility + element};
  } else if (records && !rounds) {
    to = {record.hebb.base + place, record.eligibility.base + place};
  }
  store_traces(block.traces, block.at, p.P, p.N, to);
}

/// The gate products of an LSTM, h(t−1) W_gates, for the thread's rows and columns.
template <Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void gate_pass(const ForwardBlock<kind, shape>& block, const float* x) {
  constexpr int V = Place<shape>::V, own_classes = Place<shape>::traits.classes;
  const Place<shape>& at = block.at;
  const std::int64_t N = block.p.N;
#pragma unroll 1
  for (int gate = 0; gate < 3; ++gate) {
    float s[own_classes][V] = {};
#pragma unroll 1
    for (int r = 0; r < at.rows; r += own_classes) {
#pragma unroll
      for (int own = 0; own < own_classes; ++own) {
        const int i = at.row_of(r + own);
        if (r + own >= at.rows || i >= N) continue;
        const float x_i = x[r + own];
        const float* w = block.p.w_gates + (3 * std::int64_t{i} + gate) * N + at.column;
#pragma unroll
        for (int k = 0; k < V; ++k)
          if (k < at.existing) s[own][k] = multiply_add(x_i, __ldg(w + k), s[own][k]);
      }
    }
    store_class_sums(at, s, block.parts(gate + 1), block.width);
  }
}

/// Step t of an element, up to the sums of its columns. At t = length only the trace update of the last step
/// is left.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void run_step(ForwardBlock<kind, shape>& block, int t, int b, bool reads) {
  constexpr int V = Place<shape>::V, own_classes = Place<shape>::traits.classes;
  const StepParams& p = block.p;
  const bool recurrent = !block.run.network.feedforward, zeroed = reads && block.zeroed;
  const bool due = t > 0 && !zeroed;
  const ForwardColumns<V> columns = complete_step<form>(block, t, b, due);
  if (zeroed) clear_traces(block.traces);
  const bool no_x_before = !due || (recurrent && block.zeroed_before), no_x = !reads || (recurrent && zeroed);
  const float* x_before = block.own_rows(no_x_before ? block.zero() : block.x(block.slots.before));
  const float* x_now = block.own_rows(no_x ? block.zero() : block.x(block.slots.now));
  float s[own_classes][V] = {};
  forward_pass<form>(block.traces, block.at, block.weights, x_before, x_now, columns, s);
  if (!reads || (block.run.on_tape && block.steps_to_checkpoint == 0)) {
    store_step_traces<form>(block, b, !reads);
    block.steps_to_checkpoint = static_cast<int>(block.run.record.interval);
    ++block.checkpoint;
  }
  --block.steps_to_checkpoint;
  if (!reads) return;
  store_class_sums(block.at, s, block.parts(0), block.width);
  if (p.lstm) gate_pass(block, x_now);
  __syncthreads();
  if (block.owner.exists) finish_column(block, t, b);
  if (!recurrent && t + 1 < p.T) {
    float* next = block.x(block.slots.next);
    for (int i = static_cast<int>(threadIdx.x); i < p.P; i += static_cast<int>(blockDim.x))
      next[block.x_place(i)] = p.pre[((t + 1) * p.B + b) * p.P + i];
  }
}

/// Writes the final y and c of the owner's column, and zeros for the steps beyond the element's length.
template <Eligibility kind, ThreadShape shape>
__device__ void end_element(const ForwardBlock<kind, shape>& block, int b, int length) {
  const ResidentForward& run = block.run;
  const StepParams& p = block.p;
  if (block.owner.exists) {
    const std::int64_t bj = b * p.N + block.owner.column;
    for (int t = length; t < p.T; ++t) {
      run.y[t * p.B * p.N + bj] = 0;
      if (run.a != nullptr) run.a[t * p.B * p.N + bj] = 0;
    }
    const float* y = block.y(block.slots.now);
    if (run.final_y != nullptr) run.final_y[bj] = y[block.y_place(block.owner.column)];
    if (run.final_c != nullptr) run.final_c[bj] = block.owner.c;
  }
  if (block.exchange.rank == 0 && threadIdx.x == 0 && run.modulation != nullptr) {
    for (int t = length; t < p.T; ++t) run.modulation[t * p.B + b] = 0;
  }
}

/// All steps of element b. In a grid b may not exist: all blocks still pass the barriers.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void run_element(ForwardBlock<kind, shape>& block, int b) {
  const StepParams& p = block.p;
  const bool exists = b < p.B;
  const int length = exists ? static_cast<int>(length_of(p, b)) : 0;
  if (exists) {
    begin_element(block, b);
    if (length > 0) prefetch_step(block, 0, b);
  }
  block.exchange.sync();
  // All blocks of a grid synchronize as often as the longest element needs.
  const int last = block.exchange.kind == GroupKind::grid ? static_cast<int>(p.T) : length;
#pragma unroll 1
  for (int t = 0; t <= last; ++t) {
    const bool active = exists && t <= length;
    if (active) run_step<form>(block, t, b, t < length);
    if (t == last) break;
    block.exchange.arrive(block.run.network.channels() * block.N);
    const bool continues = active && t < length;
    if (continues) {
      if (block.owner.exists) store_outputs(block, t, b);
      block.slots.advance();
      if (t + 1 < length)
        prefetch_step(block, t + 1, b);
      else
        block.zeroed_before = block.zeroed;
    }
    block.exchange.wait();
    if (continues) {
      const int slot = block.slots.now, channels = block.run.network.channels();
      block.exchange.receive(block.global_slot(slot), channels * block.N, [&](int k) {
        const float* vector = k < block.N ? block.y(slot) : block.c(slot);
        return static_cast<int>(vector - block.memory) + block.y_place(k < block.N ? k : k - block.N);
      });
    }
  }
  if (exists) end_element(block, b, length);
  __syncthreads();
}

template <Form form, Eligibility kind, ThreadShape shape>
__global__ void __launch_bounds__(max_threads(shape, form, kind != Eligibility::none), 1)
    resident_forward_kernel(const __grid_constant__ ResidentForward run) {
  PLASTICITY_DYNAMIC_SHARED(float, memory);
  ForwardBlock<kind, shape> block(run, memory);
  load_parameters(block);
  block.exchange.prepare();
  // All groups of a grid do the same number of elements: they synchronize together.
  const int B = static_cast<int>(run.params.B), groups = static_cast<int>(run.groups);
  const int first = static_cast<int>(blockIdx.x / static_cast<unsigned>(run.shape.blocks));
  const int end = block.exchange.kind == GroupKind::grid ? B + first : B;
#pragma unroll 1
  for (int b = first; b < end; b += groups) run_element<form>(block, b);
}

}  // namespace plasticity::cuda
