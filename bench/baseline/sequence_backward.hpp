// Included by sequence.hpp.
#pragma once

namespace plasticity::bench::baseline {

template <class Operations>
void Sequence<Operations>::backward(const BackwardArgs<float>& args) {
  fill(dhebb, B * N * N, 0);
  fill(carry, B * N, 0);
  fill(dc, B * N, 0);
  for (Index t = T - 1; t >= 0; --t) {
    const float *const upstream = args.dy + t * B * N, *const later = carry;
    float* const to = dout;
    ops.each(1, B * N, [=] BASELINE_DEVICE(Index, Index k) { to[k] = upstream[k] + later[k]; });
    trace_back(t);
    rates_back(args, t);
    cell_back(args, t);
    read_back(args, t);
  }
  inputs_back(args);
  copy(args.dinitial_state.y, carry, B * N);
  copy(args.dinitial_state.hebb, dhebb, B * N * N);
  if (lstm) copy(args.dinitial_state.c, dc, B * N);
}

/// Adjoint of the trace rule: gradients of y, x, the rate and the previous trace.
template <class Operations>
void Sequence<Operations>::trace_back(Index t) {
  const Index n = N;
  const auto clip = static_cast<float>(spec.clip);
  const bool decay = spec.rule == Rule::decay;
  const float *const h = hebb + t * B * N * N, *const in = x + t * B * N, *const post = y + t * B * N;
  const float *const g = rate + t * B * N, *const through_x = sums, *const through_h = s;
  float *const G = dhebb, *const gy = work, *const product = matrix, *const dy = dpost, *const dg = drate;
  if (!decay) {
    ops.each(B * N, N, [=] BASELINE_DEVICE(Index row, Index j) {
      const Index k = row / n * n + j, e = row * n + j;
      const float moved = h[e] + g[k] * in[row] * post[k];
      if (moved > clip || moved < -clip) G[e] = 0;
    });
  }
  ops.columns(B, N, N, in, G, sums);
  ops.each(1, B * N, [=] BASELINE_DEVICE(Index, Index k) { gy[k] = g[k] * post[k]; });
  ops.rows(B, N, N, G, gy, carry);
  if (decay) {
    ops.each(1, B * N * N, [=] BASELINE_DEVICE(Index, Index k) { product[k] = G[k] * h[k]; });
    ops.columns(B, N, N, ones, product, s);
  }
  ops.each(1, B * N, [=] BASELINE_DEVICE(Index, Index k) {
    dy[k] = g[k] * through_x[k];
    dg[k] = post[k] * through_x[k] - (decay ? through_h[k] : 0);
  });
  if (decay) {
    ops.each(B * N, N, [=] BASELINE_DEVICE(Index row, Index j) { G[row * n + j] *= 1 - g[row / n * n + j]; });
  }
}

template <class Operations>
void Sequence<Operations>::rates_back(const BackwardArgs<float>& args, Index t) {
  const Index n = N;
  const Parameters<float>& d = args.dparameters;
  if (!spec.has_modulator()) {
    ops.sum_rows(B, N, drate, 0, column);
    ops.sum_rows(N, 1, column, 1, d.eta);
    return;
  }
  const float *const m = modulation + t * B, *const dg = drate, *const v = args.parameters.modulator_weight;
  float *const q = dm, *const weighted = work, *const out = dout;
  if (spec.rate == Rate::fan_out) {
    ops.each(B, N, [=] BASELINE_DEVICE(Index b, Index j) { weighted[b * n + j] = dg[b * n + j] * m[b]; });
    ops.sum_rows(B, N, work, 1, d.fan_out_weight);
    ops.sum_rows(B, N, drate, 1, d.fan_out_bias);
    ops.product(B, 1, N, drate, false, args.parameters.fan_out_weight, false, 0, dm);
  } else {
    ops.product(B, 1, N, drate, false, ones, false, 0, dm);
  }
  ops.each(B, 1, [=] BASELINE_DEVICE(Index b, Index) { q[b] *= 1 - m[b] * m[b]; });
  ops.product(N, 1, B, x + (t + 1) * B * N, true, dm, false, 1, d.modulator_weight);
  ops.sum_rows(B, 1, dm, 1, d.modulator_bias);
  ops.each(B, N, [=] BASELINE_DEVICE(Index b, Index j) { out[b * n + j] += q[b] * v[j]; });
}

/// Gradient of the pre-activation, from the gradients of the output and of y.
template <class Operations>
void Sequence<Operations>::cell_back(const BackwardArgs<float>& args, Index t) {
  const Index n = N;
  const float *const post = y + t * B * N, *const out = dout, *const dy = dpost;
  float *const a = da, *const du = dcurrent + t * B * spec.gates() * N;
  if (!lstm) {
    ops.each(1, B * N, [=] BASELINE_DEVICE(Index, Index k) {
      a[k] = du[k] = (out[k] + dy[k]) * (1 - post[k] * post[k]);
    });
    return;
  }
  const float *const gate = gates + t * B * 3 * N, *const before = c + t * B * N;
  const float* const after = c + (t + 1) * B * N;
  float *const cell = dc, *const pre_gates = dgates, *const to_x = carry, *const through_gates = work;
  ops.each(B, N, [=] BASELINE_DEVICE(Index b, Index j) {
    const Index k = b * n + j, g0 = b * 3 * n + j, u0 = b * 4 * n + j;
    const float i = gate[g0], f = gate[g0 + n], o = gate[g0 + 2 * n], squashed = tanhf(after[k]);
    const float d = cell[k] + out[k] * o * (1 - squashed * squashed);
    a[k] = (dy[k] + d * i) * (1 - post[k] * post[k]);
    pre_gates[g0] = d * post[k] * i * (1 - i);
    pre_gates[g0 + n] = d * before[k] * f * (1 - f);
    pre_gates[g0 + 2 * n] = out[k] * squashed * o * (1 - o);
    cell[k] = d * f;
    du[u0] = pre_gates[g0], du[u0 + n] = pre_gates[g0 + n], du[u0 + 3 * n] = pre_gates[g0 + 2 * n];
    du[u0 + 2 * n] = a[k];
  });
  ops.product(N, 3 * N, B, x + t * B * N, true, dgates, false, 1, args.dparameters.w_gates);
  ops.product(B, N, 3 * N, dgates, false, args.parameters.w_gates, true, 0, work);
  ops.each(1, B * N, [=] BASELINE_DEVICE(Index, Index k) { to_x[k] += through_gates[k]; });
}

/// Adjoint of the plastic read: gradients of w, alpha, x and the trace.
template <class Operations>
void Sequence<Operations>::read_back(const BackwardArgs<float>& args, Index t) {
  const Index n = N;
  const Alpha alpha(spec, args.parameters.alpha);
  const float *const h = hebb + t * B * N * N, *const in = x + t * B * N, *const a = da;
  float *const G = dhebb, *const product = matrix, *const to_x = carry, *const through_read = work;
  effective_weights(args.parameters, t);
  ops.rows(B, N, N, matrix, da, work);
  ops.each(1, B * N, [=] BASELINE_DEVICE(Index, Index k) { to_x[k] += through_read[k]; });
  ops.product(N, N, B, in, true, da, false, 1, args.dparameters.w);
  ops.each(B * N, N, [=] BASELINE_DEVICE(Index row, Index j) {
    product[row * n + j] = in[row] * a[row / n * n + j] * h[row * n + j];
  });
  if (spec.alpha == Granularity::connection) {
    ops.sum_rows(B, N * N, matrix, 1, args.dparameters.alpha);
  } else if (spec.alpha == Granularity::post) {
    ops.sum_rows(B * N, N, matrix, 1, args.dparameters.alpha);
  } else {
    ops.sum_rows(B * N, N, matrix, 0, column);
    ops.sum_rows(N, 1, column, 1, args.dparameters.alpha);
  }
  ops.each(B * N, N, [=] BASELINE_DEVICE(Index row, Index j) {
    G[row * n + j] += alpha(row % n, j) * in[row] * a[row / n * n + j];
  });
}

template <class Operations>
void Sequence<Operations>::inputs_back(const BackwardArgs<float>& args) {
  const Index width = spec.gates() * N;
  if (spec.inputs == 0) return copy(args.dinputs.u, dcurrent, T * B * N);
  ops.product(spec.inputs, width, T * B, args.inputs.x, true, dcurrent, false, 1, args.dparameters.w_in);
  ops.sum_rows(T * B, width, dcurrent, 1, args.dparameters.b);
  ops.product(T * B, spec.inputs, width, dcurrent, false, args.parameters.w_in, true, 0, args.dinputs.x);
}

}  // namespace plasticity::bench::baseline
