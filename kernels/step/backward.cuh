// One launch of backward, at step t of the whole batch, from T down to 0:
//   ā of step t (adjoint.cuh)
//   the pass over the traces (backward_pass.cuh): the plastic read of step t, and the trace update of step
//   t−1
// The launch at t = length[b] has only the second part, with the upstream gradient of the final trace. The
// launch at t = 0 has only the first, and writes the gradient of the initial trace. Grid: one block of 256
// threads per tile of 32 postsynaptic columns and per one or two batch elements, as in forward. On chip: the
// sums over rows, and the next rows of every thread. Sums over columns are stored per row and tile, and the
// next launch adds the tiles in order. No two threads write one address, so the bits are the same every time.
// Bytes: G read and written, 8 B P N, and the trace read, 4 B P N (once as float, twice as bfloat16); the
// same again for an eligibility trace. From L2: W and α, 8 P N per block of batch elements, and in an LSTM
// the gate weights, 12 N N.
#pragma once

#include <algorithm>

#include "step/backward_sums.cuh"
#include "step/launch.hpp"

namespace plasticity::cuda {

/// Computes ā of step t for the tile's columns, into shared memory and step.da. One warp calls it.
__device__ inline void compute_da(const BackwardStep& step, const BackwardElement& element, int tile,
                                  TileGradients& da) {
  const StepParams& p = step.params;
  const OwnColumn own(p, tile);
  const int width = p.lstm ? 4 : 1;
  const std::int64_t row = (step.t * p.B + element.b) * width * p.N + own.j;
  float mine[4] = {};
  if (element.reads) {
    RateGradient rate{};
    float arriving = 0;
    if (own.exists) {
      rate.load(step, step.t, element.b, own.j);
      arriving = arriving_gradient(step, step.t, element.b, element.length, own.j);
    }
    const BackwardPoint point = reduce_columns(step, element.b, element.length);
    if (own.exists) {
      column_gradients(step, point, own.j, arriving, mine);
      rate.add(step, point, own.j);
    }
  } else if (own.exists && step.t < p.T && step.drate != nullptr) {
    step.drate[(step.t * p.B + element.b) * p.N + own.j] = 0;
  }
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    da[gate][lane_id()] = mine[gate];
    if (gate < width && own.exists && step.t < p.T) step.da[row + gate * p.N] = mine[gate];
  }
}

/// dpre of step t + 1: the gradient of its x has been complete since the previous launch.
__device__ inline void write_dpre_of_next(const BackwardStep& step, const BackwardElement& element,
                                          int tile) {
  const StepParams& p = step.params;
  const std::int64_t t = step.t + 1, b = element.b;
  if (step.dpre == nullptr || t >= p.T) return;
  for (std::int64_t i = std::int64_t{tile} * block_threads + threadIdx.x; i < p.P;
       i += std::int64_t{p.tiles} * block_threads) {
    step.dpre[(t * p.B + b) * p.P + i] = t < element.length ? dx_total(step, t, b, i) : 0;
  }
}

/// Computes ā of step t for the block's elements, into shared memory and step.da, and dpre of step t + 1. All
/// threads call it.
__device__ __forceinline__ void begin_block(const BackwardStep& step, const BlockTile& block,
                                            TileGradients (&da)[max_elements]) {
  if (warp_id() < max_elements) {
    if (warp_id() < block.elements) {
      compute_da(step, BackwardElement(step, block.first + warp_id()), block.tile, da[warp_id()]);
    } else {
      for (int gate = 0; gate < 4; ++gate) da[warp_id()][gate][lane_id()] = 0;
    }
  }
  for (int e = 0; e < block.elements; ++e)
    write_dpre_of_next(step, BackwardElement(step, block.first + e), block.tile);
  __syncthreads();
}

