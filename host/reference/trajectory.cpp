#include "reference/trajectory.hpp"

#include "base/throw_error.hpp"

namespace plasticity::reference {
namespace {

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

template <class Real>
Real sigmoid(Real a) {
  return Real(1) / (Real(1) + std::exp(-a));
}

/// Applies f in place.
template <class Real>
void activate(Activation activation, Vector<Real>& a) {
  switch (activation) {
    case Activation::tanh:
      for (Real& value : a) value = std::tanh(value);
      return;
    case Activation::sigmoid:
      for (Real& value : a) value = sigmoid(value);
      return;
    case Activation::relu:
      for (Real& value : a) value = real_part(value) < 0 ? Real(0) : value;
      return;
    case Activation::identity: return;
    case Activation::softmax: {
      auto largest = real_part(a[0]);
      for (const Real& value : a) largest = std::max(largest, real_part(value));
      Real sum(0);
      for (Real& value : a) {
        value = std::exp(value - Real(largest));
        sum += value;
      }
      for (Real& value : a) value /= sum;
      return;
    }
  }
}

/// Returns `size` numbers from `offset` on; zeros without a source.
template <class Real>
Vector<Real> load(const Real* source, std::int64_t offset, std::int64_t size) {
  if (source == nullptr) return Vector<Real>(at(size), Real(0));
  return Vector<Real>(source + offset, source + offset + size);
}

/// Returns the input current of all gates at step t: x W_in + b + u, or u without a projection.
template <class Real>
Vector<Real> input_current(const ReferenceArgs<Real>& args, std::int64_t t, std::int64_t b) {
  const Spec& spec = args.spec;
  const std::int64_t width = spec.gates() * spec.neurons, row = t * args.batch + b;
  Vector<Real> current = load(args.inputs.u, row * width, width);
  if (spec.cell == Cell::feedforward || spec.inputs == 0) return current;
  for (std::int64_t j = 0; j < width; ++j) current[at(j)] += args.parameters.b[j];
  for (std::int64_t i = 0; i < spec.inputs; ++i) {
    for (std::int64_t j = 0; j < width; ++j) {
      current[at(j)] += args.inputs.x[row * spec.inputs + i] * args.parameters.w_in[i * width + j];
    }
  }
  return current;
}

}  // namespace

template <class Real>
Real update_trace(const Spec& spec, Real hebb, Real drive, Real rate, Real y) {
  switch (spec.rule) {
    case Rule::decay: return (Real(1) - rate) * hebb + rate * drive;
    case Rule::oja: return hebb + rate * (drive - y * y * hebb);
    case Rule::hard_clip: return clamp(hebb + rate * drive, spec.clip);
    case Rule::soft_clip: {
      const Real p = rate * drive;
      return clamp(real_part(p) >= 0 ? hebb + p * (Real(1) - hebb) : hebb + p * (Real(1) + hebb), 1.0);
    }
    case Rule::additive:
    case Rule::read_clip: return hebb + rate * drive;
  }
  return hebb;
}

namespace {

/// Loads the initial state of batch element b.
template <class Real>
Trajectory<Real> initial_trajectory(const ReferenceArgs<Real>& args, std::int64_t b) {
  const std::int64_t N = args.spec.neurons, P = args.spec.presynaptic();
  Trajectory<Real> state;
  state.y = load(args.initial_state.y, b * N, N);
  state.c = load(args.initial_state.c, b * N, N);
  state.hebb = load(args.initial_state.hebb, b * P * N, P * N);
  state.eligibility = load(args.initial_state.eligibility, b * P * N, P * N);
  return state;
}

/// Starts the record of step t with the values that the step reads. A reset clears the state first.
template <class Real>
StepRecord<Real> begin_step(const ReferenceArgs<Real>& args, std::int64_t t, std::int64_t b,
                            Trajectory<Real>& state) {
  const std::int64_t row = t * args.batch + b, P = args.spec.presynaptic();
  StepRecord<Real> step;
  step.reset = args.masks.reset != nullptr && args.masks.reset[row] != 0;
  if (step.reset) {
    for (Vector<Real>* carried : {&state.y, &state.c, &state.hebb, &state.eligibility}) {
      std::fill(carried->begin(), carried->end(), Real(0));
    }
  }
  step.x = args.spec.cell == Cell::feedforward ? load(args.inputs.pre, row * P, P) : state.y;
  step.hebb = state.hebb;
  step.eligibility = state.eligibility;
  step.c_before = state.c;
  return step;
}

/// Computes the plastic gate: the current u + s, f of it, and y. `current` is u of all gates.
template <class Real>
void run_plastic_gate(const ReferenceArgs<Real>& args, std::int64_t row, const Vector<Real>& current,
                      StepRecord<Real>& step) {
  const Spec& spec = args.spec;
  const Parameters<const Real>& p = args.parameters;
  const std::int64_t N = spec.neurons, P = spec.presynaptic();
  const std::int64_t first = spec.cell == Cell::lstm ? 2 * N : 0;
  step.current.assign(at(N), Real(0));
  for (std::int64_t j = 0; j < N; ++j) {
    Real sum = current[at(first + j)];
    for (std::int64_t i = 0; i < P; ++i) {
      const Real trace = step.hebb[at(i * N + j)];
      const Real read = spec.rule == Rule::read_clip ? clamp(trace, spec.clip) : trace;
      sum += step.x[at(i)] * (p.w[i * N + j] + alpha_of(spec, p.alpha, i, j) * read);
    }
    step.current[at(j)] = sum;
  }
  step.unclamped = step.current;
  activate(spec.activation, step.unclamped);
  step.y = step.unclamped;
  if (args.masks.clamp == nullptr) return;
  for (std::int64_t j = 0; j < N; ++j) {
    if (args.masks.clamp[row * N + j] != 0) step.y[at(j)] = args.masks.clamp_value[row * N + j];
  }
}

/// Computes the gates i, f and o of an lstm, sigmoid(u + h W_gates), its cell state and its output.
template <class Real>
void run_lstm(const ReferenceArgs<Real>& args, const Vector<Real>& current, StepRecord<Real>& step) {
  const std::int64_t N = args.spec.neurons;
  for (Vector<Real>* vector : {&step.i, &step.f, &step.o, &step.c, &step.output})
    vector->assign(at(N), Real(0));
  for (std::int64_t j = 0; j < N; ++j) {
    Real i = current[at(j)], f = current[at(N + j)], o = current[at(3 * N + j)];
    for (std::int64_t k = 0; k < N; ++k) {
      const Real* row = args.parameters.w_gates + k * 3 * N;
      i += step.x[at(k)] * row[j];
      f += step.x[at(k)] * row[N + j];
      o += step.x[at(k)] * row[2 * N + j];
    }
    step.i[at(j)] = sigmoid(i);
    step.f[at(j)] = sigmoid(f);
    step.o[at(j)] = sigmoid(o);
    step.c[at(j)] = step.f[at(j)] * step.c_before[at(j)] + step.i[at(j)] * step.y[at(j)];
    step.output[at(j)] = step.o[at(j)] * std::tanh(step.c[at(j)]);
  }
}

/// Computes M, if the spec has it, and the rate g.
template <class Real>
void compute_rate(const ReferenceArgs<Real>& args, std::int64_t row, StepRecord<Real>& step) {
  const Spec& spec = args.spec;
  const Parameters<const Real>& p = args.parameters;
  const std::int64_t N = spec.neurons;
  if (spec.has_modulator()) {
    const Vector<Real>& read = spec.modulator_source == ModulatorSource::cell ? step.c : step.output;
    Real sum = p.modulator_bias[0];
    for (std::int64_t j = 0; j < N; ++j) sum += p.modulator_weight[j] * read[at(j)];
    step.modulation = std::tanh(sum);
  }
  step.rate.assign(at(N), Real(0));
  for (std::int64_t j = 0; j < N; ++j) {
    Real& g = step.rate[at(j)];
    switch (spec.rate) {
      case Rate::fixed: g = spec.is_plastic() ? p.eta[0] : Real(0); break;
      case Rate::modulated: g = step.modulation; break;
      case Rate::fan_out: g = step.modulation * p.fan_out_weight[j] + p.fan_out_bias[j]; break;
      case Rate::external: g = args.inputs.rate[row * N + j]; break;
    }
  }
}

/// Updates the traces of the state from those before the step.
template <class Real>
void update_traces(const ReferenceArgs<Real>& args, const StepRecord<Real>& step, Trajectory<Real>& state) {
  const Spec& spec = args.spec;
  const std::int64_t N = spec.neurons, P = spec.presynaptic();
  for (std::int64_t i = 0; i < P; ++i) {
    for (std::int64_t j = 0; j < N; ++j) {
      const std::size_t ij = at(i * N + j);
      const Real product = step.x[at(i)] * step.y[at(j)];
      Real drive = product;
      if (spec.has_eligibility()) {
        const Real eta = args.parameters.eta[0];
        const Real updated = (Real(1) - eta) * step.eligibility[ij] + eta * product;
        drive = spec.eligibility == Eligibility::before ? step.eligibility[ij] : updated;
        state.eligibility[ij] = updated;
      }
      state.hebb[ij] = update_trace(spec, step.hebb[ij], drive, step.rate[at(j)], step.y[at(j)]);
    }
  }
}

}  // namespace

template <class Real>
Trajectory<Real> simulate(const ReferenceArgs<Real>& args, std::int64_t b) {
  const bool lstm = args.spec.cell == Cell::lstm;
  const std::int64_t length = args.masks.length == nullptr ? args.steps : args.masks.length[b];
  Trajectory<Real> state = initial_trajectory(args, b);
  for (std::int64_t t = 0; t < length; ++t) {
    const std::int64_t row = t * args.batch + b;
    StepRecord<Real> step = begin_step(args, t, b, state);
    const Vector<Real> current = input_current(args, t, b);
    run_plastic_gate(args, row, current, step);
    step.output = step.y;
    if (lstm) run_lstm(args, current, step);
    compute_rate(args, row, step);
    update_traces(args, step, state);
    state.y = step.output;
    if (lstm) state.c = step.c;
    state.steps.push_back(std::move(step));
  }
  return state;
}

#define PLASTICITY_INSTANTIATE(Real)                                     \
  template Real update_trace<Real>(const Spec&, Real, Real, Real, Real); \
  template Trajectory<Real> simulate<Real>(const ReferenceArgs<Real>&, std::int64_t);
PLASTICITY_INSTANTIATE(float)
PLASTICITY_INSTANTIATE(double)
PLASTICITY_INSTANTIATE(std::complex<double>)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity::reference
