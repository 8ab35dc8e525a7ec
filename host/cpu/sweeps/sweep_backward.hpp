#pragma once

#include "cpu/sweeps/sweep_tiles.hpp"

namespace plasticity::cpu {
namespace {

/// Reverses a read, an update, or both, of `elements` batch elements.
template <Rule rule, Eligibility kind, bool reads, bool updates, bool per_connection, int elements,
          class Real>
void sweep_backward(const Connection<Real>& c, Columns columns, const BackwardSweep<Real>* sweeps) {
  using V = Vector<Real>;
  const std::int64_t N = c.N, stride = padded<Real>(N);
  const V eta = splat<V>(c.eta), clip = splat<V>(c.clip);
  const Real *const w_rows = c.w.at, *const alpha_rows = c.alpha.at;
  const std::int64_t alpha_row = per_connection ? stride : c.alpha.stride;
  const SweepCopies<BackwardSweep<Real>, elements> at(sweeps);
  Real* const dalpha_rows = at[0].read.dalpha;
  V dx_read[elements][tile_rows]{}, dx_update[elements][tile_rows]{};  // partial sums per row of a tile
  // The traces of a tile, from the first column of the share on: stored, or recomputed into h_tile and
  // e_tile.
  constexpr std::int64_t tile_size = tile_rows * widest_share;
  constexpr bool eligible = updates && kind != Eligibility::none;
  alignas(64) Real h_tile[elements][tile_size], e_tile[elements][eligible ? tile_size : 1];
  TraceRows<const Real> traces[elements];
  const auto prepare_traces = [&](std::int64_t i0, std::int64_t i1) {
    for (int b = 0; b < elements; ++b) {
      const TraceSource<Real>& before = at[b].before;
      const std::int64_t first = i0 * stride + columns.first;
      traces[b] = {before.hebb + first, eligible ? before.eligibility + first : nullptr, stride};
      if (before.count == 0) continue;
      advance<rule, kind>(c, columns, before, i0, i1, {h_tile[b], e_tile[b], columns.count});
      traces[b] = {h_tile[b], e_tile[b], columns.count};
    }
  };
  const auto block = [&]<int count, bool tail>(std::int64_t j, std::int64_t i0,
                                               std::int64_t i1) PLASTICITY_INLINE {
    ColumnDrive<rule, kind, V> drive[elements][count];
    V da[elements][count]{}, dy[elements][count]{}, drate[elements][count]{}, deta[elements][count]{},
        dalpha[elements][count]{};
    for (int b = 0; b < elements; ++b) {
      if constexpr (reads) load_block(da[b], at[b].read.da + j);
      if constexpr (updates) {
        for (int k = 0; k < count; ++k) drive[b][k] = {at[b].update.factors, j + k * lanes<V>};
        if (i0 > 0) {
          load_block(dy[b], at[b].update.dy + j);
          load_block(drate[b], at[b].update.drate + j);
        }
      }
    }
    // Padding is masked in sums over j, because zero times infinity is NaN.
    const auto valid = are_columns<Real>(tail ? j : 0, N);
    const auto column_only = [&](V value)
                                 PLASTICITY_INLINE { return tail ? select(valid, value, V{}) : value; };
    for (std::int64_t i = i0; i < i1; ++i) {
      V x_read[elements]{}, x_update[elements]{};
      for (int b = 0; b < elements; ++b) {
        if constexpr (reads) x_read[b] = splat<V>(at[b].read.x[i]);
        if constexpr (updates) x_update[b] = splat<V>(at[b].update.factors.x[i]);
      }
      for (int k = 0; k < count; ++k) {
        const std::int64_t column = j + k * lanes<V>, ij = i * stride + column;
        V w{}, alpha{}, dalpha_ij{}, h[elements], G[elements], GE[elements]{}, e[elements]{};
        if constexpr (reads) {
          w = load<V>(w_rows + ij);
          alpha = load<V>(alpha_rows + alpha_row * i + column);
          if constexpr (per_connection) dalpha_ij = load<V>(dalpha_rows + ij);
        }
        for (int b = 0; b < elements; ++b) {
          const std::int64_t place = (i - i0) * traces[b].distance + column - columns.first;
          h[b] = load<V>(traces[b].hebb + place);
          G[b] = load<V>(at[b].G + ij);
          if constexpr (eligible) {
            GE[b] = load<V>(at[b].GE + ij);
            e[b] = load<V>(traces[b].eligibility + place);
          }
        }
        for (int b = 0; b < elements; ++b) {
          const auto& d = drive[b][k];
          const V product = d.product(x_update[b]);
          if constexpr (reads) {
            V h_now = h[b];
            if constexpr (updates) {
              V e_now = e[b];
              update_traces<rule, kind>(h_now, e_now, product, d.rate, d.y, eta, clip);
            }
            const V h_read = TraceRule<rule>::read(h_now, clip), x_da = x_read[b] * da[b][k];
            G[b] = multiply_add(alpha, TraceRule<rule>::through_read(h_now, clip, x_da), G[b]);
            V& sum = per_connection ? dalpha_ij : dalpha[b][k];
            sum = multiply_add(x_da, h_read, sum);
            V& row = dx_read[b][i - i0];
            row = multiply_add(column_only(multiply_add(alpha, h_read, w)), da[b][k], row);
          }
          if constexpr (updates) {
            const TraceAdjoint<V> adjoint =
                reverse_traces<rule, kind>(G[b], GE[b], h[b], e[b], product, d.rate, d.y, eta, clip);
            V& row = dx_update[b][i - i0];
            if constexpr (rate_first<rule, kind>) {
              row += column_only(adjoint.product);
              dy[b][k] += adjoint.rate;
            } else {
              row = multiply_add(column_only(adjoint.product), column_only(d.y), row);
              dy[b][k] = multiply_add(adjoint.product, x_update[b], dy[b][k] + adjoint.y);
              drate[b][k] += adjoint.rate;
            }
            if constexpr (kind != Eligibility::none) {
              store(at[b].GE + ij, GE[b]);
              deta[b][k] += adjoint.eta;
            }
          }
          store(at[b].G + ij, G[b]);
        }
        if constexpr (reads && per_connection) store(dalpha_rows + ij, dalpha_ij);
      }
    }
    for (int b = 0; b < elements; ++b) {
      if constexpr (updates) {
        store_block(at[b].update.dy + j, dy[b]);
        store_block(at[b].update.drate + j, drate[b]);
        if constexpr (kind != Eligibility::none) add_block(at[b].update.deta + j, deta[b]);
      }
      if constexpr (reads && !per_connection) add_block(at[b].read.dalpha + j, dalpha[b]);
    }
  };
  for_tiles(c.P, [&](std::int64_t i0, std::int64_t i1) PLASTICITY_INLINE {
    prepare_traces(i0, i1);
    for_columns<Real, 2>(N, columns, [&]<int count, bool tail>(std::int64_t j) PLASTICITY_INLINE {
      block.template operator()<count, tail>(j, i0, i1);
    });
    for (int b = 0; b < elements; ++b) {
      if constexpr (reads) store_sums(at[b].read.dx + i0, dx_read[b], i1 - i0);
      if constexpr (updates) store_sums(at[b].update.dx + i0, dx_update[b], i1 - i0);
      for (std::int64_t row = 0; row < tile_rows; ++row) dx_read[b][row] = dx_update[b][row] = V{};
    }
  });
  if constexpr (updates && rate_first<rule, kind>) {
    // Up to here dy holds the gradient of g_j y_j.
    for (int b = 0; b < elements; ++b) {
      const UpdateAdjoint<Real>& update = at[b].update;
      for (std::int64_t j = columns.first; j < columns.first + columns.count; j += lanes<V>) {
        const V gradient = load<V>(update.dy + j);
        store(update.drate + j, gradient * load<V>(update.factors.y + j));
        store(update.dy + j, gradient * load<V>(update.factors.rate + j));
      }
    }
  }
}

}  // namespace
}  // namespace plasticity::cpu
