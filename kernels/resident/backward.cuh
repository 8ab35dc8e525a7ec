// A whole sequence backward in one launch. The gradients of an element's traces stay on chip, in one group of
// blocks. A step t, from length[b] down to 0:
//   ā of step t, for the block's own columns
//   G += α x ā;  x̄_i += Σ_j (W + α φ(H)) ā_j;  ᾱ_ij += x_i ā_j φ(H)            the plastic read of step t
//   G ← adjoint of the trace update;  x̄(t−1)_i += …;  q̄_j, l̄_j = Σ_i …         the trace update of step t−1
// in one pass over the block's slice. Each block sends its part of x̄ to the block that owns those rows, and
// broadcasts the gradients of its columns' rates. After the group's barrier the parts are added up. The sums
// have the library's order (sums.cuh, row_sums.cuh). H comes from a segment of K steps, replayed from its
// checkpoint by the thread that reads it. Grid: as forward (resident/shape.hpp). On chip: G and GE in
// registers; W, α and ᾱ in shared memory (ᾱ if there is room, else by another kernel). Bytes: the
// checkpoints, 4 B P N (2 in bfloat16) every K-th step. H is written and read once per step, 8 B P N. The
// same again for an eligibility trace. In an LSTM the gate weights, 12 B N N from L2. Barriers per step: one
// of the group, two of the block; with softmax one more of the group.
#pragma once

#include "resident/backward_column.cuh"

namespace plasticity::cuda {

/// The step of an element, and the properties of its traces.
struct ReverseStep {
  int t, b, length;
  bool reads, updates;  // the two parts
  bool cut;             // a reset between them
  int segment;          // the first step of the replayed segment
};

/// Zeros for the steps beyond the element's length.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ void clear_beyond(const BackwardBlock<form, kind, shape>& block, int b, int length) {
  const StepParams& p = block.p;
  const BackwardStep& step = block.step;
  const int gates = p.lstm ? 4 : 1, share = block.run.shape.share(), first = block.exchange.rank * share;
  for (int t = length; t < p.T; ++t) {
    const std::int64_t tb = t * p.B + b;
    for (int gate = 0; block.owns() && gate < gates; ++gate)
      step.da[(tb * gates + gate) * p.N + block.own_column()] = 0;
    if (block.owns() && step.drate != nullptr) step.drate[tb * p.N + block.own_column()] = 0;
    for (int k = static_cast<int>(threadIdx.x); step.dpre != nullptr && k < share && first + k < p.P;
         k += static_cast<int>(blockDim.x))
      step.dpre[tb * p.P + first + k] = 0;
  }
}

/// Loads the gradients of the final traces and the first values of the tape.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ void begin_element(BackwardBlock<form, kind, shape>& block, int b, int length) {
  const StepParams& p = block.p;
  const BackwardStep& step = block.step;
  const std::int64_t element = b * p.P * p.N;
  clear_traces(block.gradients);
  load_traces(block.gradients, block.at, p.P, p.N,
              {step.dfinal_hebb == nullptr ? nullptr : step.dfinal_hebb + element,
               step.dfinal_eligibility == nullptr ? nullptr : step.dfinal_eligibility + element});
  constexpr Chunk zero{};
  for (int chunk = 0; block.run.shape.sums_alpha && chunk < block.at.chunks; ++chunk)
    store_chunk(block.memory + block.layout.dalpha + block.at.chunk + chunk * chunk_stride, zero);
  for (int k = static_cast<int>(threadIdx.x); k < block.run.shape.share(); k += static_cast<int>(blockDim.x))
    block.carry()[k] = 0;
  if (length > 0) PresynapticCopy(block, length - 1, b).store(block.x(length - 1));
  if (!block.owns()) return;
  for (int k = 0; k < carried_sums; ++k) block.total(static_cast<CarriedSum>(k)) = 0;
  block.own(own_dpost) = block.own(own_drate) = block.own(own_dc) = 0;
  if (length == 0) return;
  block.own(own_post) = *step.record.post.at(length, b * p.N + block.own_column());
  block.own(own_M) = recorded_modulation(p, step.record, length - 1, b);
}

/// Sets the parts of step t.
__device__ inline void set_parts(ReverseStep& at, const StepParams& p, int t) {
  at.t = t;
  at.reads = t >= 0 && t < at.length;
  at.updates = t > 0 && t <= at.length;
  at.cut = at.reads && resets(p, t, at.b);
}

/// The traces that step t reads, in the segment. A reset sets them to zero.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ const float* traces_of(const BackwardBlock<form, kind, shape>& block,
                                                  const ReverseStep& at) {
  const int before = at.t > 0 ? at.t - 1 : 0, K = static_cast<int>(block.step.record.interval);
  return segment_slot(block, at.cut ? K : before - at.segment);
}

