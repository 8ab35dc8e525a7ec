// What one would write without the library: a sequence as whole-tensor operations, one pass over memory each,
// the trace of every step kept for backward. The same driver over two sets of operations: plain loops
// (loops.hpp), and cuBLAS with elementwise kernels (cublas.cu). Cells rnn and lstm, rules decay and
// hard_clip, rates fixed, modulated and fan_out, tanh, no eligibility and no masks; the initial state is
// zero, and no gradient comes from the final one.
//
// `Operations` offers, on pointers of its device, row-major:
//   allocate(n)                                 n floats that live as long as it
//   each(rows, columns, f)                      f(row, column) for all of them, in parallel
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

/// Whether the baselines know a spec.
inline bool knows(const Spec& spec) {
  return spec.is_recurrent() && (spec.rule == Rule::decay || spec.rule == Rule::hard_clip) &&
         spec.rate != Rate::external && !spec.has_eligibility() && spec.activation == Activation::tanh &&
         spec.modulator_source == ModulatorSource::hidden;
}

/// alpha_ij by strides: 0 where it does not depend on i, or on j.
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

/// All is public, since nvcc wants its lambdas in functions that are.
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

  // Forward, a step.
  void input_currents(const ForwardArgs<float>& args);
  void effective_weights(const Parameters<const float>& p, Index t);
  void cell(const ForwardArgs<float>& args, Index t);
  void rates(const ForwardArgs<float>& args, Index t);
  void update_trace(Index t);
  // Backward, a step, in this order.
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
  // Kept of every step.
  float* hebb;                // [T+1,B,N,N] before step t
  float* x;                   // [T+1,B,N] presynaptic activity of step t, the output of the step before
  float* y;                   // [T,B,N] postsynaptic activity
  float* gates;               // [T,B,3N] i f o
  float* c;                   // [T+1,B,N]
  float* modulation;          // [T,B] M
  float* rate;                // [T,B,N] g
  float *current, *dcurrent;  // [T,B,N], lstm [T,B,4N]
  // Of one step.
  float *matrix, *dhebb;                                                   // [B,N,N]
  float *s, *carry, *dout, *dpost, *drate, *da, *dc, *sums, *work, *ones;  // [B,N]
  float *pre, *dgates;                                                     // [B,3N]
  float *dm, *column;                                                      // [B] [N]
};

}  // namespace plasticity::bench::baseline

#include "sequence_backward.hpp"
#include "sequence_forward.hpp"
