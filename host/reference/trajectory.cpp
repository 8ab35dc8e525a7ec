#include "reference/trajectory.hpp"

#include "base/throw_error.hpp"

namespace plasticity::reference {
namespace {

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

template <class Real>
Vector<Real> load(const Real* source, std::int64_t offset, std::int64_t size) {
  if (source == nullptr) return Vector<Real>(static_cast<std::size_t>(size), Real(0));
  return Vector<Real>(source + offset, source + offset + size);
}

/// Returns the input current of all gates at step t: x W_in + b + u, or u without a projection.
template <class Real>
Vector<Real> input_current(const ReferenceArgs<Real>& args, std::int64_t t, std::int64_t b) {
  const Spec& spec = args.spec;
  const std::int64_t width = spec.gates() * spec.neurons, row = t * args.batch + b;
  Vector<Real> current = load(args.inputs.u, row * width, width);
  if (spec.cell == Cell::feedforward || spec.inputs == 0) return current;
  for (std::int64_t j = 0; j < width; ++j) current[static_cast<std::size_t>(j)] += args.parameters.b[j];
  for (std::int64_t i = 0; i < spec.inputs; ++i) {
    for (std::int64_t j = 0; j < width; ++j) {
      current[static_cast<std::size_t>(j)] +=
          args.inputs.x[row * spec.inputs + i] * args.parameters.w_in[i * width + j];
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

template <class Real>
Trajectory<Real> simulate(const ReferenceArgs<Real>& args, std::int64_t b) {
  const Spec& spec = args.spec;
  const Parameters<const Real>& p = args.parameters;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), B = args.batch;
  const bool lstm = spec.cell == Cell::lstm;
  const std::int64_t length = args.masks.length == nullptr ? args.steps : args.masks.length[b];
  const auto at = [](std::int64_t index) { return static_cast<std::size_t>(index); };

  Trajectory<Real> state;
  state.y = load(args.initial_state.y, b * N, N);
  state.c = load(args.initial_state.c, b * N, N);
  state.hebb = load(args.initial_state.hebb, b * P * N, P * N);
  state.eligibility = load(args.initial_state.eligibility, b * P * N, P * N);

  for (std::int64_t t = 0; t < length; ++t) {
    StepRecord<Real> m;
    m.reset = args.masks.reset != nullptr && args.masks.reset[t * B + b] != 0;
    if (m.reset) {
      for (Vector<Real>* carried : {&state.y, &state.c, &state.hebb, &state.eligibility}) {
        std::fill(carried->begin(), carried->end(), Real(0));
      }
    }
    m.x = spec.cell == Cell::feedforward ? load(args.inputs.pre, (t * B + b) * P, P) : state.y;
    m.hebb = state.hebb;
    m.eligibility = state.eligibility;
    m.c_before = state.c;

    // The plastic gate: unclamped = f(u + s).
    const Vector<Real> current = input_current(args, t, b);
    m.unclamped.assign(at(N), Real(0));
    for (std::int64_t j = 0; j < N; ++j) {
      Real sum = current[at(lstm ? 2 * N + j : j)];
      for (std::int64_t i = 0; i < P; ++i) {
        const Real trace = m.hebb[at(i * N + j)];
        const Real read = spec.rule == Rule::read_clip ? clamp(trace, spec.clip) : trace;
        sum += m.x[at(i)] * (p.w[i * N + j] + alpha_of(spec, p.alpha, i, j) * read);
      }
      m.unclamped[at(j)] = sum;
    }
    m.current = m.unclamped;
    activate(spec.activation, m.unclamped);
    m.y = m.unclamped;
    if (args.masks.clamp != nullptr) {
      for (std::int64_t j = 0; j < N; ++j) {
        const std::int64_t index = (t * B + b) * N + j;
        if (args.masks.clamp[index] != 0) m.y[at(j)] = args.masks.clamp_value[index];
      }
    }
    m.output = m.y;
    if (lstm) {  // the other gates: sigmoid(u + h W_gates)
      for (Vector<Real>* gate : {&m.i, &m.f, &m.o}) gate->assign(at(N), Real(0));
      m.c = state.c;
      for (std::int64_t j = 0; j < N; ++j) {
        Real i = current[at(j)], f = current[at(N + j)], o = current[at(3 * N + j)];
        for (std::int64_t k = 0; k < N; ++k) {
          const Real* row = p.w_gates + k * 3 * N;
          i += m.x[at(k)] * row[j];
          f += m.x[at(k)] * row[N + j];
          o += m.x[at(k)] * row[2 * N + j];
        }
        m.i[at(j)] = sigmoid(i);
        m.f[at(j)] = sigmoid(f);
        m.o[at(j)] = sigmoid(o);
        m.c[at(j)] = m.f[at(j)] * state.c[at(j)] + m.i[at(j)] * m.y[at(j)];
        m.output[at(j)] = m.o[at(j)] * std::tanh(m.c[at(j)]);
      }
    }

    // The modulator and the rate g.
    if (spec.has_modulator()) {
      const Vector<Real>& read = spec.modulator_source == ModulatorSource::cell ? m.c : m.output;
      Real sum = p.modulator_bias[0];
      for (std::int64_t j = 0; j < N; ++j) sum += p.modulator_weight[j] * read[at(j)];
      m.modulation = std::tanh(sum);
    }
    m.rate.assign(at(N), Real(0));
    for (std::int64_t j = 0; j < N; ++j) {
      Real& g = m.rate[at(j)];
      switch (spec.rate) {
        case Rate::fixed: g = spec.is_plastic() ? p.eta[0] : Real(0); break;
        case Rate::modulated: g = m.modulation; break;
        case Rate::fan_out: g = m.modulation * p.fan_out_weight[j] + p.fan_out_bias[j]; break;
        case Rate::external: g = args.inputs.rate[(t * B + b) * N + j]; break;
      }
    }

    // The traces.
    for (std::int64_t i = 0; i < P; ++i) {
      for (std::int64_t j = 0; j < N; ++j) {
        const std::size_t ij = at(i * N + j);
        const Real product = m.x[at(i)] * m.y[at(j)];
        Real drive = product;
        if (spec.has_eligibility()) {
          const Real eta = p.eta[0];
          const Real updated = (Real(1) - eta) * m.eligibility[ij] + eta * product;
          drive = spec.eligibility == Eligibility::before ? m.eligibility[ij] : updated;
          state.eligibility[ij] = updated;
        }
        state.hebb[ij] = update_trace(spec, m.hebb[ij], drive, m.rate[at(j)], m.y[at(j)]);
      }
    }
    state.y = m.output;
    if (lstm) state.c = m.c;
    state.steps.push_back(std::move(m));
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
