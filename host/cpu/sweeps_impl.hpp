#pragma once

#include "cpu/lanes.hpp"
#include "cpu/sweeps.hpp"
#include "rules/rules.hpp"

// The sweeps, for the instruction set that the including file is compiled for. A sweep goes down the rows in
// tiles, and through a tile in blocks of columns: the block's vectors stay in registers over the tile's rows,
// and a tile's rows are read from end to end. A sum over i is one chain over all rows; a sum over j is kept
// in the lanes of a vector and added up when the tile is done. A column's arithmetic depends on N alone,
// never on the batch, the threads or the block that it falls into.
namespace plasticity::cpu {
namespace {

constexpr std::int64_t tile_rows = 4;

// Everything is loaded before anything is stored: a load that follows a store to another matrix at the same
// offset within a page would wait for it.

/// Calls body<count>(j) for blocks of `wide` vectors, then for what is left.
template <class Real, int wide, class Body>
PLASTICITY_INLINE inline void for_blocks(std::int64_t begin, std::int64_t end, Body body) {
  constexpr std::int64_t width = lanes<Vector<Real>>;
  std::int64_t j = begin;
  for (; j + wide * width <= end; j += wide * width) body.template operator()<wide>(j);
  if constexpr (wide > 1) for_blocks<Real, wide / 2>(j, end, body);
}

/// Calls body<count, tail>(j, first_row, last_row) for all blocks of all tiles. The tail is what stands
/// behind the last whole block of row_lanes columns, padding included.
template <class Real, int wide, class Tile, class Body>
PLASTICITY_INLINE inline void for_tiles(std::int64_t P, std::int64_t N, Columns columns, Body body,
                                        Tile after_tile) {
  const std::int64_t end = columns.first + columns.count, whole = N / row_lanes<Real> * row_lanes<Real>;
  const std::int64_t middle = whole < end ? whole : end;
  for (std::int64_t i0 = 0; i0 < P; i0 += tile_rows) {
    const std::int64_t i1 = i0 + tile_rows < P ? i0 + tile_rows : P;
    for_blocks<Real, wide>(columns.first, middle, [&]<int count>(std::int64_t j) PLASTICITY_INLINE {
      body.template operator()<count, false>(j, i0, i1);
    });
    for_blocks<Real, 1>(middle, end, [&]<int count>(std::int64_t j) PLASTICITY_INLINE {
      body.template operator()<count, true>(j, i0, i1);
    });
    after_tile(i0, i1);
  }
}

/// Row i of a caller's matrix, so that [j] is column j of it.
template <bool tail, class Real>
inline const Real* row_of(const Rows<Real>& rows, std::int64_t i, std::int64_t N) {
  return tail ? rows.tail + i * rows.tail_stride - N / row_lanes<Real> * row_lanes<Real>
              : rows.at + i * rows.stride;
}

/// What drives a rule in column j, as the sweeps see it: D_ij = x_i y_j and the rate g_j; or, where only g_j
/// x_i y_j counts, x_i (g_j y_j) and a rate of one, which saves a product for every connection.
template <Rule rule, Eligibility kind>
constexpr bool rate_first = TraceRule<rule>::drive_is_scaled&& kind == Eligibility::none;

template <Rule rule, Eligibility kind, class V>
struct ColumnDrive {
  V y, factor, rate;
  ColumnDrive() = default;
  ColumnDrive(V activity, V g) : y(activity), factor(y), rate(g) {
    if constexpr (rate_first<rule, kind>) {
      factor = g * y;
      rate = splat<V>(1);
    }
  }
};

template <Rule rule, Eligibility kind, bool updates, bool reads, class Real>
void forward(const Connection<Real>& c, Columns columns, const TraceUpdate<Real> update,
             const PlasticRead<Real> read, const Real* hebb) {
  using V = Vector<Real>;
  const std::int64_t N = c.N, stride = padded<Real>(N);
  const V eta = splat<V>(c.eta), clip = splat<V>(c.clip);
  const Real* const hebb_in = updates ? update.hebb_in : hebb;
  const Rows<Real> w_rows = c.w, alpha_rows = c.alpha;
  const auto block = [=]<int count, bool tail>(std::int64_t j, std::int64_t i0,
                                               std::int64_t i1) PLASTICITY_INLINE {
    ColumnDrive<rule, kind, V> drive[count];
    V s[count]{};
    if constexpr (updates) {
      for (int k = 0; k < count; ++k)
        drive[k] = {load<V>(update.y + j + k * lanes<V>), load<V>(update.rate + j + k * lanes<V>)};
    }
    if constexpr (reads) load_block(s, read.s + j);
    for (std::int64_t i = i0; i < i1; ++i) {
      V x_update{}, x_read{};
      if constexpr (updates) x_update = splat<V>(update.x[i]);
      if constexpr (reads) x_read = splat<V>(read.x[i]);
      for (int k = 0; k < count; ++k) {
        const std::int64_t column = j + k * lanes<V>, ij = i * stride + column;
        V h = load<V>(hebb_in + ij);
        if constexpr (updates) {
          V e{};
          if constexpr (kind != Eligibility::none) e = load<V>(update.eligibility_in + ij);
          update_traces<rule, kind>(h, e, x_update * drive[k].factor, drive[k].rate, drive[k].y, eta, clip);
          if constexpr (kind != Eligibility::none) store(update.eligibility_out + ij, e);
          store(update.hebb_out + ij, h);
        }
        if constexpr (reads) {
          const V w = load<V>(row_of<tail>(w_rows, i, N) + column);
          const V alpha = load<V>(row_of<tail>(alpha_rows, i, N) + column);
          s[k] += x_read * (w + alpha * TraceRule<rule>::read(h, clip));
        }
      }
    }
    if constexpr (reads) store_block(read.s + j, s);
  };
  for_tiles<Real, 4>(c.P, N, columns, block, [](std::int64_t, std::int64_t) {});
}

/// Which lanes of a vector at column j are columns, not padding.
template <class Real>
inline auto are_columns(std::int64_t j, std::int64_t N) {
  using V = Vector<Real>;
  V index{};
  for (int lane = 0; lane < lanes<V>; ++lane) index[lane] = static_cast<Real>(lane);
  const std::int64_t left = N - j;
  return index < splat<V>(static_cast<Real>(left < 0 ? 0 : left < lanes<V> ? left : lanes<V>));
}

template <Rule rule, Eligibility kind, bool reads, bool updates, bool per_connection, class Real>
void reverse(const Connection<Real>& c, Columns columns, const Real* hebb, const Real* eligibility,
             const TraceGradients<Real> gradients, const ReadAdjoint<Real> read,
             const UpdateAdjoint<Real> update) {
  using V = Vector<Real>;
  const std::int64_t N = c.N, stride = padded<Real>(N);
  const V eta = splat<V>(c.eta), clip = splat<V>(c.clip);
  const Rows<Real> w_rows = c.w, alpha_rows = c.alpha;
  V dx_read[tile_rows]{}, dx_update[tile_rows]{};  // of a tile's rows, by lane
  const auto block = [&]<int count, bool tail>(std::int64_t j, std::int64_t i0,
                                               std::int64_t i1) PLASTICITY_INLINE {
    ColumnDrive<rule, kind, V> drive[count];
    V da[count]{}, dy[count]{}, drate[count]{}, deta[count]{}, dalpha[count]{};
    if constexpr (reads) load_block(da, read.da + j);
    if constexpr (updates) {
      for (int k = 0; k < count; ++k)
        drive[k] = {load<V>(update.y + j + k * lanes<V>), load<V>(update.rate + j + k * lanes<V>)};
      if (i0 > 0) {
        load_block(dy, update.dy + j);
        load_block(drate, update.drate + j);
      }
    }
    // Padding must not reach a sum over j: zero times infinity is no zero.
    const auto valid = are_columns<Real>(tail ? j : 0, N);
    const auto column_only = [&](V value)
                                 PLASTICITY_INLINE { return tail ? select(valid, value, V{}) : value; };
    for (std::int64_t i = i0; i < i1; ++i) {
      V x_read{}, x_update{}, row_read = dx_read[i - i0], row_update = dx_update[i - i0];
      if constexpr (reads) x_read = splat<V>(read.x[i]);
      if constexpr (updates) x_update = splat<V>(update.x[i]);
      for (int k = 0; k < count; ++k) {
        const std::int64_t column = j + k * lanes<V>, ij = i * stride + column;
        const V product = x_update * drive[k].factor, h = load<V>(hebb + ij);
        V G = load<V>(gradients.G + ij), GE{}, e{}, w{}, alpha{}, dalpha_there{};
        if constexpr (reads) {
          w = load<V>(row_of<tail>(w_rows, i, N) + column);
          alpha = load<V>(row_of<tail>(alpha_rows, i, N) + column);
          if constexpr (per_connection) dalpha_there = load<V>(read.dalpha + ij);
        }
        if constexpr (updates && kind != Eligibility::none) {
          GE = load<V>(gradients.GE + ij);
          e = load<V>(eligibility + ij);
        }
        if constexpr (reads) {
          V now = h;
          if constexpr (updates) {
            V passed = e;
            update_traces<rule, kind>(now, passed, product, drive[k].rate, drive[k].y, eta, clip);
          }
          const V seen = TraceRule<rule>::read(now, clip), reached = x_read * da[k];
          G += TraceRule<rule>::through_read(now, clip, alpha * reached);
          if constexpr (per_connection) {
            store(read.dalpha + ij, dalpha_there + reached * seen);
          } else {
            dalpha[k] += reached * seen;
          }
          row_read += column_only((w + alpha * seen) * da[k]);
        }
        if constexpr (updates) {
          const TraceAdjoint<V> adjoint =
              reverse_traces<rule, kind>(G, GE, h, e, product, drive[k].rate, drive[k].y, eta, clip);
          if constexpr (kind != Eligibility::none) {
            store(gradients.GE + ij, GE);
            deta[k] += adjoint.eta;
          }
          row_update += column_only(adjoint.product * drive[k].factor);
          dy[k] += adjoint.product * x_update + adjoint.y;
          if constexpr (!rate_first<rule, kind>) drate[k] += adjoint.rate;
        }
        store(gradients.G + ij, G);
      }
      if constexpr (reads) dx_read[i - i0] = row_read;
      if constexpr (updates) dx_update[i - i0] = row_update;
    }
    if constexpr (updates) {
      store_block(update.dy + j, dy);
      store_block(update.drate + j, drate);
      if constexpr (kind != Eligibility::none) add_block(update.deta + j, deta);
    }
    if constexpr (reads && !per_connection) add_block(read.dalpha + j, dalpha);
  };
  for_tiles<Real, 2>(c.P, N, columns, block, [&](std::int64_t i0, std::int64_t i1) {
    if constexpr (reads) store_sums(read.dx + i0, dx_read, i1 - i0);
    if constexpr (updates) store_sums(update.dx + i0, dx_update, i1 - i0);
    for (std::int64_t row = 0; row < tile_rows; ++row) dx_read[row] = dx_update[row] = V{};
  });
  if constexpr (updates && rate_first<rule, kind>) {
    // dy holds the gradient of g_j y_j so far.
    for (std::int64_t j = columns.first; j < columns.first + columns.count; j += lanes<V>) {
      const V gradient = load<V>(update.dy + j);
      store(update.drate + j, gradient * load<V>(update.y + j));
      store(update.dy + j, gradient * load<V>(update.rate + j));
    }
  }
}

/// Calls run<rule>() for the rule that the list holds at run time.
template <class Run, Rule... rules>
inline void with_rule(Rule rule, RuleList<rules...>, Run run) {
  (void)((rule == rules && (run.template operator()<rules>(), true)) || ...);
}

template <class Run>
inline void with_eligibility(Eligibility kind, Run run) {
  switch (kind) {
    case Eligibility::none: return run.template operator()<Eligibility::none>();
    case Eligibility::before: return run.template operator()<Eligibility::before>();
    case Eligibility::after: return run.template operator()<Eligibility::after>();
  }
}

/// For loops that only care how the trace is read: every rule but read_clip reads it as it is.
template <class Run>
inline void with_read(Rule rule, Run run) {
  if (rule == Rule::read_clip) {
    run.template operator()<Rule::read_clip>();
  } else {
    run.template operator()<Rule::additive>();
  }
}

template <class Run>
inline void with_alpha(bool per_connection, Run run) {
  if (per_connection) {
    run.template operator()<true>();
  } else {
    run.template operator()<false>();
  }
}

template <class Real>
constexpr Sweeps<Real> sweep_table{
    .update =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns,
           const TraceUpdate<Real>& update) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(kind, [&]<Eligibility k> {
              forward<r, k, true, false, Real>(c, columns, update, {}, nullptr);
            });
          });
        },
    .read =
        [](Rule rule, const Connection<Real>& c, Columns columns, const Real* hebb,
           const PlasticRead<Real>& read) {
          with_read(rule, [&]<Rule r> {
            forward<r, Eligibility::none, false, true, Real>(c, columns, {}, read, hebb);
          });
        },
    .update_and_read =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns,
           const TraceUpdate<Real>& update, const PlasticRead<Real>& read) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(kind, [&]<Eligibility k> {
              forward<r, k, true, true, Real>(c, columns, update, read, nullptr);
            });
          });
        },
    .update_adjoint =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns, const Real* hebb,
           const Real* eligibility, const TraceGradients<Real>& gradients,
           const UpdateAdjoint<Real>& update) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(kind, [&]<Eligibility k> {
              reverse<r, k, false, true, false, Real>(c, columns, hebb, eligibility, gradients, {}, update);
            });
          });
        },
    .read_adjoint =
        [](Rule rule, const Connection<Real>& c, Columns columns, const Real* hebb,
           const TraceGradients<Real>& gradients, const ReadAdjoint<Real>& read) {
          with_read(rule, [&]<Rule r> {
            with_alpha(c.alpha_per_connection, [&]<bool per> {
              reverse<r, Eligibility::none, true, false, per, Real>(c, columns, hebb, nullptr, gradients,
                                                                    read, {});
            });
          });
        },
    .read_and_update_adjoint =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, Columns columns, const Real* hebb,
           const Real* eligibility, const TraceGradients<Real>& gradients, const ReadAdjoint<Real>& read,
           const UpdateAdjoint<Real>& update) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(kind, [&]<Eligibility k> {
              with_alpha(c.alpha_per_connection, [&]<bool per> {
                reverse<r, k, true, true, per, Real>(c, columns, hebb, eligibility, gradients, read, update);
              });
            });
          });
        },
};

}  // namespace
}  // namespace plasticity::cpu
