// The baselines' sequence: whole-tensor operations, one pass over memory each, with the trace of every step
// stored for backward. The same driver serves two sets of operations: plain loops (loops.hpp), and cuBLAS
// with elementwise kernels (cublas.cu). It supports cells rnn and lstm, rules decay and hard_clip, rates
// fixed, modulated and fan_out, and tanh. It has no eligibility traces and no masks. The initial state and
// the gradient of the final state are zero.
//
// `Operations` provides, on row-major pointers of its device:
//   allocate(n)                                 n floats with the lifetime of the object
//   each(rows, columns, f)                      f(row, column) for all elements, in parallel
//   product(m, n, k, a, ta, b, tb, beta, c)     c [m,n] = op(a) op(b) + beta c
//   columns(B, P, N, x, m, s)                   s[b,j] = sum_i x[b,i] m[b,i,j]
//   rows(B, P, N, m, v, s)                      s[b,i] = sum_j m[b,i,j] v[b,j]
//   sum_rows(rows, columns, a, beta, s)         s[j] = sum over rows of a[row,j] + beta s[j]
#pragma once

#include <cmath>
#include <cstdint>
#include <plasticity/arguments.hpp>

#ifdef __CUDACC__
#define BASELINE_DEVICE __host__ __device__
#else
#define BASELINE_DEVICE
#endif

namespace plasticity::bench::baseline {

using Index = std::int64_t;

/// Whether the baselines support a spec.
inline bool knows(const Spec& spec) {
  return spec.is_recurrent() && (spec.rule == Rule::decay || spec.rule == Rule::hard_clip) &&
         spec.rate != Rate::external && !spec.has_eligibility() && spec.activation == Activation::tanh &&
         spec.modulator_source == ModulatorSource::hidden;
}

/// alpha_ij with a stride of 0 for an index that it does not depend on.
struct Alpha {
  Alpha(const Spec& spec, const float* from)
      : values(from),
        row(spec.alpha == Granularity::connection ? spec.neurons : 0),
        column(spec.alpha == Granularity::scalar ? 0 : 1) {}
  BASELINE_DEVICE float operator()(Index i, Index j) const { return values[i * row + j * column]; }
  const float* values;
  Index row, column;
};

inline BASELINE_DEVICE float sigmoid(float a) { return 1 / (1 + expf(-a)); }

/// All members are public, because nvcc requires that of functions with extended lambdas.
template <class Operations>
struct Sequence {
  Sequence(const Spec& of, Index steps, Index batch, Operations& operations)
      : spec(of), ops(operations), T(steps), B(batch), N(of.neurons), lstm(of.cell == Cell::lstm) {
    hebb = ops.allocate((T + 1) * B * N * N);
    x = ops.allocate((T + 1) * B * N);
    y = ops.allocate(T * B * N);
    gates = ops.allocate(lstm ? T * B * 3 * N : 0);
    c = ops.allocate(lstm ? (T + 1) * B * N : 0);
    modulation = ops.allocate(T * B);
    rate = ops.allocate(T * B * N);
    current = ops.allocate(T * B * of.gates() * N);
    dcurrent = ops.allocate(T * B * of.gates() * N);
    for (float** each : {&matrix, &dhebb}) *each = ops.allocate(B * N * N);
    for (float** each : {&s, &carry, &dout, &dpost, &drate, &da, &dc, &sums, &work, &ones})
      *each = ops.allocate(B * N);
    for (float** each : {&pre, &dgates}) *each = ops.allocate(B * 3 * N);
    dm = ops.allocate(B);
    column = ops.allocate(N);
    fill(ones, B * N, 1);
  }

  void forward(const ForwardArgs<float>& args);
  void backward(const BackwardArgs<float>& args);

  // One forward step.
  void input_currents(const ForwardArgs<float>& args);
  void effective_weights(const Parameters<const float>& p, Index t);
  void cell(const ForwardArgs<float>& args, Index t);
  void rates(const ForwardArgs<float>& args, Index t);
  void update_trace(Index t);
  // One backward step, in this order.
  void trace_back(Index t);
  void rates_back(const BackwardArgs<float>& args, Index t);
  void cell_back(const BackwardArgs<float>& args, Index t);
  void read_back(const BackwardArgs<float>& args, Index t);
  void inputs_back(const BackwardArgs<float>& args);

  void fill(float* to, Index count, float value) {
    ops.each(1, count, [=] BASELINE_DEVICE(Index, Index k) { to[k] = value; });
  }
  void copy(float* to, const float* from, Index count) {
    if (to == nullptr) return;
    ops.each(1, count, [=] BASELINE_DEVICE(Index, Index k) { to[k] = from[k]; });
  }

  Spec spec;
  Operations& ops;
  const Index T, B, N;
  const bool lstm;
  // Stored for every step.
  float* hebb;                // [T+1,B,N,N] before step t
  float* x;                   // [T+1,B,N] presynaptic activity of step t, the output of the step before
  float* y;                   // [T,B,N] postsynaptic activity
  float* gates;               // [T,B,3N] i f o
  float* c;                   // [T+1,B,N]
  float* modulation;          // [T,B] M
  float* rate;                // [T,B,N] g
  float *current, *dcurrent;  // [T,B,N], lstm [T,B,4N]
  // Only the current step.
  float *matrix, *dhebb;                                                   // [B,N,N]
  float *s, *carry, *dout, *dpost, *drate, *da, *dc, *sums, *work, *ones;  // [B,N]
  float *pre, *dgates;                                                     // [B,3N]
  float *dm, *column;                                                      // [B] [N]
};

}  // namespace plasticity::bench::baseline

#include "sequence_backward.hpp"
#include "sequence_forward.hpp"
