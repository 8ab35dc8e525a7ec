#pragma once

#include "cpu/sweeps/lanes.hpp"
#include "cpu/sweeps/sweeps.hpp"
#include "rules/rules.hpp"

// The loop structure of a sweep: tiles of rows, and blocks of columns within a tile. The vectors of a block
// stay in registers over the rows of a tile. A sum over i is one chain over all rows. A sum over j is kept in
// the lanes of a vector and reduced at the end of the tile. The arithmetic of a column depends on N only, not
// on the batch, the threads or the block.
namespace plasticity::cpu {
namespace {

constexpr std::int64_t tile_rows = 4;

// Template arguments of the sweeps.
constexpr bool with_update = true, without_update = false, with_read = true, without_read = false;

// A sweep loads all operands of a block before it stores any result. Otherwise a load could wait for a store
// to the same offset in another page.

/// Calls body<count>(j) for blocks of `wide` vectors, then for smaller blocks.
template <class Real, int wide, class Body>
PLASTICITY_INLINE inline void for_blocks(std::int64_t begin, std::int64_t end, Body body) {
  constexpr std::int64_t width = lanes<Vector<Real>>;
  std::int64_t j = begin;
  for (; j + wide * width <= end; j += wide * width) body.template operator()<wide>(j);
  if constexpr (wide > 1) for_blocks<Real, wide / 2>(j, end, body);
}

/// Calls tile(first_row, last_row) for all tiles.
template <class Tile>
PLASTICITY_INLINE inline void for_tiles(std::int64_t P, Tile tile) {
  for (std::int64_t i0 = 0; i0 < P; i0 += tile_rows) tile(i0, i0 + tile_rows < P ? i0 + tile_rows : P);
}

/// Calls body<count, tail>(j) for all blocks of the columns. The tail follows the last whole block of
/// row_lanes columns and includes the padding.
template <class Real, int wide, class Body>
PLASTICITY_INLINE inline void for_columns(std::int64_t N, Columns columns, Body body) {
  const std::int64_t end = columns.first + columns.count, whole = N / row_lanes<Real> * row_lanes<Real>;
  const std::int64_t middle = whole < end ? whole : end;
  for_blocks<Real, wide>(columns.first, middle, [&]<int count>(std::int64_t j) PLASTICITY_INLINE {
    body.template operator()<count, false>(j);
  });
  for_blocks<Real, 1>(middle, end, [&]<int count>(std::int64_t j) PLASTICITY_INLINE {
    body.template operator()<count, true>(j);
  });
}

/// Mask of the lanes of a vector at column j that are columns, not padding.
template <class Real>
inline auto are_columns(std::int64_t j, std::int64_t N) {
  using V = Vector<Real>;
  V index{};
  for (int lane = 0; lane < lanes<V>; ++lane) index[lane] = static_cast<Real>(lane);
  const std::int64_t left = N - j;
  return index < splat<V>(static_cast<Real>(left < 0 ? 0 : left < lanes<V> ? left : lanes<V>));
}

/// Columns `column` and following of row i. In the tail of a row the padding is zero.
template <bool tail, class V, class Real>
PLASTICITY_INLINE inline V load_row(const MatrixRows<Real>& rows, std::int64_t i, std::int64_t column,
                                    std::int64_t P, std::int64_t N) {
  if constexpr (tail) {
    const std::int64_t whole = N / row_lanes<Real> * row_lanes<Real>;
    const Real* const source = i + 1 < P ? rows.at + i * rows.stride + column : rows.last + column - whole;
    return are_columns<Real>(column, N) ? load<V>(source) : V{};
  } else {
    return load<V>(rows.at + i * rows.stride + column);
  }
}

/// The factors of an update in the columns of one vector.
template <Form form, Eligibility kind, class V, class Real>
inline ColumnFactors<V> load_factors(const UpdateVectors<Real>& update, std::int64_t j) {
  ColumnFactors<V> factors{};
  if constexpr (has_retention<form>) factors.retention = load<V>(update.retention + j);
  factors.gain = load<V>(update.gain + j);
  if constexpr (kind != Eligibility::none) factors.y = load<V>(update.y + j);
  return factors;
}

template <Form form, class V, class Real>
inline UpdateConstants<V> constants_of(const SweepParams<Real>& params) {
  return {splat<V>(params.eta), update_limit<form>(splat<V>(params.clip))};
}

/// Rows of a trace and of its eligibility trace (or null), from the first column of a share on.
template <class Real>
struct TraceRows {
  Real *hebb, *eligibility;
  std::int64_t distance;  // from row to row
};

constexpr std::int64_t max_updates_per_pass = 3;       // of advance()
constexpr std::int64_t prefetch_rows = 2 * tile_rows;  // how far ahead advance() prefetches

/// Applies `steps` updates to the traces of a tile, from one memory to another or in place. Not inlined,
/// because its callers are instantiated many times.
template <Form form, Eligibility kind, int steps, class Real>
__attribute__((noinline)) void advance_steps(const SweepParams<Real>& params, Columns columns,
                                             std::int64_t i0, std::int64_t i1,
                                             const UpdateVectors<Real>* updates, TraceRows<const Real> from,
                                             TraceRows<Real> to) {
  using V = Vector<Real>;
  const auto constants = constants_of<form, V>(params);
  const bool in_place = from.hebb == to.hebb;
  for_blocks<Real, 4>(0, columns.count, [&]<int count>(std::int64_t j) PLASTICITY_INLINE {
    ColumnFactors<V> factors[steps][count];
    for (int step = 0; step < steps; ++step) {
      for (int k = 0; k < count; ++k)
        factors[step][k] = load_factors<form, kind, V>(updates[step], columns.first + j + k * lanes<V>);
    }
    for (std::int64_t i = i0; i < i1; ++i) {
      const std::int64_t source = (i - i0) * from.distance + j, destination = (i - i0) * to.distance + j;
      V h[count], e[count]{};
      load_block(h, from.hebb + source);
      if constexpr (kind != Eligibility::none) load_block(e, from.eligibility + source);
      for (int k = 0; k < count && !in_place; ++k) {
        const std::int64_t later = source + prefetch_rows * from.distance + k * lanes<V>;
        __builtin_prefetch(from.hebb + later);
        if constexpr (kind != Eligibility::none) __builtin_prefetch(from.eligibility + later);
      }
      for (int step = 0; step < steps; ++step) {
        const V x_i = splat<V>(updates[step].x[i]);
        for (int k = 0; k < count; ++k) {
          update_connection<form, kind>(h[k], e[k], x_i, factors[step][k], constants);
        }
      }
      store_block(to.hebb + destination, h);
      if constexpr (kind != Eligibility::none) store_block(to.eligibility + destination, e);
    }
  });
}

/// Computes the traces of a tile after all updates of a TraceSource. It has at least one.
template <Form form, Eligibility kind, class Real>
inline void advance(const SweepParams<Real>& params, Columns columns, const TraceSource<Real>& traces,
                    std::int64_t i0, std::int64_t i1, TraceRows<Real> to) {
  const std::int64_t stride = padded<Real>(params.N), first = i0 * stride + columns.first;
  TraceRows<const Real> from{traces.hebb + first,
                             kind == Eligibility::none ? nullptr : traces.eligibility + first, stride};
  for (std::int64_t done = 0; done < traces.count; done += max_updates_per_pass) {
    const std::int64_t left = traces.count - done;
    const auto run = left == 1   ? advance_steps<form, kind, 1, Real>
                     : left == 2 ? advance_steps<form, kind, 2, Real>
                                 : advance_steps<form, kind, max_updates_per_pass, Real>;
    run(params, columns, i0, i1, traces.updates + done, from, to);
    from = {to.hebb, to.eligibility, to.distance};
  }
}

/// Local copies of sweep arguments. The compiler can then assume that no store changes them.
template <class Sweep, int count>
struct SweepCopies {
  Sweep sweep[count];
  explicit SweepCopies(const Sweep* sweeps) {
    for (int b = 0; b < count; ++b) sweep[b] = sweeps[b];
  }
  const Sweep& operator[](int b) const { return sweep[b]; }
};

}  // namespace
}  // namespace plasticity::cpu
