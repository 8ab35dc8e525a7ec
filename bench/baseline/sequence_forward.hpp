// Included by sequence.hpp.
#pragma once

namespace plasticity::bench::baseline {

template <class Operations>
void Sequence<Operations>::forward(const ForwardArgs<float>& args) {
  input_currents(args);
  fill(hebb, B * N * N, 0);
  fill(x, B * N, 0);
  if (lstm) fill(c, B * N, 0);
  for (Index t = 0; t < T; ++t) {
    effective_weights(args.parameters, t);
    ops.columns(B, N, N, x + t * B * N, matrix, s);
    cell(args, t);
    rates(args, t);
    update_trace(t);
  }
  copy(args.final_state.y, x + T * B * N, B * N);
  copy(args.final_state.hebb, hebb + T * B * N * N, B * N * N);
  if (lstm) copy(args.final_state.c, c + T * B * N, B * N);
}

/// Input currents of all steps: x(t) W_in + b, or u(t).
template <class Operations>
void Sequence<Operations>::input_currents(const ForwardArgs<float>& args) {
  const Index width = spec.gates() * N;
  if (spec.inputs == 0) return copy(current, args.inputs.u, T * B * N);
  ops.product(T * B, width, spec.inputs, args.inputs.x, false, args.parameters.w_in, false, 0, current);
  float* const to = current;
  const float* const b = args.parameters.b;
  ops.each(T * B, width, [=] BASELINE_DEVICE(Index row, Index j) { to[row * width + j] += b[j]; });
}

/// w + alpha H
template <class Operations>
void Sequence<Operations>::effective_weights(const Parameters<const float>& p, Index t) {
  const Index n = N;
  const Alpha alpha(spec, p.alpha);
  const float *const w = p.w, *const h = hebb + t * B * N * N;
  float* const e = matrix;
  ops.each(B * N, N, [=] BASELINE_DEVICE(Index row, Index j) {
    const Index i = row % n;
    e[row * n + j] = w[i * n + j] + alpha(i, j) * h[row * n + j];
  });
}

template <class Operations>
void Sequence<Operations>::cell(const ForwardArgs<float>& args, Index t) {
  const Index n = N;
  const float* const plastic = s;
  float *const post = y + t * B * N, *const out = x + (t + 1) * B * N, *const shown = args.y + t * B * N;
  if (!lstm) {
    const float* const u = current + t * B * N;
    ops.each(B, N, [=] BASELINE_DEVICE(Index b, Index j) {
      const Index k = b * n + j;
      post[k] = out[k] = shown[k] = tanhf(u[k] + plastic[k]);
    });
    return;
  }
  ops.product(B, 3 * N, N, x + t * B * N, false, args.parameters.w_gates, false, 0, pre);
  const float *const u = current + t * B * 4 * N, *const recurrent = pre, *const before = c + t * B * N;
  float *const gate = gates + t * B * 3 * N, *const after = c + (t + 1) * B * N;
  ops.each(B, N, [=] BASELINE_DEVICE(Index b, Index j) {
    const Index k = b * n + j, u0 = b * 4 * n + j, r0 = b * 3 * n + j;
    const float i = sigmoid(u[u0] + recurrent[r0]), f = sigmoid(u[u0 + n] + recurrent[r0 + n]);
    const float o = sigmoid(u[u0 + 3 * n] + recurrent[r0 + 2 * n]);
    post[k] = tanhf(u[u0 + 2 * n] + plastic[k]);
    after[k] = f * before[k] + i * post[k];
    out[k] = shown[k] = o * tanhf(after[k]);
    gate[r0] = i, gate[r0 + n] = f, gate[r0 + 2 * n] = o;
  });
}

/// eta, M, or M F_j + F0_j
template <class Operations>
void Sequence<Operations>::rates(const ForwardArgs<float>& args, Index t) {
  const Index n = N;
  const Parameters<const float>& p = args.parameters;
  float *const g = rate + t * B * N, *const m = modulation + t * B;
  if (!spec.has_modulator()) {
    const float* const eta = p.eta;
    ops.each(B, N, [=] BASELINE_DEVICE(Index b, Index j) { g[b * n + j] = eta[0]; });
    return;
  }
  ops.product(B, 1, N, x + (t + 1) * B * N, false, p.modulator_weight, false, 0, m);
  const float* const bias = p.modulator_bias;
  ops.each(B, 1, [=] BASELINE_DEVICE(Index b, Index) { m[b] = tanhf(m[b] + bias[0]); });
  if (args.modulation != nullptr) copy(args.modulation + t * B, m, B);
  const float *const weight = p.fan_out_weight, *const fan_bias = p.fan_out_bias;
  if (spec.rate == Rate::fan_out) {
    ops.each(B, N, [=] BASELINE_DEVICE(Index b, Index j) { g[b * n + j] = m[b] * weight[j] + fan_bias[j]; });
  } else {
    ops.each(B, N, [=] BASELINE_DEVICE(Index b, Index j) { g[b * n + j] = m[b]; });
  }
}

template <class Operations>
void Sequence<Operations>::update_trace(Index t) {
  const Index n = N;
  const auto clip = static_cast<float>(spec.clip);
  const float *const h = hebb + t * B * N * N, *const in = x + t * B * N, *const post = y + t * B * N;
  const float* const g = rate + t * B * N;
  float* const after = hebb + (t + 1) * B * N * N;
  if (spec.rule == Rule::decay) {
    ops.each(B * N, N, [=] BASELINE_DEVICE(Index row, Index j) {
      const Index k = row / n * n + j, e = row * n + j;
      after[e] = (1 - g[k]) * h[e] + g[k] * in[row] * post[k];
    });
  } else {
    ops.each(B * N, N, [=] BASELINE_DEVICE(Index row, Index j) {
      const Index k = row / n * n + j, e = row * n + j;
      const float moved = h[e] + g[k] * in[row] * post[k];
      after[e] = moved > clip ? clip : moved < -clip ? -clip : moved;
    });
  }
}

}  // namespace plasticity::bench::baseline
