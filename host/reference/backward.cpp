#include "check/arguments.hpp"
#include "model/for_each_tensor.hpp"
#include "plasticity/reference.hpp"
#include "reference/trajectory.hpp"

namespace plasticity::reference {
namespace {

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

template <class Real>
void add(Real* destination, std::int64_t index, Real value) {
  if (destination != nullptr) destination[index] += value;
}

/// The gradients that the adjoint of the trace rule computes for one connection.
template <class Real>
struct RuleAdjoint {
  Real hebb{};   // of the trace before the step
  Real drive{};  // of X
  Real rate{};   // of g_j, one term of a sum over i
  Real y{};      // of y_j, except through X (oja), one term of a sum over i
};

/// Computes the adjoint of the trace rule from the gradient G of the trace after the step.
template <class Real>
RuleAdjoint<Real> adjoint_of_rule(const Spec& spec, Real G, Real hebb, Real drive, Real rate, Real y) {
  switch (spec.rule) {
    case Rule::decay: return {(Real(1) - rate) * G, rate * G, G * (drive - hebb), Real(0)};
    case Rule::oja:
      return {G * (Real(1) - rate * y * y), rate * G, G * (drive - y * y * hebb),
              Real(-2) * rate * y * G * hebb};
    case Rule::hard_clip: {
      if (!passes(hebb + rate * drive, spec.clip)) return {};
      return {G, rate * G, G * drive, Real(0)};
    }
    case Rule::soft_clip: {
      const Real p = rate * drive;
      const bool rises = real_part(p) >= 0;
      if (!passes(rises ? hebb + p * (Real(1) - hebb) : hebb + p * (Real(1) + hebb), 1.0)) return {};
      const Real dp = G * (rises ? Real(1) - hebb : Real(1) + hebb);
      return {G * (rises ? Real(1) - p : Real(1) + p), rate * dp, dp * drive, Real(0)};
    }
    case Rule::additive:
    case Rule::read_clip: return {G, rate * G, G * drive, Real(0)};
  }
  return {};
}

/// Computes da = dy f'(a) in place. `unclamped` is f(a). `clamped` is the clamp mask of this step, or null.
template <class Real>
void adjoint_of_activation(Activation activation, const Vector<Real>& unclamped, const std::uint8_t* clamped,
                           Vector<Real>& dy) {
  for (std::size_t j = 0; j < dy.size(); ++j) {
    if (clamped != nullptr && clamped[j] != 0) dy[j] = Real(0);
  }
  if (activation == Activation::softmax) {
    // The y of a clamped unit has no gradient, but its current is still part of the sum that normalises the
    // others.
    Real inner(0);
    for (std::size_t j = 0; j < dy.size(); ++j) inner += dy[j] * unclamped[j];
    for (std::size_t j = 0; j < dy.size(); ++j) dy[j] = unclamped[j] * (dy[j] - inner);
    return;
  }
  for (std::size_t j = 0; j < dy.size(); ++j) {
    const Real f = unclamped[j];
    switch (activation) {
      case Activation::tanh: dy[j] *= Real(1) - f * f; break;
      case Activation::sigmoid: dy[j] *= f * (Real(1) - f); break;
      case Activation::relu: dy[j] *= real_part(f) > 0 ? Real(1) : Real(0); break;
      case Activation::identity:
      case Activation::softmax: break;
    }
  }
}

template <class Real>
Vector<Real> upstream(const Real* source, std::int64_t offset, std::int64_t size) {
  if (source == nullptr) return Vector<Real>(at(size), Real(0));
  return Vector<Real>(source + offset, source + offset + size);
}

/// Computes the gradients of batch element b and adds those of the parameters.
template <class Real>
void reverse(const ReferenceArgs<Real>& shared, const BackwardArgs<Real>& args, std::int64_t b) {
  const Spec& spec = shared.spec;
  const Parameters<const Real>& p = args.parameters;
  const Parameters<Real>& dp = args.dparameters;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), I = spec.inputs, B = shared.batch;
  const bool lstm = spec.cell == Cell::lstm, recurrent = spec.is_recurrent();
  const std::int64_t width = spec.gates() * N;
  const Trajectory<Real> trajectory = simulate(shared, b);

  // gradients of the state after step t; G is that of hebb, GE that of eligibility
  Vector<Real> doutput = upstream(args.dfinal_state.y, b * N, N);
  Vector<Real> dc = upstream(args.dfinal_state.c, b * N, N);
  Vector<Real> G = upstream(args.dfinal_state.hebb, b * P * N, P * N);
  Vector<Real> GE = upstream(args.dfinal_state.eligibility, b * P * N, P * N);

