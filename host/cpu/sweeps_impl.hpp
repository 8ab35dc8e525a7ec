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

/// Calls body(block, j) for blocks of `wide` vectors, then single vectors, then single columns.
template <class Real, class Body>
inline void for_columns(std::int64_t N, Body body) {
  using V = Vector<Real>;
  std::int64_t j = 0;
  for (; j + wide * lanes<V> <= N; j += wide * lanes<V>) body.template operator()<V, wide>(j);
  for (; j + lanes<V> <= N; j += lanes<V>) body.template operator()<V, 1>(j);
  for (; j < N; ++j) body.template operator()<Real, 1>(j);
}

template <class V, int count, class Real>
inline void load_block(V (&block)[count], const Real* source) {
  for (int k = 0; k < count; ++k) block[k] = load<V>(source + k * lanes<V>);
}

template <Rule rule, Eligibility kind, bool updates, bool reads, class Real, class Trace>
void forward(const Connection<Real>& c, const TraceUpdate<Real, Trace>& update, const PlasticRead<Real>& read,
             const Trace* hebb) {
  for_columns<Real>(c.N, [&]<class V, int count>(std::int64_t j) {
    V y[count]{}, rate[count]{}, s[count]{};
    if constexpr (updates) {
      load_block(y, update.y + j);
      load_block(rate, update.rate + j);
    }
    if constexpr (reads) load_block(s, read.s + j);
    const V eta = splat<V>(c.eta), clip = splat<V>(c.clip);
    for (std::int64_t i = 0; i < c.P; ++i) {
      V x_update{}, x_read{};
      if constexpr (updates) x_update = splat<V>(update.x[i]);
      if constexpr (reads) x_read = splat<V>(read.x[i]);
      for (int k = 0; k < count; ++k) {
        const std::int64_t ij = i * c.N + j + k * lanes<V>;
        V h = load<V>((updates ? update.hebb_in : hebb) + ij);
        if constexpr (updates) {
          V e{};
          if constexpr (kind != Eligibility::none) e = load<V>(update.eligibility_in + ij);
          update_traces<rule, kind>(h, e, x_update * y[k], rate[k], y[k], eta, clip);
          if constexpr (kind != Eligibility::none) store(update.eligibility_out + ij, e);
          h = stored(update.hebb_out + ij, h);
        }
        if constexpr (reads) {
          const V alpha = load<V>(c.alpha + i * c.alpha_stride + j + k * lanes<V>);
          s[k] += x_read * (load<V>(c.w + ij) + alpha * TraceRule<rule>::read(h, clip));
        }
      }
    }
    if constexpr (reads) {
      for (int k = 0; k < count; ++k) store(read.s + j + k * lanes<V>, s[k]);
    }
  });
}

