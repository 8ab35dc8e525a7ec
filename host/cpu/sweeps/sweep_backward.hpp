#pragma once

#include "cpu/sweeps/sweep_tiles.hpp"

namespace plasticity::cpu {
namespace {

/// Reverses a read, an update, or both, of `elements` batch elements.
template <Form form, Eligibility kind, bool reads, bool updates, bool per_connection, int elements,
          class Real>
void sweep_backward(Rule rule, const SweepParams<Real>& params, Columns columns,
                    const BackwardSweep<Real>* sweeps) {
  using V = Vector<Real>;
  const std::int64_t N = params.N, stride = padded<Real>(N);
  const V clip = splat<V>(params.clip);
  const auto constants = constants_of<form, V>(params);
  const Real *const w_rows = params.w.at, *const alpha_rows = params.alpha.at;
  const std::int64_t alpha_row = per_connection ? stride : params.alpha.stride;
  const SweepCopies<BackwardSweep<Real>, elements> at(sweeps);
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
      advance<form, kind>(params, columns, before, i0, i1, {h_tile[b], e_tile[b], columns.count});
      traces[b] = {h_tile[b], e_tile[b], columns.count};
    }
  };
  const auto block = [&]<int count, bool tail>(std::int64_t j, std::int64_t i0,
                                               std::int64_t i1) PLASTICITY_INLINE {
    ColumnFactors<V> factors[elements][count];
    ColumnGradients<V> sums[elements][count]{};
    V da[elements][count]{}, dalpha[elements][count]{};
    for (int b = 0; b < elements; ++b) {
      if constexpr (reads) load_block(da[b], at[b].read.da + j);
      if constexpr (updates) {
        const UpdateAdjoint<Real>& update = at[b].update;
        for (int k = 0; k < count; ++k) {
          const std::int64_t column = j + k * lanes<V>;
          factors[b][k] = load_factors<form, kind, V>(update.factors, column);
          if (i0 == 0) continue;
          if constexpr (has_retention<form>) sums[b][k].retention = load<V>(update.drate + column);
          sums[b][k].gain = load<V>(update.dpost + column);
          if constexpr (eligible) sums[b][k].y = load<V>(update.dproduct + column);
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
        V w{}, alpha{}, dalpha_ij[elements]{}, h[elements], G[elements], GE[elements]{}, e[elements]{};
        if constexpr (reads) {
          w = load<V>(w_rows + ij);
          alpha = load<V>(alpha_rows + alpha_row * i + column);
        }
        for (int b = 0; b < elements; ++b) {
          if constexpr (reads && per_connection) dalpha_ij[b] = load<V>(at[b].read.dalpha + ij);
          const std::int64_t place = (i - i0) * traces[b].distance + column - columns.first;
          h[b] = load<V>(traces[b].hebb + place);
          G[b] = load<V>(at[b].G + ij);
          if constexpr (eligible) {
            GE[b] = load<V>(at[b].GE + ij);
            e[b] = load<V>(traces[b].eligibility + place);
          }
        }
        for (int b = 0; b < elements; ++b) {
          if constexpr (reads) {
            V h_now = h[b];
            if constexpr (updates) {
              V e_now = e[b];
              update_connection<form, kind>(h_now, e_now, x_update[b], factors[b][k], constants);
            }
            const V h_read = read_trace<form>(h_now, clip), x_da = x_read[b] * da[b][k];
            G[b] = multiply_add(alpha, through_read<form>(h_now, clip, x_da), G[b]);
            V& sum = per_connection ? dalpha_ij[b] : dalpha[b][k];
            sum = multiply_add(x_da, h_read, sum);
            V& row = dx_read[b][i - i0];
            row = multiply_add(column_only(multiply_add(alpha, h_read, w)), da[b][k], row);
          }
          if constexpr (updates) {
            const V dx = reverse_connection<form, kind>(G[b], GE[b], h[b], e[b], x_update[b], factors[b][k],
                                                        constants, sums[b][k]);
            V& row = dx_update[b][i - i0];
            row = multiply_add(column_only(dx), column_only(presynaptic_factor<kind>(factors[b][k])), row);
            if constexpr (kind != Eligibility::none) store(at[b].GE + ij, GE[b]);
          }
          store(at[b].G + ij, G[b]);
          if constexpr (reads && per_connection) store(at[b].read.dalpha + ij, dalpha_ij[b]);
        }
      }
    }
    for (int b = 0; b < elements; ++b) {
      if constexpr (updates) {
        const UpdateAdjoint<Real>& update = at[b].update;
        for (int k = 0; k < count; ++k) {
          const std::int64_t column = j + k * lanes<V>;
          if constexpr (has_retention<form>) store(update.drate + column, sums[b][k].retention);
          store(update.dpost + column, sums[b][k].gain);
          if constexpr (!eligible) continue;
          store(update.dproduct + column, sums[b][k].y);
          store(update.deta + column, load<V>(update.deta + column) + sums[b][k].eta);
        }
      }
      if constexpr (reads && !per_connection) add_block(at[b].read.dalpha + j, dalpha[b]);
    }
  };
  for_tiles(params.P, [&](std::int64_t i0, std::int64_t i1) PLASTICITY_INLINE {
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
  if constexpr (updates) {
    // Up to here dpost and drate hold the gradients of the factors.
    for (int b = 0; b < elements; ++b) {
      const UpdateAdjoint<Real>& update = at[b].update;
      for (std::int64_t j = columns.first; j < columns.first + columns.count; j += lanes<V>) {
        const RuleFactors<V> gradient{has_retention<form> ? load<V>(update.drate + j) : V{},
                                      load<V>(update.dpost + j)};
        const ColumnAdjoint<V> into = rule_factors_adjoint<form, kind>(
            rule, load<V>(update.rate + j), load<V>(update.factors.y + j), gradient, RuleConstants<V>{clip});
        store(update.drate + j, into.rate);
        store(update.dpost + j, eligible ? into.y + load<V>(update.dproduct + j) : into.y);
      }
    }
  }
}

}  // namespace
}  // namespace plasticity::cpu
