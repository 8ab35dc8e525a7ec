#pragma once

#include "cpu/sweeps/sweep_tiles.hpp"

namespace plasticity::cpu {
namespace {

/// The pieces of a backward sweep, each for one batch element.
template <Form form, Eligibility kind, bool reads, bool updates, bool per_connection, class Real>
struct BackwardPieces {
  using V = Vector<Real>;
  static constexpr bool eligible = updates && kind != Eligibility::none;

  /// The vectors of a block of columns, which stay in registers over the rows of a tile.
  template <int count>
  struct ColumnBlock {
    ColumnFactors<V> factors[count];
    ColumnGradients<V> sums[count]{};
    V da[count]{}, dalpha[count]{};
  };

  /// The values of the connections of one row in the columns of one vector.
  struct Connections {
    V h, G, GE{}, e{}, dalpha{};
  };

  /// Returns the traces of a tile before the update, from the first column of the share on. They are stored
  /// traces, or recomputed ones in h_tile and e_tile.
  PLASTICITY_INLINE static inline TraceRows<const Real> traces_before(const SweepParams<Real>& params,
                                                                      Columns columns,
                                                                      const TraceSource<Real>& source,
                                                                      std::int64_t i0, std::int64_t i1,
                                                                      Real* h_tile, Real* e_tile) {
    const std::int64_t stride = padded<Real>(params.N), first = i0 * stride + columns.first;
    if (source.count == 0)
      return {source.hebb + first, eligible ? source.eligibility + first : nullptr, stride};
    advance<form, kind>(params, columns, source, i0, i1, {h_tile, e_tile, columns.count});
    return {h_tile, e_tile, columns.count};
  }

  /// Loads the block at column j. Its sums continue those of the tiles before, if there are any.
  template <int count>
  PLASTICITY_INLINE static inline void load_columns(const BackwardSweep<Real>& sweep, std::int64_t j,
                                                    bool first_tile, ColumnBlock<count>& block) {
    if constexpr (reads) load_block(block.da, sweep.read.da + j);
    if constexpr (updates) {
      const UpdateAdjoint<Real>& update = sweep.update;
      for (int k = 0; k < count; ++k) {
        const std::int64_t column = j + k * lanes<V>;
        block.factors[k] = load_factors<form, kind, V>(update.factors, column);
        if (first_tile) continue;
        if constexpr (has_retention<form>) block.sums[k].retention = load<V>(update.drate + column);
        block.sums[k].gain = load<V>(update.dpost + column);
        if constexpr (eligible) block.sums[k].y = load<V>(update.dpost_eligibility + column);
      }
    }
  }

  /// Stores the sums of the block at column j after a tile.
  template <int count>
  PLASTICITY_INLINE static inline void store_columns(const BackwardSweep<Real>& sweep, std::int64_t j,
                                                     const ColumnBlock<count>& block) {
    if constexpr (updates) {
      const UpdateAdjoint<Real>& update = sweep.update;
      for (int k = 0; k < count; ++k) {
        const std::int64_t column = j + k * lanes<V>;
        if constexpr (has_retention<form>) store(update.drate + column, block.sums[k].retention);
        store(update.dpost + column, block.sums[k].gain);
        if constexpr (!eligible) continue;
        store(update.dpost_eligibility + column, block.sums[k].y);
        store(update.deta + column, load<V>(update.deta + column) + block.sums[k].eta);
      }
    }
    if constexpr (reads && !per_connection) add_block(sweep.read.dalpha + j, block.dalpha);
  }

  /// Loads the values at offset ij of the [P,N] matrices. `place` is the offset of the traces.
  PLASTICITY_INLINE static inline Connections load_connections(const BackwardSweep<Real>& sweep,
                                                               const TraceRows<const Real>& traces,
                                                               std::int64_t ij, std::int64_t place) {
    Connections values;
    if constexpr (reads && per_connection) values.dalpha = load<V>(sweep.read.dalpha + ij);
    values.h = load<V>(traces.hebb + place);
    values.G = load<V>(sweep.G + ij);
    if constexpr (eligible) {
      values.GE = load<V>(sweep.GE + ij);
      values.e = load<V>(traces.eligibility + place);
    }
    return values;
  }

  /// Stores the gradients at offset ij of the [P,N] matrices.
  PLASTICITY_INLINE static inline void store_connections(const BackwardSweep<Real>& sweep, std::int64_t ij,
                                                         const Connections& values) {
    if constexpr (eligible) store(sweep.GE + ij, values.GE);
    store(sweep.G + ij, values.G);
    if constexpr (reads && per_connection) store(sweep.read.dalpha + ij, values.dalpha);
  }

  /// Reverses the plastic read of the traces after the update with presynaptic activity x_update. `x_da` is
  /// the gradient of the weights. Adds to the gradients of the traces and of alpha. Returns the weights.
  PLASTICITY_INLINE static inline V reverse_read(Connections& values, V w, V alpha, V x_da, V& dalpha,
                                                 V x_update, const ColumnFactors<V>& factors,
                                                 const UpdateConstants<V>& constants, V clip) {
    V h = values.h;
    if constexpr (updates) {
      V e = values.e;
      update_connection<form, kind>(h, e, x_update, factors, constants);
    }
    const V h_read = read_trace<form>(h, clip);
    values.G = multiply_add(alpha, through_read<form>(h, clip, x_da), values.G);
    V& sum = per_connection ? values.dalpha : dalpha;
    sum = multiply_add(x_da, h_read, sum);
    return multiply_add(alpha, h_read, w);
  }

