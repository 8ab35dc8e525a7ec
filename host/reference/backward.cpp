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

/// Returns a row of the gradients that the caller passes in; zeros if they are absent.
template <class Real>
Vector<Real> upstream(const Real* source, std::int64_t offset, std::int64_t size) {
  if (source == nullptr) return Vector<Real>(at(size), Real(0));
  return Vector<Real>(source + offset, source + offset + size);
}

/// The backward pass of one batch element. reverse_step() reverses one step. Its parts, in the order of their
/// calls, are the adjoints of the parts of simulate() in the reverse order. Each adds to the gradients of the
/// parameters.
template <class Real>
class ElementAdjoint {
 public:
  /// Loads the gradients of the final state of batch element b.
  ElementAdjoint(const Spec& spec, const BackwardArgs<Real>& args, std::int64_t batch, std::int64_t b)
      : spec_(spec),
        args_(args),
        p_(args.parameters),
        dp_(args.dparameters),
        B_(batch),
        b_(b),
        doutput_(upstream(args.dfinal_state.y, b * N_, N_)),
        dc_(upstream(args.dfinal_state.c, b * N_, N_)),
        G_(upstream(args.dfinal_state.hebb, b * P_ * N_, P_ * N_)),
        GE_(upstream(args.dfinal_state.eligibility, b * P_ * N_, P_ * N_)) {}

  /// Turns the gradients of the state after step t into those of the state before it.
  void reverse_step(const StepRecord<Real>& step, std::int64_t t) {
    const std::int64_t row = t * B_ + b_;
    dx_.assign(at(P_), Real(0));
    dy_.assign(at(N_), Real(0));
    drate_.assign(at(N_), Real(0));
    da_.assign(at(width_), Real(0));
    if (args_.dy != nullptr) {
      for (std::int64_t j = 0; j < N_; ++j) doutput_[at(j)] += args_.dy[row * N_ + j];
    }
    reverse_traces(step);
    const Real dmodulation = reverse_rate(step, row);
    if (spec_.has_modulator()) reverse_modulator(step, dmodulation);
    reverse_cell(step);
    reverse_activation(step, row);
    reverse_plastic_read(step);
    if (lstm_) reverse_gates(step);
    reverse_input_current(row);
    pass_to_previous_step(step, row);
  }

  /// Stores the gradients of the initial state.
  void finish() const {
    store(doutput_, args_.dinitial_state.y, b_ * N_);
    store(dc_, args_.dinitial_state.c, b_ * N_);
    store(G_, args_.dinitial_state.hebb, b_ * P_ * N_);
    store(GE_, args_.dinitial_state.eligibility, b_ * P_ * N_);
  }

 private:
  /// From the traces after the step to those before it, and to x, y and the rate.
  void reverse_traces(const StepRecord<Real>& step) {
    for (std::int64_t i = 0; i < P_; ++i) {
      for (std::int64_t j = 0; j < N_; ++j) {
        const std::size_t ij = at(i * N_ + j);
        const Real x = step.x[at(i)], y = step.y[at(j)], product = x * y;
        Real drive = product, dproduct(0);
        if (spec_.eligibility == Eligibility::before) drive = step.eligibility[ij];
        if (spec_.eligibility == Eligibility::after) {
          drive = (Real(1) - p_.eta[0]) * step.eligibility[ij] + p_.eta[0] * product;
        }
        const RuleAdjoint<Real> adjoint =
            adjoint_of_rule(spec_, G_[ij], step.hebb[ij], drive, step.rate[at(j)], y);
        G_[ij] = adjoint.hebb;
        drate_[at(j)] += adjoint.rate;
        dy_[at(j)] += adjoint.y;
        if (spec_.has_eligibility()) {
          const Real eta = p_.eta[0];
          // The gradient of the updated E. With `after` E is also the drive.
          const Real updated = spec_.eligibility == Eligibility::after ? GE_[ij] + adjoint.drive : GE_[ij];
          dproduct = eta * updated;
          add(dp_.eta, 0, updated * (product - step.eligibility[ij]));
          GE_[ij] = (Real(1) - eta) * updated;
          if (spec_.eligibility == Eligibility::before) GE_[ij] += adjoint.drive;
        } else {
          dproduct = adjoint.drive;
        }
        dx_[at(i)] += dproduct * y;
        dy_[at(j)] += dproduct * x;
      }
    }
  }

