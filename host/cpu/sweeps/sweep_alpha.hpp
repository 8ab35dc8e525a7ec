#pragma once

#include "cpu/sweeps/sweep_tiles.hpp"

namespace plasticity::cpu {
namespace {

/// Adds the gradient of alpha of `rows` rows from i on, in `count` vectors from column j on. The traces and
/// the sums stay in registers over all reads.
template <Form form, Eligibility kind, int rows, int count, class Real>
PLASTICITY_INLINE inline void add_alpha_block(const SweepParams<Real>& params, const AlphaSweep<Real>& sweep,
                                              std::int64_t i, std::int64_t j) {
  using V = Vector<Real>;
  const std::int64_t stride = padded<Real>(params.N), first = i * stride + j;
  const V clip = splat<V>(params.clip);
  const auto constants = constants_of<form, V>(params);
  const TraceSource<Real>& reads = sweep.reads;
  V h[rows][count], e[rows][count]{}, sum[rows][count];
  for (int row = 0; row < rows; ++row) {
    load_block(h[row], reads.hebb + first + row * stride);
    if constexpr (kind != Eligibility::none) load_block(e[row], reads.eligibility + first + row * stride);
    load_block(sum[row], sweep.dalpha + first + row * stride);
  }
  for (std::int64_t k = 0; k < reads.count; ++k) {
    const UpdateVectors<Real>& update = reads.updates[k];
    V da[count];
    ColumnFactors<V> factors[count];
    load_block(da, sweep.da + k * sweep.da_distance + j);
    for (int v = 0; v < count; ++v) factors[v] = load_factors<form, kind, V>(update, j + v * lanes<V>);
    for (int row = 0; row < rows; ++row) {
      const V x = splat<V>(update.x[i + row]);
      for (int v = 0; v < count; ++v) {
        sum[row][v] = multiply_add(x * da[v], read_trace<form>(h[row][v], clip), sum[row][v]);
        update_connection<form, kind>(h[row][v], e[row][v], x, factors[v], constants);
      }
    }
  }
  for (int row = 0; row < rows; ++row) store_block(sweep.dalpha + first + row * stride, sum[row]);
}

/// Adds the gradient of alpha per connection of some steps.
template <Form form, Eligibility kind, class Real>
void sweep_alpha(const SweepParams<Real>& params, Columns columns, const AlphaSweep<Real>& sweep) {
  constexpr int wide = vector_bytes == 64 ? 2 : 1;  // the registers hold two or three vectors per connection
  for_tiles(params.P, [&](std::int64_t i0, std::int64_t i1) PLASTICITY_INLINE {
    for_blocks<Real, wide>(columns.first, columns.first + columns.count,
                           [&]<int count>(std::int64_t j) PLASTICITY_INLINE {
                             if (i1 - i0 == tile_rows) {
                               add_alpha_block<form, kind, tile_rows, count>(params, sweep, i0, j);
                               return;
                             }
                             for (std::int64_t i = i0; i < i1; ++i)
                               add_alpha_block<form, kind, 1, count>(params, sweep, i, j);
                           });
  });
}

}  // namespace
}  // namespace plasticity::cpu