/// H before step t on a bfloat16 tape, if it is there; else null.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ const __nv_bfloat16* rounded_traces_of(
    const BackwardBlock<form, kind, shape>& block, const ReverseStep& at) {
  const StepParams& p = block.p;
  const int K = static_cast<int>(block.step.record.interval);
  if (K > 1 && (!at.reads || at.t % K != 0)) return nullptr;
  return static_cast<const __nv_bfloat16*>(block.step.record.hebb16) + (at.t / K * p.B + at.b) * p.P * p.N;
}

/// The pass of step t, and the thread's sums.
template <Form form, Eligibility kind, bool on_bf16, ThreadShape shape>
__device__ __forceinline__ void reverse_pass(BackwardBlock<form, kind, shape>& block, const ReverseStep& at,
                                             TraceRing<form, kind, shape>& ring) {
  const bool recurrent = block.p.cell != Cell::feedforward;
  BackwardColumns<shape> c;
  set_columns(block, at.updates && !at.cut, c);
  BackwardRows<form, kind, shape> rows(block, at.t);
  rows.x = block.own_rows(at.reads && !(recurrent && at.cut) ? block.x(at.t) : block.zero());
  rows.x_before = block.own_rows(at.updates && !at.cut ? block.x(at.t - 1) : block.zero());
  rows.source = traces_of(block, at);
  rows.rounded_now = nullptr;
  if constexpr (on_bf16) {
    rows.rounded_now = rounded_traces_of(block, at);
    if (rows.rounded_now != nullptr) {
      backward_pass<form, kind, true>(block, rows, ring, c);
    } else {
      backward_pass<form, kind, false>(block, rows, ring, c);
    }
  } else {
    backward_pass<form, kind, false>(block, rows, ring, c);
  }
  store_column_sums(block, c);
}

/// Step t of an element. All threads of the block call it.
template <Form form, Eligibility kind, bool on_bf16, ThreadShape shape>
__device__ __forceinline__ void reverse_step(BackwardBlock<form, kind, shape>& block, ReverseStep& at,
                                             const BackwardPoint& point, float doutput,
                                             TraceRing<form, kind, shape>& ring) {
  const StepParams& p = block.p;
  if (block.owns()) {
    if (at.reads) {
      compute_da(block, point, doutput);
    } else {
      clear_da(block);
    }
    if (at.updates) {
      block.own(own_rate) = rate_of_owner(block, block.own(own_M), at.t - 1, at.b);
      block.own(own_y) = block.own(own_post);
      store_factors(block, block.factors(0), static_cast<int>(threadIdx.x), block.own(own_rate),
                    block.own(own_y));
    }
    if (!at.updates || at.cut) clear_factors(block);
  }
  const int before = at.t > 0 ? at.t - 1 : 0, K = static_cast<int>(block.step.record.interval);
  if (before < at.segment) {
    at.segment -= K;
    const int end = at.segment + K < at.length ? at.segment + K : at.length;
    replay_segment<on_bf16>(block, at.segment, end, at.b);
    fill_ring(block, traces_of(block, at), ring);
  }
  __syncthreads();
  if (p.lstm && at.reads) gate_rows(block);
  reverse_pass<form, kind, on_bf16>(block, at, ring);
  if (at.cut) clear_traces(block.gradients);
  // The first chunks of the next step, unless it begins another segment.
  if (at.t > 0 && (at.t > 1 ? at.t - 2 : 0) >= at.segment) {
    ReverseStep next = at;
    set_parts(next, p, at.t - 1);
    fill_ring(block, traces_of(block, next), ring);
  }
  const PresynapticCopy x(block, at.t > 1 ? at.t - 2 : 0, at.b);
  __syncthreads();
  if (block.owns()) finish_column_sums(block, at.t, at.reads, at.updates);
  if (at.t > 1) x.store(block.x(at.t - 2));
}

