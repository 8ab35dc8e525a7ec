#pragma once

#include <type_traits>

#include "cpu/lanes.hpp"
#include "cpu/sweeps.hpp"
#include "rules/rules.hpp"

// The sweeps, for the instruction set that the including file is compiled for. A block of columns keeps its
// sums over i in registers while it walks down the rows; what crosses columns (sums over j) goes to lanes in
// memory. A column's arithmetic depends on N alone, never on the batch, the threads or the block that it
// falls into.
namespace plasticity::cpu {
namespace {

constexpr int wide = 4;  // vectors in a block

/// Calls body<V, count>(j) for blocks of `wide` vectors, then for what is left: single vectors, halves of
/// one, and so on down to single columns.
template <class Real, int bytes = vector_bytes, class Body>
PLASTICITY_INLINE inline void for_columns(std::int64_t N, Body body, std::int64_t j = 0) {
  if constexpr (bytes == vector_bytes) {
    using V = Vector<Real>;
    for (; j + wide * lanes<V> <= N; j += wide * lanes<V>) body.template operator()<V, wide>(j);
  }
  if constexpr (bytes <= static_cast<int>(sizeof(Real))) {
    for (; j < N; ++j) body.template operator()<Real, 1>(j);
  } else {
    using V = typename VectorOf<Real, bytes>::type;
    for (; j + lanes<V> <= N; j += lanes<V>) body.template operator()<V, 1>(j);
    for_columns<Real, bytes / 2>(N, body, j);
  }
}

template <Rule rule, Eligibility kind, bool updates, bool reads, class Real>
void forward(const Connection<Real> c, const TraceUpdate<Real> update, const PlasticRead<Real> read,
             const Real* hebb) {
  for_columns<Real>(c.N, [=]<class V, int count>(std::int64_t j) PLASTICITY_INLINE {
    V y[count]{}, rate[count]{}, s[count]{};
    if constexpr (updates) {
      load_block(y, update.y + j);
      load_block(rate, update.rate + j);
    }
    if constexpr (reads) load_block(s, read.s + j);
    const V eta = splat<V>(c.eta), clip = splat<V>(c.clip);
    [[maybe_unused]] std::int64_t row = j, alpha_row = j;  // where the block's columns of row i begin
    for (std::int64_t i = 0; i < c.P; ++i, row += c.N, alpha_row += c.alpha_stride) {
      V x_update{}, x_read{};
      if constexpr (updates) x_update = splat<V>(update.x[i]);
      if constexpr (reads) x_read = splat<V>(read.x[i]);
      for (int k = 0; k < count; ++k) {
        const std::int64_t ij = row + k * lanes<V>;
        V h = load<V>((updates ? update.hebb_in : hebb) + ij);
        if constexpr (updates) {
          V e{};
          if constexpr (kind != Eligibility::none) e = load<V>(update.eligibility_in + ij);
          update_traces<rule, kind>(h, e, x_update * y[k], rate[k], y[k], eta, clip);
          if constexpr (kind != Eligibility::none) store(update.eligibility_out + ij, e);
          store(update.hebb_out + ij, h);
        }
        if constexpr (reads) {
          const V alpha = load<V>(c.alpha + alpha_row + k * lanes<V>);
          s[k] += x_read * (load<V>(c.w + ij) + alpha * TraceRule<rule>::read(h, clip));
        }
      }
    }
    if constexpr (reads) {
      for (int k = 0; k < count; ++k) store(read.s + j + k * lanes<V>, s[k]);
    }
  });
}

template <Rule rule, Eligibility kind, class Real>
void reverse_update(const Connection<Real> c, const UpdateAdjoint<Real> a) {
  for_columns<Real>(c.N, [=]<class V, int count>(std::int64_t j) PLASTICITY_INLINE {
    V y[count], rate[count], dy[count], drate[count]{}, deta[count]{};
    load_block(y, a.y + j);
    load_block(rate, a.rate + j);
    load_block(dy, a.dy + j);
    const V eta = splat<V>(c.eta), clip = splat<V>(c.clip);
    std::int64_t row = j;  // where the block's columns of row i begin
    for (std::int64_t i = 0; i < c.P; ++i, row += c.N) {
      const V x = splat<V>(a.x[i]);
      V dx = load<V>(a.dx_lanes + i * row_lanes<Real>);
      for (int k = 0; k < count; ++k) {
        const std::int64_t ij = row + k * lanes<V>;
        V G = load<V>(a.G + ij), GE{}, e{};
        if constexpr (kind != Eligibility::none) {
          GE = load<V>(a.GE + ij);
          e = load<V>(a.eligibility + ij);
        }
        const TraceAdjoint<V> adjoint =
            reverse_traces<rule, kind>(G, GE, load<V>(a.hebb + ij), e, x * y[k], rate[k], y[k], eta, clip);
        store(a.G + ij, G);
        if constexpr (kind != Eligibility::none) {
          store(a.GE + ij, GE);
          deta[k] += adjoint.eta;
        }
        dx += adjoint.product * y[k];
        dy[k] += adjoint.product * x + adjoint.y;
        drate[k] += adjoint.rate;
      }
      store(a.dx_lanes + i * row_lanes<Real>, dx);
    }
    for (int k = 0; k < count; ++k) {
      const std::int64_t column = j + k * lanes<V>;
      store(a.dy + column, dy[k]);
      store(a.drate + column, drate[k]);
      if constexpr (kind != Eligibility::none) store(a.deta + column, load<V>(a.deta + column) + deta[k]);
    }
  });
}

template <Rule rule, bool per_connection, class Real>
void reverse_read(const Connection<Real> c, const ReadAdjoint<Real> a) {
  for_columns<Real>(c.N, [=]<class V, int count>(std::int64_t j) PLASTICITY_INLINE {
    V da[count], dalpha[count]{};
    load_block(da, a.da + j);
    const V clip = splat<V>(c.clip);
    std::int64_t row = j, alpha_row = j;  // where the block's columns of row i begin
    for (std::int64_t i = 0; i < c.P; ++i, row += c.N, alpha_row += c.alpha_stride) {
      const V x = splat<V>(a.x[i]);
      V dx = load<V>(a.dx_lanes + i * row_lanes<Real>);
      for (int k = 0; k < count; ++k) {
        const std::int64_t ij = row + k * lanes<V>;
        const V h = load<V>(a.hebb + ij), read = TraceRule<rule>::read(h, clip), product = x * da[k];
        const V alpha = load<V>(c.alpha + alpha_row + k * lanes<V>);
        store(a.G + ij, load<V>(a.G + ij) + TraceRule<rule>::through_read(h, clip, alpha * product));
        if constexpr (per_connection) {
          store(a.dalpha + ij, load<V>(a.dalpha + ij) + product * read);
        } else {
          dalpha[k] += product * read;
        }
        dx += (load<V>(c.w + ij) + alpha * read) * da[k];
      }
      store(a.dx_lanes + i * row_lanes<Real>, dx);
    }
    if constexpr (!per_connection) {
      for (int k = 0; k < count; ++k) {
        Real* column = a.dalpha + j + k * lanes<V>;
        store(column, load<V>(column) + dalpha[k]);
      }
    }
  });
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

template <class Real>
constexpr Sweeps<Real> sweep_table{
    .update =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, const TraceUpdate<Real>& update) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(
                kind, [&]<Eligibility k> { forward<r, k, true, false>(c, update, {}, update.hebb_in); });
          });
        },
    .read =
        [](Rule rule, const Connection<Real>& c, const Real* hebb, const PlasticRead<Real>& read) {
          with_read(rule, [&]<Rule r> {
            forward<r, Eligibility::none, false, true>(c, TraceUpdate<Real>{}, read, hebb);
          });
        },
    .update_and_read =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, const TraceUpdate<Real>& update,
           const PlasticRead<Real>& read) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(
                kind, [&]<Eligibility k> { forward<r, k, true, true>(c, update, read, update.hebb_in); });
          });
        },
    .update_adjoint =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, const UpdateAdjoint<Real>& adjoint) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(kind, [&]<Eligibility k> { reverse_update<r, k>(c, adjoint); });
          });
        },
    .read_adjoint =
        [](Rule rule, const Connection<Real>& c, const ReadAdjoint<Real>& adjoint) {
          with_read(rule, [&]<Rule r> {
            c.alpha_per_connection ? reverse_read<r, true>(c, adjoint) : reverse_read<r, false>(c, adjoint);
          });
        },
};

}  // namespace
}  // namespace plasticity::cpu