  for (auto t = static_cast<std::int64_t>(trajectory.steps.size()) - 1; t >= 0; --t) {
    const StepRecord<Real>& m = trajectory.steps[at(t)];
    const std::int64_t row = t * B + b;
    if (args.dy != nullptr) {
      for (std::int64_t j = 0; j < N; ++j) doutput[at(j)] += args.dy[row * N + j];
    }
    Vector<Real> dx(at(P), Real(0)), dy(at(N), Real(0)), drate(at(N), Real(0));

    // 1. The traces.
    for (std::int64_t i = 0; i < P; ++i) {
      for (std::int64_t j = 0; j < N; ++j) {
        const std::size_t ij = at(i * N + j);
        const Real x = m.x[at(i)], y = m.y[at(j)], product = x * y;
        Real drive = product, dproduct(0);
        if (spec.eligibility == Eligibility::before) drive = m.eligibility[ij];
        if (spec.eligibility == Eligibility::after) {
          drive = (Real(1) - p.eta[0]) * m.eligibility[ij] + p.eta[0] * product;
        }
        const RuleAdjoint<Real> adjoint = adjoint_of_rule(spec, G[ij], m.hebb[ij], drive, m.rate[at(j)], y);
        G[ij] = adjoint.hebb;
        drate[at(j)] += adjoint.rate;
        dy[at(j)] += adjoint.y;
        if (spec.has_eligibility()) {
          const Real eta = p.eta[0];
          // The gradient of the updated E. With `after` E is also the drive.
          const Real updated = spec.eligibility == Eligibility::after ? GE[ij] + adjoint.drive : GE[ij];
          dproduct = eta * updated;
          add(dp.eta, 0, updated * (product - m.eligibility[ij]));
          GE[ij] = (Real(1) - eta) * updated;
          if (spec.eligibility == Eligibility::before) GE[ij] += adjoint.drive;
        } else {
          dproduct = adjoint.drive;
        }
        dx[at(i)] += dproduct * y;
        dy[at(j)] += dproduct * x;
      }
    }

    // 2. The rate and the modulator.
    Real dmodulation(0);
    for (std::int64_t j = 0; j < N; ++j) {
      const Real dg = drate[at(j)];
      switch (spec.rate) {
        case Rate::fixed: add(dp.eta, 0, dg); break;
        case Rate::modulated: dmodulation += dg; break;
        case Rate::fan_out:
          add(dp.fan_out_weight, j, dg * m.modulation);
          add(dp.fan_out_bias, j, dg);
          dmodulation += dg * p.fan_out_weight[j];
          break;
        case Rate::external:
          if (args.dinputs.rate != nullptr) args.dinputs.rate[row * N + j] = dg;
          break;
      }
    }
    if (spec.has_modulator()) {
      const bool reads_cell = spec.modulator_source == ModulatorSource::cell;
      const Real q = dmodulation * (Real(1) - m.modulation * m.modulation);
      add(dp.modulator_bias, 0, q);
      for (std::int64_t j = 0; j < N; ++j) {
        add(dp.modulator_weight, j, q * (reads_cell ? m.c : m.output)[at(j)]);
        (reads_cell ? dc : doutput)[at(j)] += q * p.modulator_weight[j];
      }
    }

    // 3. The cell and the activation. da is the gradient of the currents of all gates.
    Vector<Real> da(at(width), Real(0));
    if (lstm) {
      for (std::int64_t j = 0; j < N; ++j) {
        const Real i = m.i[at(j)], f = m.f[at(j)], o = m.o[at(j)], tanh_c = std::tanh(m.c[at(j)]);
        dc[at(j)] += doutput[at(j)] * o * (Real(1) - tanh_c * tanh_c);
        da[at(j)] = dc[at(j)] * m.y[at(j)] * i * (Real(1) - i);
        da[at(N + j)] = dc[at(j)] * m.c_before[at(j)] * f * (Real(1) - f);
        da[at(3 * N + j)] = doutput[at(j)] * tanh_c * o * (Real(1) - o);
        dy[at(j)] += dc[at(j)] * i;
        dc[at(j)] *= f;
      }
    } else {
      for (std::int64_t j = 0; j < N; ++j) dy[at(j)] += doutput[at(j)];
    }
    adjoint_of_activation(spec.activation, m.unclamped,
                          args.masks.clamp == nullptr ? nullptr : args.masks.clamp + row * N, dy);
    if (args.da != nullptr) {
      for (std::int64_t j = 0; j < N; ++j) dy[at(j)] += args.da[row * N + j];
    }
    for (std::int64_t j = 0; j < N; ++j) da[at(lstm ? 2 * N + j : j)] = dy[at(j)];

    // 4. The plastic read. dy is now the gradient of the plastic gate's current.
    for (std::int64_t i = 0; i < P; ++i) {
      for (std::int64_t j = 0; j < N; ++j) {
        const std::size_t ij = at(i * N + j);
        const bool clipped = spec.rule == Rule::read_clip;
        const Real read = clipped ? clamp(m.hebb[ij], spec.clip) : m.hebb[ij];
        const Real alpha = alpha_of(spec, p.alpha, i, j), product = m.x[at(i)] * dy[at(j)];
        add(dp.w, i * N + j, product);
        const std::int64_t alpha_index =
            spec.alpha == Granularity::connection ? i * N + j : (spec.alpha == Granularity::post ? j : 0);
        add(dp.alpha, alpha_index, product * read);
        if (!clipped || passes(m.hebb[ij], spec.clip)) G[ij] += alpha * product;
        dx[at(i)] += (p.w[i * N + j] + alpha * read) * dy[at(j)];
      }
    }

    // 5. The other gates and the input projection.
    for (std::int64_t k = 0; lstm && k < N; ++k) {
      for (std::int64_t gate = 0; gate < 3; ++gate) {
        for (std::int64_t j = 0; j < N; ++j) {
          const Real dgate = da[at((gate == 2 ? 3 : gate) * N + j)];
          const std::int64_t index = k * 3 * N + gate * N + j;
          add(dp.w_gates, index, m.x[at(k)] * dgate);
          dx[at(k)] += p.w_gates[index] * dgate;
        }
      }
    }
    if (recurrent && I > 0) {
      for (std::int64_t k = 0; k < width; ++k) add(dp.b, k, da[at(k)]);
      for (std::int64_t i = 0; i < I; ++i) {
        Real sum(0);
        for (std::int64_t k = 0; k < width; ++k) {
          add(dp.w_in, i * width + k, args.inputs.x[row * I + i] * da[at(k)]);
          sum += p.w_in[i * width + k] * da[at(k)];
        }
        if (args.dinputs.x != nullptr) args.dinputs.x[row * I + i] = sum;
      }
    }
    if (args.dinputs.u != nullptr) std::copy(da.begin(), da.end(), args.dinputs.u + row * width);

    // 6. The gradients of the previous step.
    if (spec.cell == Cell::feedforward && args.dinputs.pre != nullptr) {
      std::copy(dx.begin(), dx.end(), args.dinputs.pre + row * P);
    }
    doutput.assign(at(N), Real(0));
    if (recurrent) doutput = dx;
    if (m.reset) {
      for (Vector<Real>* carried : {&doutput, &dc, &G, &GE})
        std::fill(carried->begin(), carried->end(), Real(0));
    }
  }