  /// From the rate to its source. Returns the gradient of M.
  Real reverse_rate(const StepRecord<Real>& step, std::int64_t row) {
    Real dmodulation(0);
    for (std::int64_t j = 0; j < N_; ++j) {
      const Real dg = drate_[at(j)];
      switch (spec_.rate) {
        case Rate::fixed: add(dp_.eta, 0, dg); break;
        case Rate::modulated: dmodulation += dg; break;
        case Rate::fan_out:
          add(dp_.fan_out_weight, j, dg * step.modulation);
          add(dp_.fan_out_bias, j, dg);
          dmodulation += dg * p_.fan_out_weight[j];
          break;
        case Rate::external:
          if (args_.dinputs.rate != nullptr) args_.dinputs.rate[row * N_ + j] = dg;
          break;
      }
    }
    return dmodulation;
  }

  /// From M to the vector that the modulator reads.
  void reverse_modulator(const StepRecord<Real>& step, Real dmodulation) {
    const bool reads_cell = spec_.modulator_source == ModulatorSource::cell;
    const Real q = dmodulation * (Real(1) - step.modulation * step.modulation);
    add(dp_.modulator_bias, 0, q);
    for (std::int64_t j = 0; j < N_; ++j) {
      add(dp_.modulator_weight, j, q * (reads_cell ? step.c : step.output)[at(j)]);
      (reads_cell ? dc_ : doutput_)[at(j)] += q * p_.modulator_weight[j];
    }
  }

  /// From the output and c to y, and in an lstm to the currents of i, f and o and to c before the step.
  void reverse_cell(const StepRecord<Real>& step) {
    if (!lstm_) {
      for (std::int64_t j = 0; j < N_; ++j) dy_[at(j)] += doutput_[at(j)];
      return;
    }
    for (std::int64_t j = 0; j < N_; ++j) {
      const Real i = step.i[at(j)], f = step.f[at(j)], o = step.o[at(j)], tanh_c = std::tanh(step.c[at(j)]);
      dc_[at(j)] += doutput_[at(j)] * o * (Real(1) - tanh_c * tanh_c);
      da_[at(j)] = dc_[at(j)] * step.y[at(j)] * i * (Real(1) - i);
      da_[at(N_ + j)] = dc_[at(j)] * step.c_before[at(j)] * f * (Real(1) - f);
      da_[at(3 * N_ + j)] = doutput_[at(j)] * tanh_c * o * (Real(1) - o);
      dy_[at(j)] += dc_[at(j)] * i;
      dc_[at(j)] *= f;
    }
  }

  /// From y to the current of the plastic gate.
  void reverse_activation(const StepRecord<Real>& step, std::int64_t row) {
    adjoint_of_activation(spec_.activation, step.unclamped,
                          args_.masks.clamp == nullptr ? nullptr : args_.masks.clamp + row * N_, dy_);
    for (std::int64_t j = 0; j < N_; ++j) {
      if (args_.da != nullptr) dy_[at(j)] += args_.da[row * N_ + j];
      da_[at(plastic_gate_ * N_ + j)] = dy_[at(j)];
    }
  }

  /// From the current of the plastic gate to x, w, alpha and the trace.
  void reverse_plastic_read(const StepRecord<Real>& step) {
    for (std::int64_t i = 0; i < P_; ++i) {
      for (std::int64_t j = 0; j < N_; ++j) {
        const std::size_t ij = at(i * N_ + j);
        const bool clipped = spec_.rule == Rule::read_clip;
        const Real read = clipped ? clamp(step.hebb[ij], spec_.clip) : step.hebb[ij];
        const Real da = da_[at(plastic_gate_ * N_ + j)];
        const Real alpha = alpha_of(spec_, p_.alpha, i, j), product = step.x[at(i)] * da;
        add(dp_.w, i * N_ + j, product);
        const std::int64_t alpha_index =
            spec_.alpha == Granularity::connection ? i * N_ + j : (spec_.alpha == Granularity::post ? j : 0);
        add(dp_.alpha, alpha_index, product * read);
        if (!clipped || passes(step.hebb[ij], spec_.clip)) G_[ij] += alpha * product;
        dx_[at(i)] += (p_.w[i * N_ + j] + alpha * read) * da;
      }
    }
  }

