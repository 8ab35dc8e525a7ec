#include "cpu/working_memory.hpp"

#include <type_traits>

#include "cpu/padded_rows.hpp"
#include "cpu/rounded_traces.hpp"

namespace plasticity::cpu {

template <class Real>
ParameterCopies<Real>::ParameterCopies(const Spec& spec, bool whole, StaggeredArena& arena)
    : copies_rows(whole || spec.neurons < row_lanes<Real>),
      width(copies_rows ? padded<Real>(spec.neurons) : row_lanes<Real>) {
  const bool matrix = spec.alpha == Granularity::connection;
  const std::int64_t size = copies_rows ? spec.presynaptic() * width : width;
  w = arena.take<Real>(size);
  alpha = arena.take<Real>(matrix ? size : padded<Real>(spec.neurons));
}

template <class Real>
SweepParams<Real> ParameterCopies<Real>::fill(const Spec& spec,
                                              const Parameters<const Real>& parameters) const {
  const std::int64_t P = spec.presynaptic(), N = spec.neurons, whole = N / row_lanes<Real> * row_lanes<Real>;
  const auto matrix = [&](const Real* source, Real* copy) {
    if (copies_rows) {
      pad_rows(source, P, N, copy);
      return MatrixRows<Real>{copy, width, copy + (P - 1) * width + whole};
    }
    if (whole < N) pad_rows(source + (P - 1) * N + whole, 1, N - whole, copy);
    return MatrixRows<Real>{source, N, copy};
  };
  SweepParams<Real> params{.P = P,
                           .N = N,
                           .w = matrix(parameters.w, w),
                           .alpha = {alpha, 0, alpha + whole},
                           .eta = spec.has_eta() ? *parameters.eta : Real(0),
                           .clip = static_cast<Real>(spec.clip)};
  if (spec.alpha == Granularity::connection) {
    params.alpha = matrix(parameters.alpha, alpha);
  } else {
    std::fill_n(alpha, padded<Real>(N), Real(0));
    if (spec.alpha == Granularity::scalar) {
      std::fill_n(alpha, N, *parameters.alpha);
    } else {
      std::copy_n(parameters.alpha, N, alpha);
    }
  }
  return params;
}

template <class Real, class Trace>
TapeElement<Real, Trace>::TapeElement(const Spec& spec, std::int64_t steps, std::int64_t interval,
                                      StaggeredArena& arena) {
  const std::int64_t N = padded<Real>(spec.neurons), P = spec.presynaptic();
  std::int64_t checkpoints = (steps + interval - 1) / interval;
  if (std::is_same_v<Trace, Bfloat16> && RoundedTraces::needs_last(spec, interval)) ++checkpoints;
  const bool lstm = spec.cell == Cell::lstm;
  y0 = arena.take<Real>(spec.is_recurrent() ? N : 0);
  c0 = arena.take<Real>(lstm ? N : 0);
  output = arena.take<Real>(steps * N);
  post = lstm ? arena.take<Real>(steps * N) : output;
  unclamped = spec.activation == Activation::softmax ? arena.take<Real>(steps * N) : post;
  c = arena.take<Real>(lstm ? steps * N : 0);
  gates = arena.take<Real>(lstm ? steps * 3 * N : 0);
  modulation = arena.take<Real>(spec.has_modulator() ? steps : 0);
  hebb = arena.take<Trace>(checkpoints * P * N);
  eligibility = arena.take<Trace>(spec.has_eligibility() ? checkpoints * P * N : 0);
}

template <class Real>
ForwardSpace<Real>::ForwardSpace(const Spec& spec, StaggeredArena& arena) {
  const std::int64_t N = padded<Real>(spec.neurons), P = spec.presynaptic();
  const bool lstm = spec.cell == Cell::lstm;
  y0 = arena.take<Real>(N);
  c0 = arena.take<Real>(lstm ? N : 0);
  zeros = arena.take<Real>(std::max(P, N));
  currents = arena.take<Real>(chunk * spec.gates() * N);
  output = arena.take<Real>(ring * N);
  post = lstm ? arena.take<Real>(ring * N) : output;
  c = arena.take<Real>(lstm ? ring * N : 0);
  gates = arena.take<Real>(lstm ? 3 * N : 0);
  rate = arena.take<Real>(N);
  retention = arena.take<Real>(N);
  gain = arena.take<Real>(N);
  hebb = arena.take<Real>(P * N);
  eligibility = arena.take<Real>(spec.has_eligibility() ? P * N : 0);
}

template <class Real>
ElementSums<Real>::ElementSums(const Spec& spec, bool alpha_per_connection, StaggeredArena& arena) {
  // One block, so that sums are added in one loop.
  const std::int64_t N = padded<Real>(spec.neurons);
  elements = 5 * N + (alpha_per_connection ? spec.presynaptic() * N : N);
  eta = arena.take<Real>(elements);
  modulator_weight = eta + N;
  modulator_bias = modulator_weight + N;
  fan_out_weight = modulator_bias + N;
  fan_out_bias = fan_out_weight + N;
  alpha = fan_out_bias + N;
}

template <class Real>
BackwardSpace<Real>::BackwardSpace(const Spec& spec, std::int64_t stored_traces, std::int64_t steps,
                                   StaggeredArena& arena) {
  const std::int64_t N = padded<Real>(spec.neurons), P = spec.presynaptic(),
                     shares = share_count(spec.neurons);
  const bool eligible = spec.has_eligibility();
  G = arena.take<Real>(P * N);
  GE = arena.take<Real>(eligible ? P * N : 0);
  const std::int64_t stored = stored_traces * trace_distance<Real>(spec);
  hebb = arena.take<Real>(stored);
  eligibility = arena.take<Real>(eligible ? stored : 0);
  rates = arena.take<Real>(steps * N);
  retentions = arena.take<Real>(steps * N);
  gains = arena.take<Real>(steps * N);
  updates = arena.take<UpdateVectors<Real>>(steps);
  dx_read = arena.take<Real>(shares * P);
  for (Real*& part : dx_update) part = arena.take<Real>(shares * P);
  dx = arena.take<Real>(std::max(P, N));
  doutput = arena.take<Real>(N);
  dc = arena.take<Real>(N);
  dpost = arena.take<Real>(N);
  drate = arena.take<Real>(N);
  dpost_eligibility = arena.take<Real>(eligible ? N : 0);
  unused_dalpha = arena.take<Real>(N);
}

template struct TapeElement<float, float>;
template struct TapeElement<double, double>;
template struct TapeElement<float, Bfloat16>;
template struct ParameterCopies<float>;
template struct ParameterCopies<double>;
template struct ForwardSpace<float>;
template struct ForwardSpace<double>;
template struct BackwardSpace<float>;
template struct BackwardSpace<double>;
template struct ElementSums<float>;
template struct ElementSums<double>;

}  // namespace plasticity::cpu