/// ā and the passes of all elements of the block.
template <Form form, Eligibility kind, class Trace, int V, int most>
__device__ __forceinline__ void reverse_elements(const BackwardStep& step, const BlockTile& block,
                                                 const ThreadTile<V>& at, RowPart* shared,
                                                 TileGradients (&da)[max_elements],
                                                 TileGradientSums<form, kind> (&tiles)[most]) {
  constexpr bool copies = copies_ahead<Trace, V>;
  const StepParams& p = step.params;
  const Clips clips{p.clip, sizeof(Trace) < sizeof(float) ? rounded_clip(p.clip).bound : p.clip};
  const BackwardElement one(step, block.first), other(step, block.first + block.elements - 1);
  const bool two = most > 1 && block.elements == 2, together = two && one.regular() && other.regular(),
             started = copies && one.regular();
  if constexpr (copies) {
    if constexpr (most > 1) {
      if (together) start_ahead<form, kind, 2>(step, at, block.tile, {&one, &other}, shared);
    }
    if (started && !together) start_ahead<form, kind, 1>(step, at, block.tile, {&one}, shared);
  }
  const auto first = load_factors<form, kind>(step, at, one);
  UpdateFactors<V> second{};
  if (two) second = load_factors<form, kind>(step, at, other);
  begin_block(step, block, da);
  if constexpr (copies && most > 1) {
    if (together)
      return reverse_ahead<form, kind, 2>(step, at, block.tile, {&one, &other}, 0, {&first, &second}, true,
                                          shared, clips, da, tiles);
  }
#pragma unroll 1
  for (int e = 0; e < (two ? 2 : 1); ++e) {
    const BackwardElement element = e == 0 ? one : other;
    if (element.not_started) continue;
    const UpdateFactors<V> factors = e == 0 ? first : second;
    if constexpr (copies) {
      if (element.regular()) {
        reverse_ahead<form, kind, 1>(step, at, block.tile, {&element}, e, {&factors}, started && e == 0,
                                     shared, clips, da, tiles);
        continue;
      }
    }
    reverse_alone<form, kind, Trace>(step, at, block.tile, element, factors, clips, da[e], tiles[e]);
  }
}

/// The tile's part of x̄ of step t: Σ_j of a row's weights and ā. `add_products(i, exists, leaf)` adds the
/// products of row i to `leaf`, per element and column. `adds`: to the part that is stored; else in its
/// place.
template <bool adds, int V, class AddProducts>
__device__ __forceinline__ void sum_row_products(const BackwardStep& step, const BlockTile& block,
                                                 const ThreadTile<V>& at, AddProducts add_products) {
  const StepParams& p = step.params;
  const bool stores = threadIdx.x % ThreadTile<V>::lanes < max_elements;
  const int which = row_sum_of_lane<V, max_elements>(), total = at.max_rows(p.P), own = at.rows(p.P);
  const std::int64_t b = block.first + (which > 0 ? which : 0);
  const bool reads = which >= 0 && which < block.elements && step.t < length_of(p, b);
  float* dx = step.dx_read.at(step.t % 2, (b * p.tiles + block.tile) * p.P);
#pragma unroll 2
  for (int r = 0; r < total; ++r) {
    const std::int64_t i = at.group + std::int64_t{r} * ThreadTile<V>::groups;
    float leaf[max_elements][V] = {}, sums[max_elements];
    add_products(i, r < own && at.inside, leaf);
#pragma unroll
    for (int e = 0; e < max_elements; ++e) sums[e] = join_columns<V>(leaf[e]);
    const float sum = share_row_sums<V, max_elements>(sums);
    if (stores && reads && r < own) dx[i] = adds ? dx[i] + sum : sum;
  }
}

/// Adds the products of one row's weights and ā of `gate` to `leaf`. `first`: nothing has been added yet.
template <int V>
__device__ __forceinline__ void add_row_products(const float* row, bool exists, bool first, int gate,
                                                 const ThreadTile<V>& at,
                                                 const TileGradients (&da)[max_elements],
                                                 float (&leaf)[max_elements][V]) {
  float w[V] = {};
  if (exists) load_weights(row + at.column, w);
#pragma unroll
  for (int e = 0; e < max_elements; ++e) {
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const float da_gate = da[e][gate][at.loaded % tile_columns + k];
      leaf[e][k] = first ? rounded_product(w[k], da_gate) : multiply_add(w[k], da_gate, leaf[e][k]);
    }
  }
}

/// In an LSTM: adds Σ_j of each row's gate weights and ā of the gates to the tile's part of x̄ of step t.
template <int V>
__device__ __forceinline__ void add_gate_rows(const BackwardStep& step, const BlockTile& block,
                                              const ThreadTile<V>& at,
                                              const TileGradients (&da)[max_elements]) {
  const StepParams& p = step.params;
  sum_row_products<true>(step, block, at, [&](std::int64_t i, bool exists, float(&leaf)[max_elements][V]) {
#pragma unroll
    for (int gate = 0; gate < 3; ++gate)
      add_row_products(p.w_gates + (3 * i + gate) * p.N, exists, gate == 0, gate == 2 ? 3 : gate, at, da,
                       leaf);
  });
}