  /// From the currents of i, f and o to x and w_gates.
  void reverse_gates(const StepRecord<Real>& step) {
    for (std::int64_t k = 0; k < N_; ++k) {
      for (std::int64_t gate = 0; gate < 3; ++gate) {
        for (std::int64_t j = 0; j < N_; ++j) {
          const Real dgate = da_[at((gate == 2 ? 3 : gate) * N_ + j)];
          const std::int64_t index = k * 3 * N_ + gate * N_ + j;
          add(dp_.w_gates, index, step.x[at(k)] * dgate);
          dx_[at(k)] += p_.w_gates[index] * dgate;
        }
      }
    }
  }

  /// From the currents of all gates to the inputs x and u, and to the projection.
  void reverse_input_current(std::int64_t row) {
    const std::int64_t I = spec_.inputs;
    if (spec_.is_recurrent() && I > 0) {
      for (std::int64_t k = 0; k < width_; ++k) add(dp_.b, k, da_[at(k)]);
      for (std::int64_t i = 0; i < I; ++i) {
        Real sum(0);
        for (std::int64_t k = 0; k < width_; ++k) {
          add(dp_.w_in, i * width_ + k, args_.inputs.x[row * I + i] * da_[at(k)]);
          sum += p_.w_in[i * width_ + k] * da_[at(k)];
        }
        if (args_.dinputs.x != nullptr) args_.dinputs.x[row * I + i] = sum;
      }
    }
    store(da_, args_.dinputs.u, row * width_);
  }

  /// From x to the output of the previous step, or to the caller's input. A reset stops all gradients.
  void pass_to_previous_step(const StepRecord<Real>& step, std::int64_t row) {
    if (spec_.cell == Cell::feedforward) store(dx_, args_.dinputs.pre, row * P_);
    doutput_.assign(at(N_), Real(0));
    if (spec_.is_recurrent()) doutput_ = dx_;
    if (!step.reset) return;
    for (Vector<Real>* carried : {&doutput_, &dc_, &G_, &GE_})
      std::fill(carried->begin(), carried->end(), Real(0));
  }

  const Spec& spec_;
  const BackwardArgs<Real>& args_;
  const Parameters<const Real>& p_;
  const Parameters<Real>& dp_;
  const std::int64_t B_, b_, N_ = spec_.neurons, P_ = spec_.presynaptic(), width_ = spec_.gates() * N_;
  const bool lstm_ = spec_.cell == Cell::lstm;
  const std::int64_t plastic_gate_ = lstm_ ? 2 : 0;

  // Gradients of the state after the next step to reverse: of the output, c, the trace and E.
  Vector<Real> doutput_, dc_, G_, GE_;
  // Gradients within the current step: of x, y, the rate, and the currents of all gates.
  Vector<Real> dx_{}, dy_{}, drate_{}, da_{};
};

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
  for (std::int64_t b = 0; b < batch; ++b) {
    const Trajectory<Real> trajectory = simulate(shared, b);
    ElementAdjoint<Real> element(spec, args, batch, b);
    for (auto t = static_cast<std::int64_t>(trajectory.steps.size()) - 1; t >= 0; --t)
      element.reverse_step(trajectory.steps[at(t)], t);
    element.finish();
  }
}

template void backward<float>(const Spec&, std::int64_t, std::int64_t, const BackwardArgs<float>&);
template void backward<double>(const Spec&, std::int64_t, std::int64_t, const BackwardArgs<double>&);
template void backward<std::complex<double>>(const Spec&, std::int64_t, std::int64_t,
                                             const BackwardArgs<std::complex<double>>&);

}  // namespace plasticity::reference
