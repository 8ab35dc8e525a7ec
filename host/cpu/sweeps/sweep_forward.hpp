#pragma once

#include "cpu/sweeps/sweep_tiles.hpp"

namespace plasticity::cpu {
namespace {

/// Updates the traces of `elements` batch elements and accumulates their plastic reads.
template <Form form, Eligibility kind, bool updates, int elements, class Real>
void sweep_forward(const SweepParams<Real>& params, Columns columns, const ForwardSweep<Real>* sweeps) {
  using V = Vector<Real>;
  constexpr int wide = elements == 1 ? 4 : 2;
  const std::int64_t N = params.N, stride = padded<Real>(N);
  const V clip = splat<V>(params.clip);
  const auto constants = constants_of<form, V>(params);
  constexpr bool tails = elements == 1;  // of several elements the matrices are padded
  const MatrixRows<Real> w_rows = params.w, alpha_rows = params.alpha;
  const SweepCopies<ForwardSweep<Real>, elements> at(sweeps);
  const auto block = [=]<int count, bool tail>(std::int64_t j, std::int64_t i0,
                                               std::int64_t i1) PLASTICITY_INLINE {
    constexpr bool masks = tail && tails;
    ColumnFactors<V> factors[elements][count];
    V s[elements][count];
    for (int b = 0; b < elements; ++b) {
      load_block(s[b], at[b].s + j);
      for (int k = 0; updates && k < count; ++k)
        factors[b][k] = load_factors<form, kind, V>(at[b].update, j + k * lanes<V>);
    }
    for (std::int64_t i = i0; i < i1; ++i) {
      V x_update[elements]{}, x[elements];
      for (int b = 0; b < elements; ++b) {
        if constexpr (updates) x_update[b] = splat<V>(at[b].update.x[i]);
        x[b] = splat<V>(at[b].x[i]);
      }
      for (int k = 0; k < count; ++k) {
        const std::int64_t column = j + k * lanes<V>, ij = i * stride + column;
        const V w = load_row<masks, V>(w_rows, i, column, params.P, N);
        const V alpha = load_row<masks, V>(alpha_rows, i, column, params.P, N);
        V h[elements], e[elements]{};
        for (int b = 0; b < elements; ++b) {
          h[b] = load<V>(at[b].traces.hebb_in + ij);
          if constexpr (updates && kind != Eligibility::none)
            e[b] = load<V>(at[b].traces.eligibility_in + ij);
        }
        for (int b = 0; b < elements; ++b) {
          if constexpr (updates) {
            update_connection<form, kind>(h[b], e[b], x_update[b], factors[b][k], constants);
            if constexpr (kind != Eligibility::none) store(at[b].traces.eligibility_out + ij, e[b]);
            store(at[b].traces.hebb_out + ij, h[b]);
          }
          const V weight = multiply_add(alpha, read_trace<form>(h[b], clip), w);
          s[b][k] = multiply_add(x[b], weight, s[b][k]);
        }
      }
    }
    for (int b = 0; b < elements; ++b) store_block(at[b].s + j, s[b]);
  };
  for_tiles(params.P, [&](std::int64_t i0, std::int64_t i1) PLASTICITY_INLINE {
    for_columns<Real, wide>(N, columns, [&]<int count, bool tail>(std::int64_t j) PLASTICITY_INLINE {
      block.template operator()<count, tail>(j, i0, i1);
    });
  });
}

/// Computes traces from a TraceSource.
template <Form form, Eligibility kind, class Real>
void sweep_replay(const SweepParams<Real>& params, Columns columns, const TraceSource<Real>& traces,
                  Real* hebb, Real* eligibility) {
  const std::int64_t stride = padded<Real>(params.N);
  for_tiles(params.P, [&](std::int64_t i0, std::int64_t i1) {
    const std::int64_t first = i0 * stride + columns.first;
    advance<form, kind>(params, columns, traces, i0, i1,
                        {hebb + first, kind == Eligibility::none ? nullptr : eligibility + first, stride});
  });
}

}  // namespace
}  // namespace plasticity::cpu