/// The inputs of the adjoint of a column's factors, besides the sums over rows: the rate and y of the
/// column that a thread finishes. Each thread loads its own before the pass, and keeps them in shared memory.
struct OwnUpdates {
  float rate[max_elements][tile_columns], y[max_elements][tile_columns];

  __device__ __forceinline__ void load(const BackwardStep& step, const BlockTile& block) {
    const StepParams& p = step.params;
    const OwnColumn own(p, block.tile);
    if (warp_id() >= block.elements || !own.exists) return;
    const BackwardElement element(step, block.first + warp_id());
    if (!element.updates) return;
    const RecordedUpdate update(p, step.record, step.t - 1, element.b, own.j);
    rate[warp_id()][lane_id()] = update.rate;
    y[warp_id()][lane_id()] = update.y;
  }
};

/// Adds up the sums over rows, and stores those that the launch of step t − 1 reads. One warp per batch
/// element.
template <Form form, Eligibility kind>
__device__ __forceinline__ void finish_column_sums(const BackwardStep& step, const BackwardElement& element,
                                                   int tile, const OwnUpdates& updates,
                                                   const TileGradients& da,
                                                   const TileGradientSums<form, kind>& sums) {
  const StepParams& p = step.params;
  const OwnColumn own(p, tile);
  const int column = lane_id();
  const std::int64_t t = step.t, b = element.b, bj = b * p.N + own.j;
  if (!own.exists) return;
  if (element.updates) {
    RuleFactors<float> factors{0, sum_of_classes(sums.sums[sums.gain], column)};
    if constexpr (has_retention<form>) factors.retention = sum_of_classes(sums.sums[sums.retention], column);
    auto [rate, y] =
        rule_factors_adjoint<form, kind>(p.rule, updates.rate[warp_id()][column],
                                         updates.y[warp_id()][column], factors, RuleConstants<float>{p.clip});
    if constexpr (kind != Eligibility::none) {
      y += sum_of_classes(sums.sums[sums.y], column);
      step.sum_eta[bj] += sum_of_classes(sums.sums[sums.eta], column);
    }
    *step.dpost.at((t + 1) % 2, bj) = y;
    *step.dg.at((t + 1) % 2, bj) = rate;
  }
  if (element.reads && p.alpha_row == 0)
    step.sum_alpha[bj] = multiply_add(da[p.lstm ? 2 : 0][column],
                                      sum_of_classes(sums.sums[sums.alpha], column), step.sum_alpha[bj]);
}

template <Form form, Eligibility kind, class Trace, int V>
__global__ void __launch_bounds__(block_threads, backward_blocks)
    backward_kernel(const __grid_constant__ BackwardStep step) {
  using Sums = TileGradientSums<form, kind>;
  PLASTICITY_SHARED(TileGradients, da, [max_elements]);
  PLASTICITY_SHARED(Sums, sums, [backward_elements<kind, Trace, V>]);
  PLASTICITY_SHARED(OwnUpdates, updates, [1]);
  RowPart* shared = nullptr;
  if constexpr (copies_ahead<Trace, V>) {
    PLASTICITY_DYNAMIC_SHARED(RowPart, rows);
    shared = rows;
  }
  const StepParams& p = step.params;
  const BlockTile block(p, step.elements, step.t);
  const ThreadTile<V> at(p, block.tile);
  updates[0].load(step, block);
  reverse_elements<form, kind, Trace, V>(step, block, at, shared, da, sums);
  __syncthreads();
  if (p.lstm) add_gate_rows(step, block, at, da);
  if (warp_id() >= block.elements) return;
  const BackwardElement element(step, block.first + warp_id());
  if (!element.not_started)
    finish_column_sums<form, kind>(step, element, block.tile, updates[0], da[warp_id()], sums[warp_id()]);
}

/// Dynamic shared memory of a launch: the copies of a pass for one or for two elements.
constexpr std::size_t backward_shared(Eligibility kind, Variant variant) {
  const auto bytes = [&](int elements) {
    return ahead_bytes(backward_streams(kind, elements), rows_ahead_backward(kind, elements));
  };
  if (!variant.wide || variant.bf16) return 0;
  return kind == Eligibility::none ? std::max(bytes(1), bytes(2)) : bytes(1);
}

}  // namespace plasticity::cuda