  /// Computes the gradients of the rate and of y in the columns of a share, after the last tile. Until then
  /// drate and dpost hold the gradients of the factors.
  PLASTICITY_INLINE static inline void reverse_factors(Rule rule, Columns columns,
                                                       const UpdateAdjoint<Real>& update, V clip) {
    for (std::int64_t j = columns.first; j < columns.first + columns.count; j += lanes<V>) {
      const RuleFactors<V> gradient{has_retention<form> ? load<V>(update.drate + j) : V{},
                                    load<V>(update.dpost + j)};
      const ColumnAdjoint<V> into = rule_factors_adjoint<form, kind>(
          rule, load<V>(update.rate + j), load<V>(update.factors.y + j), gradient, RuleConstants<V>{clip});
      store(update.drate + j, into.rate);
      store(update.dpost + j, eligible ? into.y + load<V>(update.dpost_eligibility + j) : into.y);
    }
  }
};

/// Reverses a read, an update, or both, of `elements` batch elements.
template <Form form, Eligibility kind, bool reads, bool updates, bool per_connection, int elements,
          class Real>
void sweep_backward(Rule rule, const SweepParams<Real>& params, Columns columns,
                    const BackwardSweep<Real>* sweeps) {
  using V = Vector<Real>;
  using Pieces = BackwardPieces<form, kind, reads, updates, per_connection, Real>;
  const std::int64_t N = params.N, stride = padded<Real>(N);
  const V clip = splat<V>(params.clip);
  const auto constants = constants_of<form, V>(params);
  const Real *const w_rows = params.w.at, *const alpha_rows = params.alpha.at;
  const std::int64_t alpha_row = per_connection ? stride : params.alpha.stride;
  const SweepCopies<BackwardSweep<Real>, elements> at(sweeps);
  V dx_read[elements][tile_rows]{}, dx_update[elements][tile_rows]{};  // partial sums per row of a tile
  constexpr std::int64_t tile_size = tile_rows * widest_share;
  alignas(64) Real h_tile[elements][tile_size], e_tile[elements][Pieces::eligible ? tile_size : 1];
  TraceRows<const Real> traces[elements];
  const auto reverse_block = [&]<int count, bool tail>(std::int64_t j, std::int64_t i0,
                                                       std::int64_t i1) PLASTICITY_INLINE {
    typename Pieces::template ColumnBlock<count> block[elements];
    for (int b = 0; b < elements; ++b) Pieces::load_columns(at[b], j, i0 == 0, block[b]);
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
        V w{}, alpha{};
        if constexpr (reads) {
          w = load<V>(w_rows + ij);
          alpha = load<V>(alpha_rows + alpha_row * i + column);
        }
        typename Pieces::Connections values[elements];
        for (int b = 0; b < elements; ++b) {
          const std::int64_t place = (i - i0) * traces[b].distance + column - columns.first;
          values[b] = Pieces::load_connections(at[b], traces[b], ij, place);
        }
        for (int b = 0; b < elements; ++b) {
          const ColumnFactors<V>& factors = block[b].factors[k];
          if constexpr (reads) {
            const V da = block[b].da[k];
            const V weight = Pieces::reverse_read(values[b], w, alpha, x_read[b] * da, block[b].dalpha[k],
                                                  x_update[b], factors, constants, clip);
            V& row = dx_read[b][i - i0];
            row = multiply_add(column_only(weight), da, row);
          }
          if constexpr (updates) {
            const V dx = reverse_connection<form, kind>(values[b].G, values[b].GE, values[b].h, values[b].e,
                                                        x_update[b], factors, constants, block[b].sums[k]);
            V& row = dx_update[b][i - i0];
            row = multiply_add(column_only(dx), column_only(presynaptic_factor<kind>(factors)), row);
          }
          Pieces::store_connections(at[b], ij, values[b]);
        }
      }
    }
    for (int b = 0; b < elements; ++b) Pieces::store_columns(at[b], j, block[b]);
  };
  for_tiles(params.P, [&](std::int64_t i0, std::int64_t i1) PLASTICITY_INLINE {
    for (int b = 0; b < elements; ++b)
      traces[b] = Pieces::traces_before(params, columns, at[b].before, i0, i1, h_tile[b], e_tile[b]);
    for_columns<Real, 2>(N, columns, [&]<int count, bool tail>(std::int64_t j) PLASTICITY_INLINE {
      reverse_block.template operator()<count, tail>(j, i0, i1);
    });
    for (int b = 0; b < elements; ++b) {
      if constexpr (reads) store_sums(at[b].read.dx + i0, dx_read[b], i1 - i0);
      if constexpr (updates) store_sums(at[b].update.dx + i0, dx_update[b], i1 - i0);
      for (std::int64_t row = 0; row < tile_rows; ++row) dx_read[b][row] = dx_update[b][row] = V{};
    }
  });
  if constexpr (updates) {
    for (int b = 0; b < elements; ++b) Pieces::reverse_factors(rule, columns, at[b].update, clip);
  }
}

}  // namespace
}  // namespace plasticity::cpu