/// Writes the gradients of the initial state and the sums of the element.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ void end_element(BackwardBlock<form, kind, shape>& block, int b, int length) {
  const StepParams& p = block.p;
  const BackwardStep& step = block.step;
  const std::int64_t element = b * p.P * p.N, bj = b * p.N + block.own_column();
  store_traces(block.gradients, block.at, p.P, p.N,
               {step.dinitial_hebb == nullptr ? nullptr : step.dinitial_hebb + element,
                step.dinitial_eligibility == nullptr ? nullptr : step.dinitial_eligibility + element});
  for (int chunk = 0; block.run.shape.sums_alpha && chunk < block.at.chunks; ++chunk) {
    Chunk sums;
    load_chunk(block.memory + block.layout.dalpha + block.at.chunk + chunk * chunk_stride, sums);
    store_matrix_chunk(block.at, block.run.partial_alpha + element, p.P, p.N, false, chunk, sums,
                       [](float value) { return value; });
  }
  const bool any = length > 0, feedforward = p.cell == Cell::feedforward, cut = any && resets(p, 0, b);
  if (any) {
    receive_rows(block, 0);
    if (feedforward) write_dpre(block, 0, b, true);
  }
  if (!block.owns()) return;
  const auto initial = [&](float carried, const float* final) {
    if (any) return cut ? 0.0f : carried;
    return final == nullptr ? 0.0f : final[bj];
  };
  if (!feedforward) {
    const float dx = any ? take_row(block, 0, static_cast<int>(threadIdx.x)) : 0;
    if (step.dinitial_y != nullptr) step.dinitial_y[bj] = initial(dx, step.dfinal_y);
  }
  if (step.dinitial_c != nullptr) step.dinitial_c[bj] = initial(block.own(own_dc), step.dfinal_c);
  step.sum_alpha[bj] = block.total(total_alpha);
  step.sum_eta[bj] = block.total(total_eta);
  step.sum_v[bj] = block.total(total_v);
  if (block.own_column() == 0) step.sum_v0[b] = block.total(total_v0);
  step.sum_fan[bj] = block.total(total_fan);
  step.sum_fan_bias[bj] = block.total(total_fan_bias);
}

/// The values that the group sends to this block in a step: the parts of its rows, and of each column the
/// gradient of its rate.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ int values_to_block(const BackwardBlock<form, kind, shape>& block,
                                               const ReverseStep& at) {
  const int share = block.run.shape.share(), left = static_cast<int>(block.p.P) - block.exchange.rank * share;
  const int rows = left < 0 ? 0 : (left < share ? left : share);
  return rows * block.layout.pieces * 2 + (at.updates && block.p.modulator_weight != nullptr ? block.N : 0);
}

/// All steps of element b. In a grid b may not exist: all blocks still pass the barriers.
template <Form form, Eligibility kind, bool on_bf16, ThreadShape shape>
__device__ __forceinline__ void reverse_element(BackwardBlock<form, kind, shape>& block, int b) {
  const StepParams& p = block.p;
  const bool exists = b < p.B, softmax = p.activation == Activation::softmax;
  const int length = exists ? static_cast<int>(length_of(p, b)) : 0, T = static_cast<int>(p.T);
  const int K = static_cast<int>(block.step.record.interval);
  if (exists) {
    clear_beyond(block, b, length);
    begin_element(block, b, length);
  }
  ReverseStep at{};
  at.b = b;
  at.length = length;
  at.segment = length > 0 ? ((length - 1) / K + 1) * K : 0;
  TraceRing<form, kind, shape> ring;
  // No block may send to another before that one has begun. Under the executor all have, so no test sees
  // this.
  block.exchange.sync();  // mutate: skip, see above
  // All blocks of a grid synchronize as often as the longest element needs.
#pragma unroll 1
  for (int t = block.exchange.kind == GroupKind::grid ? T : length; t >= 0; --t) {
    set_parts(at, p, t);
    const bool active = exists && (at.reads || at.updates), reads = active && at.reads;
    BackwardPoint point{t, b, length, 0, 0};
    const float doutput = reads ? begin_reads(block, point) : 0;
    if (softmax && t < T) {  // the same for all blocks that synchronize
      block.exchange.arrive(reads ? block.N : 0);
      block.exchange.wait();
      if (reads) point.inner = softmax_inner(block, point);
    }
    if (active) reverse_step<form, kind, on_bf16>(block, at, point, doutput, ring);
    block.exchange.arrive(active ? values_to_block(block, at) : 0);
    const Prefetched next = active ? prefetch_step(block, t, b) : Prefetched{};
    block.exchange.wait();
    if (active) keep_prefetched(block, next);
    if (active && t > 0 && p.modulator_weight != nullptr) {
      block.exchange.receive(block.global_dg(t - 1), block.N,
                             [&](int j) { return block.dg_place(t - 1, j); });
    }
  }
  if (exists) end_element(block, b, length);
  __syncthreads();  // mutate: skip, the next element's barrier comes before a thread reads another's value
}

/// `on_bf16`: the tape is rounded to bfloat16.
template <Form form, Eligibility kind, ThreadShape shape, bool on_bf16>
__global__ void __launch_bounds__(max_threads(shape, form, kind != Eligibility::none, on_bf16), 1)
    resident_backward_kernel(const __grid_constant__ ResidentBackward run) {
  PLASTICITY_DYNAMIC_SHARED(float, memory);
  BackwardBlock<form, kind, shape> block(run, memory);
  load_parameters(block);
  block.exchange.prepare();
  clear_last_slot(block);
  int b = block.group;
#pragma unroll 1
  do {
    reverse_element<form, kind, on_bf16>(block, b);
    b += static_cast<int>(run.groups);
  } while (b < block.end());
}

}  // namespace plasticity::cuda