  const auto store = [](const Vector<Real>& source, Real* destination, std::int64_t offset) {
    if (destination != nullptr) std::copy(source.begin(), source.end(), destination + offset);
  };
  store(doutput, args.dinitial_state.y, b * N);
  store(dc, args.dinitial_state.c, b * N);
  store(G, args.dinitial_state.hebb, b * P * N);
  store(GE, args.dinitial_state.eligibility, b * P * N);
}

}  // namespace

template <class Real>
void backward(const Spec& spec, std::int64_t steps, std::int64_t batch, const BackwardArgs<Real>& args) {
  check_sizes(spec, steps, batch);
  check_backward(spec, steps, batch, args);
  check_lengths(steps, batch, args.masks.length);
  const ReferenceArgs<Real> shared{
      spec, steps, batch, args.parameters, args.inputs, args.masks, args.initial_state};
  for_each_tensor(spec, steps, batch, args.dinputs,
                  [](std::string_view, Real* gradient, const std::optional<Shape>& shape) {
                    if (gradient != nullptr) std::fill_n(gradient, shape->elements(), Real(0));
                  });
  for (std::int64_t b = 0; b < batch; ++b) reverse(shared, args, b);
}

template void backward<float>(const Spec&, std::int64_t, std::int64_t, const BackwardArgs<float>&);
template void backward<double>(const Spec&, std::int64_t, std::int64_t, const BackwardArgs<double>&);
template void backward<std::complex<double>>(const Spec&, std::int64_t, std::int64_t,
                                             const BackwardArgs<std::complex<double>>&);

}  // namespace plasticity::reference
