// The pass of a step over the traces of a block's columns, forward:
//   H ← update of step t − 1, and E likewise;  s_j = Σ_i x_i (w_ij + α_ij φ(H_ij))
// A thread has V columns of every 32nd row (V = 4), or of every 8th (V = 1). With V = 4 it copies the rows of
// an update ahead (ahead.cuh); else it loads several rows before it computes. One or two batch elements share
// the loads of w and α.
#pragma once

#include "step/ahead.cuh"
#include "step/sums.cuh"
#include "step/traces.cuh"

namespace plasticity::cuda {

/// The inputs and outputs of a thread for one batch element. Pointers are at the thread's first row and
/// column.
template <Eligibility kind, int V>
struct ElementPass {
  const float *x, *x_before;  // x of this step, and of the update
  TracePointers<kind, const float> in;
  TracePointers<kind, float> out;
  TracePointers<kind, __nv_bfloat16> rounded;  // a bfloat16 checkpoint; null: none
  float retention[V], gain[V], y[V];
  UpdateConstants<float> constants;
  float clip;  // of the rule

  __device__ __forceinline__ ColumnFactors<float> factors(int k) const {
    return {retention[k], gain[k], y[k]};
  }
};

/// The rows that a pass with updates copies ahead.
template <Eligibility kind, int elements>
using ForwardAhead = RowsAhead<forward_streams(kind, elements), forward_stages<kind, elements>>;

/// Asks for the first rows of the traces before the update, of w and of α.
template <Eligibility kind, int elements>
__device__ __forceinline__ ForwardAhead<kind, elements> copy_ahead(const StepParams& p,
                                                                   const ThreadTile<4>& at, RowPart* shared,
                                                                   const ElementPass<kind, 4>* e) {
  constexpr int groups = ThreadTile<4>::groups, traces = kind == Eligibility::none ? 1 : 2,
                w = traces * elements;
  const std::int64_t row = groups * p.N;
  ForwardAhead<kind, elements> ahead(shared, at.inside ? at.rows(p.P) : 0, p.alpha_row != 0);
#pragma unroll
  for (int b = 0; b < elements; ++b) {
    ahead.set(traces * b, e[b].in.hebb, row);
    if constexpr (kind != Eligibility::none) ahead.set(traces * b + 1, e[b].in.eligibility, row);
  }
  ahead.set(w, p.w + at.group * p.N + at.column, row);
  ahead.set(w + 1, p.alpha + at.group * p.alpha_row + at.loaded, groups * p.alpha_row);
  ahead.start();
  return ahead;
}

/// The pass with updates for `elements` batch elements, from rows that are copied ahead. `rounds`: the traces
/// are stored in a checkpoint too.
template <Form form, Eligibility kind, int elements, bool rounds>
__device__ __forceinline__ void update_and_read_ahead(const StepParams& p, const ThreadTile<4>& at,
                                                      ForwardAhead<kind, elements>& ahead,
                                                      ElementPass<kind, 4>* e, ThreadSums<4>* s) {
  constexpr int V = 4, groups = ThreadTile<V>::groups, traces = kind == Eligibility::none ? 1 : 2,
                streams = traces * elements, stages = forward_stages<kind, elements>;
  static_assert(classes_per_thread<V> == 1);
  const std::int64_t row = groups * p.N;
  const bool matrix = p.alpha_row != 0;
  const int count = at.inside ? at.rows(p.P) : 0;
  float alpha[V], x[elements], x_before[elements];
#pragma unroll
  for (int k = 0; k < V; ++k) alpha[k] = matrix ? 0 : p.alpha[(at.loaded + k) * p.alpha_column];
#pragma unroll
  for (int b = 0; b < elements; ++b) {
    x[b] = count > 0 ? __ldg(e[b].x) : 0;
    x_before[b] = count > 0 ? __ldg(e[b].x_before) : 0;
  }
#pragma unroll 1
  for (int first = 0; first < count; first += stages) {
#pragma unroll
    for (int stage = 0; stage < stages; ++stage) {
      if (first + stage >= count) break;
      ahead.next(stage);
      float w[V], x_next[elements], x_before_next[elements];
#pragma unroll
      for (int b = 0; b < elements; ++b) {
        x_next[b] = x_before_next[b] = 0;
        if (first + stage + 1 >= count) continue;
        x_next[b] = __ldg(e[b].x + (stage + 1) * groups);
        x_before_next[b] = __ldg(e[b].x_before + (stage + 1) * groups);
      }
      ahead.load(stage, streams, w);
      if (matrix) ahead.load(stage, streams + 1, alpha);
#pragma unroll
      for (int b = 0; b < elements; ++b) {
        TracePair<kind, V> trace;
        ahead.load(stage, traces * b, trace.h);
        if constexpr (kind != Eligibility::none) ahead.load(stage, traces * b + 1, trace.e);
#pragma unroll
        for (int k = 0; k < V; ++k) {
          trace.template update<form>(k, x_before[b], e[b].factors(k), e[b].constants);
          const float read = read_trace<form>(trace.h[k], e[b].clip);
          s[b][0][k] = multiply_add(x[b], multiply_add(alpha[k], read, w[k]), s[b][0][k]);
        }
        trace.store(e[b].out);
        e[b].out = e[b].out + row;
        if constexpr (rounds) {
          trace.template store_rounded<form>(e[b].rounded, e[b].clip);
          e[b].rounded = e[b].rounded + row;
        }
        x[b] = x_next[b], x_before[b] = x_before_next[b];
      }
    }
#pragma unroll
    for (int b = 0; b < elements; ++b) {
      e[b].x += stages * groups;
      e[b].x_before += stages * groups;
    }
  }
}

/// The pass of one batch element. `updates`: else the traces are only read. `rounds`: the traces are stored
/// in a checkpoint too, if there is one. Adds to the sums.
template <Form form, Eligibility kind, int V, bool updates, bool rounds>
__device__ __forceinline__ void update_and_read(const StepParams& p, const ThreadTile<V>& at,
                                                ElementPass<kind, V>& e, ThreadSums<V>& s) {
  constexpr int groups = ThreadTile<V>::groups,
                rows = updates && !rounds ? forward_rows : classes_per_thread<V>;
  static_assert(rows % classes_per_thread<V> == 0);
  const std::int64_t distance = std::int64_t{groups} * p.N;
  const bool matrix = p.alpha_row != 0;
  const float* w_row = p.w + at.group * p.N + at.column;
  const float* alpha_row = p.alpha + at.group * p.alpha_row + at.loaded * p.alpha_column;
  float alpha[rows][V];
#pragma unroll
  for (int r = 0; r < rows; ++r) {
#pragma unroll
    for (int k = 0; k < V; ++k) alpha[r][k] = matrix ? 0 : alpha_row[k * p.alpha_column];
  }
  // `existing`: rows that exist; all of them in the loop, so that it has no branch.
  const auto add_rows = [&](int existing) {
    TracePair<kind, V> traces[rows];
    float w[rows][V], x[rows], x_before[rows];
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      if (r >= existing) continue;
      const std::int64_t offset = r * distance;
      traces[r].load_hebb(e.in + offset);
      if constexpr (updates || rounds) traces[r].load_eligibility(e.in + offset);
      if constexpr (updates) x_before[r] = __ldg(e.x_before + r * groups);
      x[r] = __ldg(e.x + r * groups);
      load_weights(w_row + offset, w[r]);
      if (matrix) load_weights(alpha_row + offset, alpha[r]);
    }
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      if (r >= existing) continue;
#pragma unroll
      for (int k = 0; k < V; ++k) {
        if constexpr (updates) traces[r].template update<form>(k, x_before[r], e.factors(k), e.constants);
        const float read = read_trace<form>(traces[r].h[k], e.clip);
        float& sum = s[r % classes_per_thread<V>][k];
        sum = multiply_add(x[r], multiply_add(alpha[r][k], read, w[r][k]), sum);
      }
      if constexpr (updates) traces[r].store(e.out + r * distance);
      if constexpr (rounds) {
        if (e.rounded.hebb != nullptr)
          traces[r].template store_rounded<form>(e.rounded + r * distance, e.clip);
      }
    }
    e.x += rows * groups;
    if constexpr (updates) e.x_before += rows * groups;
    e.in = e.in + rows * distance;
    if constexpr (updates) e.out = e.out + rows * distance;
    if constexpr (rounds) {
      if (e.rounded.hebb != nullptr) e.rounded = e.rounded + rows * distance;
    }
    w_row += rows * distance;
    if (matrix) alpha_row += rows * distance;
  };
  int left = at.inside ? at.rows(p.P) : 0;
#pragma unroll 1
  for (; left >= rows; left -= rows) add_rows(rows);
  if (rows > 1 && left > 0) add_rows(left);
}

/// Sets the traces of a batch element to zero.
template <Eligibility kind, int V>
__device__ __forceinline__ void clear_traces(const StepParams& p, const ThreadTile<V>& at,
                                             const ElementPass<kind, V>& e) {
  const std::int64_t row = std::int64_t{ThreadTile<V>::groups} * p.N;
  TracePair<kind, V> zero;
  zero.set_zero();
  const int count = at.inside ? at.rows(p.P) : 0;
  for (int r = 0; r < count; ++r) {
    zero.store(e.out + r * row);
    if (e.rounded.hebb != nullptr) zero.template store_rounded<Form::linear>(e.rounded + r * row, 1);
  }
}

}  // namespace plasticity::cuda