template <Rule rule, Eligibility kind, class Real, class Trace>
void reverse_update(const Connection<Real>& c, const UpdateAdjoint<Real, Trace>& a) {
  for_columns<Real>(c.N, [&]<class V, int count>(std::int64_t j) {
    V y[count], rate[count], dy[count], drate[count]{}, deta[count]{};
    load_block(y, a.y + j);
    load_block(rate, a.rate + j);
    load_block(dy, a.dy + j);
    const V eta = splat<V>(c.eta), clip = splat<V>(c.clip);
    for (std::int64_t i = 0; i < c.P; ++i) {
      const V x = splat<V>(a.x[i]);
      V dx = load<V>(a.dx_lanes + i * row_lanes<Real>);
      for (int k = 0; k < count; ++k) {
        const std::int64_t ij = i * c.N + j + k * lanes<V>;
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

template <Rule rule, bool per_connection, class Real, class Trace>
void reverse_read(const Connection<Real>& c, const ReadAdjoint<Real, Trace>& a) {
  for_columns<Real>(c.N, [&]<class V, int count>(std::int64_t j) {
    V da[count], dalpha[count]{};
    load_block(da, a.da + j);
    const V clip = splat<V>(c.clip);
    for (std::int64_t i = 0; i < c.P; ++i) {
      const V x = splat<V>(a.x[i]);
      V dx = load<V>(a.dx_lanes + i * row_lanes<Real>);
      for (int k = 0; k < count; ++k) {
        const std::int64_t ij = i * c.N + j + k * lanes<V>;
        const V h = load<V>(a.hebb + ij), read = TraceRule<rule>::read(h, clip), product = x * da[k];
        const V alpha = load<V>(c.alpha + i * c.alpha_stride + j + k * lanes<V>);
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

template <class Real, class Trace>
constexpr Sweeps<Real, Trace> sweep_table{
    .update =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, const TraceUpdate<Real, Trace>& update) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(
                kind, [&]<Eligibility k> { forward<r, k, true, false>(c, update, {}, update.hebb_in); });
          });
        },
    .read =
        [](Rule rule, const Connection<Real>& c, const Trace* hebb, const PlasticRead<Real>& read) {
          with_read(rule, [&]<Rule r> {
            forward<r, Eligibility::none, false, true>(c, TraceUpdate<Real, Trace>{}, read, hebb);
          });
        },
    .update_and_read =
        [](Rule rule, Eligibility kind, const Connection<Real>& c, const TraceUpdate<Real, Trace>& update,
           const PlasticRead<Real>& read) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(
                kind, [&]<Eligibility k> { forward<r, k, true, true>(c, update, read, update.hebb_in); });
          });
        },
    .update_adjoint =
        [](Rule rule, Eligibility kind, const Connection<Real>& c,
           const UpdateAdjoint<Real, Trace>& adjoint) {
          with_rule(rule, AllRules{}, [&]<Rule r> {
            with_eligibility(kind, [&]<Eligibility k> { reverse_update<r, k>(c, adjoint); });
          });
        },
    .read_adjoint =
        [](Rule rule, const Connection<Real>& c, const ReadAdjoint<Real, Trace>& adjoint) {
          with_read(rule, [&]<Rule r> {
            c.alpha_per_connection ? reverse_read<r, true>(c, adjoint) : reverse_read<r, false>(c, adjoint);
          });
        },
};

/// A tile of C of `rows` x `count` vectors, kept in registers over all k; a(m, k) and b(k) say where the
/// factors are.
template <int rows, class V, int count, class Real, class A, class B>
inline void product_tile(std::int64_t K, A a, B b, std::int64_t m, std::int64_t n, Real* c,
                         std::int64_t ldc) {
  V sum[rows][count];
  for (int r = 0; r < rows; ++r) load_block(sum[r], c + (m + r) * ldc + n);
  for (std::int64_t k = 0; k < K; ++k) {
    V right[count];
    load_block(right, b(k) + n);
    for (int r = 0; r < rows; ++r) {
      const V left = splat<V>(a(m + r, k));
      for (int v = 0; v < count; ++v) sum[r][v] += left * right[v];
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < count; ++v) store(c + (m + r) * ldc + n + v * lanes<V>, sum[r][v]);
  }
}

template <class Real, class A, class B>
inline void product(std::int64_t m, std::int64_t M, std::int64_t N, std::int64_t K, A a, B b, Real* c,
                    std::int64_t ldc) {
  using V = Vector<Real>;
  constexpr int rows = 4, count = 2;
  const auto columns = [&]<int tile_rows> {
    std::int64_t n = 0;
    for (; n + count * lanes<V> <= N; n += count * lanes<V>)
      product_tile<tile_rows, V, count>(K, a, b, m, n, c, ldc);
    for (; n + lanes<V> <= N; n += lanes<V>) product_tile<tile_rows, V, 1>(K, a, b, m, n, c, ldc);
    for (; n < N; ++n) product_tile<tile_rows, Real, 1>(K, a, b, m, n, c, ldc);
  };
  for (; m + rows <= M; m += rows) columns.template operator()<rows>();
  for (; m < M; ++m) columns.template operator()<1>();
}

template <class Real>
constexpr Products<Real> product_table{
    .multiply =
        [](std::int64_t M, std::int64_t N, std::int64_t K, const Real* a, std::int64_t lda, const Real* b,
           std::int64_t ldb, Real* c, std::int64_t ldc) {
          product(
              0, M, N, K, [=](std::int64_t m, std::int64_t k) { return a[m * lda + k]; },
              [=](std::int64_t k) { return b + k * ldb; }, c, ldc);
        },
    .outer =
        [](std::int64_t m_begin, std::int64_t m_end, std::int64_t N, std::int64_t K,
           const Real* const* a_rows, const Real* const* b_rows, Real* c, std::int64_t ldc) {
          product(
              m_begin, m_end, N, K, [=](std::int64_t m, std::int64_t k) { return a_rows[k][m]; },
              [=](std::int64_t k) { return b_rows[k]; }, c, ldc);
        },
};

}  // namespace
}  // namespace plasticity::cpu
