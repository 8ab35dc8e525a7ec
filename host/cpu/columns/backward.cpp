#include "cpu/columns/layer.hpp"
#include "cpu/threads/parallel.hpp"

namespace plasticity::cpu {

/// One backward pass.
template <class Real, class Trace>
struct ColumnLayer<Real, Trace>::BackwardPass {
  const ColumnLayer& layer;
  const BackwardArgs<Real>& args;
  const BackwardScratch& memory;
  const Recording& recording;

  const Spec& spec = layer.spec_;
  const std::int64_t T = layer.T_, B = layer.B_, I = layer.I_, N = layer.N_, n = layer.n_;
  const bool recurrent = layer.recurrent(), modulated = spec.has_modulator();

  bool runs(std::int64_t t, std::int64_t b) const { return t >= 0 && t < layer.length_of(args.masks, b); }
  /// The gradients of v, F, F0 and v0 of one element.
  Real* sums_of(std::int64_t b) const { return memory.modulator_sums + b * (3 * n + 1); }

  void begin() const {
    if (!modulated) return;
    std::fill_n(memory.modulator_sums, B * (3 * n + 1), Real(0));
    for (std::int64_t b = 0; b < B; ++b) {
      for (std::int64_t t = 0; runs(t, b); ++t)
        layer.fill_rates(args.parameters, recording.record.modulation[t * B + b],
                         memory.rate + (t * B + b) * n);
    }
  }

  /// Adds over the ranks the gradients of y(t) that step t+1 sends, and those of M(t). t is -1 for the
  /// initial y.
  void exchange(std::int64_t t) const {
    const std::int64_t rows = recurrent ? B * N : 0;
    for (std::int64_t b = 0; recurrent && b < B; ++b) {
      Real* const to = memory.message + b * N;
      if (runs(t + 1, b) && !layer.resets(args.masks, t + 1, b)) {
        std::copy_n(memory.dpre + ((t + 1) * B + b) * N, N, to);
      } else {
        std::fill_n(to, N, Real(0));
      }
    }
    for (std::int64_t b = 0; modulated && b < B; ++b) {
      const Real* const drate = memory.drate + (t * B + b) * n;
      Real sum = 0;
      for (std::int64_t j = 0; runs(t, b) && j < n; ++j)
        sum += spec.rate == Rate::fan_out ? drate[j] * args.parameters.fan_out_weight[j] : drate[j];
      memory.message[rows + b] = sum;
    }
    layer.communicator_.sum(std::span(memory.message, static_cast<std::size_t>(rows + (modulated ? B : 0))));
  }

  /// Computes the gradient of y(t) of the own columns.
  void before_step(std::int64_t t) const {
    if (!layer.exchanges()) return;
    exchange(t);
    for (std::int64_t b = 0; b < B; ++b) {
      if (!runs(t, b)) continue;
      const std::int64_t row = t * B + b;
      Real* const dy = memory.dy + row * n;
      const bool last = t + 1 == layer.length_of(args.masks, b);
      if (!recurrent || (last && args.dfinal_state.y == nullptr)) {
        std::fill_n(dy, n, Real(0));
      } else if (last) {
        std::copy_n(args.dfinal_state.y + b * n, n, dy);
      } else {
        std::copy_n(memory.message + b * N + layer.columns_.first, n, dy);
      }
      for (std::int64_t j = 0; args.dy != nullptr && j < n; ++j) dy[j] += args.dy[row * n + j];
      if (modulated) reverse_modulator(t, b, dy);
    }
  }

  void reverse_modulator(std::int64_t t, std::int64_t b, Real* dy) const {
    const std::int64_t row = t * B + b;
    const Real M = recording.record.modulation[row], dM = memory.message[(recurrent ? B * N : 0) + b],
               q = dM * (1 - M * M);
    const Real* const y = layer.plan_.recorded_output(layer_tape(), t, b);
    const Real* const drate = memory.drate + row * n;
    Real *const dv = sums_of(b), *const dF = dv + n, *const dF0 = dF + n;
    for (std::int64_t j = 0; j < n; ++j) {
      dv[j] += q * y[j];
      dF[j] += drate[j] * M;
      dF0[j] += drate[j];
      dy[j] += q * args.parameters.modulator_weight[j];
    }
    dF0[n] += q;  // the gradient of v0, the same on all ranks
  }

  Tape layer_tape() const { return Tape{{recording.plan, layer.plan_.tape_bytes()}}; }

  /// The gradient of the initial y.
  void finish_state() const {
    if (!recurrent) return;
    if (T > 0) exchange(-1);
    for (std::int64_t b = 0; args.dinitial_state.y != nullptr && b < B; ++b) {
      Real* const to = args.dinitial_state.y + b * n;
      if (layer.length_of(args.masks, b) > 0) {
        std::copy_n(memory.message + b * N + layer.columns_.first, n, to);
      } else if (args.dfinal_state.y == nullptr) {
        std::fill_n(to, n, Real(0));
      } else if (args.dfinal_state.y + b * n != to) {
        std::copy_n(args.dfinal_state.y + b * n, n, to);
      }
    }
  }

  void add_modulator_gradients() const {
    if (!modulated || B == 0) return;
    add_in_tree(0, B, [&](std::int64_t to, std::int64_t from) {
      for (std::int64_t k = 0; k < 3 * n + 1; ++k) sums_of(to)[k] += sums_of(from)[k];
    });
    const Real* const total = sums_of(0);
    const auto add = [](Real* to, const Real* from, std::int64_t count) {
      for (std::int64_t k = 0; to != nullptr && k < count; ++k) to[k] += from[k];
    };
    const Parameters<Real>& gradients = args.dparameters;
    add(gradients.modulator_weight, total, n);
    add(gradients.fan_out_weight, total + n, n);
    add(gradients.fan_out_bias, total + 2 * n, n);
    add(gradients.modulator_bias, total + 3 * n, 1);
  }

  /// Gradients of w_in, b and x from those of the currents.
  void reverse_projection(const Real* dcurrents) const {
    const Parameters<Real>& gradients = args.dparameters;
    const int threads = layer.options_.device.threads();
    const auto outer = [&](Real* to, std::int64_t rows, auto left_of) {
      if (to == nullptr) return;
      const StepList<Real>& list = memory.list;
      std::int64_t count = 0;
      for (std::int64_t b = 0; b < B; ++b) {
        list.first[b] = count;
        for (std::int64_t t = 0; runs(t, b); ++t, ++count) {
          list.left[count] = left_of(t * B + b);
          list.right[count] = dcurrents + (t * B + b) * n;
        }
      }
      list.first[B] = count;
      constexpr std::int64_t at_once = 32;
      parallel_for(threads, (rows + at_once - 1) / at_once, [&](std::int64_t block, int) {
        const std::int64_t first = block * at_once;
        layer.products_.outer(first, std::min(rows, first + at_once), n, B, list.first, list.left, list.right,
                              0, to, n);
      });
    };
    const Real one = 1;
    outer(gradients.w_in, I, [&](std::int64_t row) { return args.inputs.x + row * I; });
    outer(gradients.b, 1, [&](std::int64_t) { return &one; });
    if (args.dinputs.x == nullptr) return;
    for (std::int64_t i = 0; i < I; ++i) {
      for (std::int64_t j = 0; j < n; ++j) memory.transposed[j * I + i] = args.parameters.w_in[i * n + j];
    }
    constexpr std::int64_t at_once = 16;
    parallel_for(threads, (T * B + at_once - 1) / at_once, [&](std::int64_t block, int) {
      const std::int64_t first = block * at_once, rows = std::min(at_once, T * B - first);
      Real* const dx = args.dinputs.x + first * I;
      std::fill_n(dx, rows * I, Real(0));
      layer.products_.multiply(rows, I, n, dcurrents + first * n, n, memory.transposed, I, dx, I);
    });
    layer.communicator_.sum(std::span(args.dinputs.x, static_cast<std::size_t>(T * B * I)));
  }
};

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::backward(const BackwardArgs<Real>& args, Tape tape, Scratch scratch) const {
  Arena arena(scratch.data), tape_arena(tape.data);
  const BackwardScratch memory(*this, arena);
  const Recording recording(*this, tape_arena);
  const BackwardPass pass{*this, args, memory, recording};
  const bool modulated = spec_.has_modulator(), scalar_alpha = spec_.alpha == Granularity::scalar;
  Real of_scalars[2] = {0, 0};  // gradients of eta and of a scalar alpha: sums over the ranks

  BackwardArgs<Real> layer;
  layer.parameters = layer_parameters(args.parameters);
  layer.inputs = {.u = nullptr,
                  .pre = recurrent() ? recording.record.pre : args.inputs.pre,
                  .rate = modulated ? memory.rate : args.inputs.rate};
  layer.masks = args.masks;
  layer.dy = exchanges() ? memory.dy : args.dy;
  layer.da = args.da;
  layer.dfinal_state = {.hebb = args.dfinal_state.hebb, .eligibility = args.dfinal_state.eligibility};
  layer.dparameters = {.w = args.dparameters.w,
                       .alpha = scalar_alpha ? &of_scalars[1] : args.dparameters.alpha,
                       .eta = spec_.has_eta() ? &of_scalars[0] : nullptr};
  layer.dinputs = {.u = projected() && args.dinputs.u == nullptr ? memory.currents : args.dinputs.u,
                   .pre = recurrent() ? memory.dpre : args.dinputs.pre,
                   .rate = modulated ? memory.drate : args.dinputs.rate};
  layer.dinitial_state = {.hebb = args.dinitial_state.hebb, .eligibility = args.dinitial_state.eligibility};

  pass.begin();
  if (n_ > 0) {
    plan_.backward_by_step(layer, pass.layer_tape(), Scratch{{memory.plan, plan_.scratch_bytes()}},
                           [&](std::int64_t t) { pass.before_step(t); });
  } else {  // no layer, exchanges only
    if (memory.dpre != nullptr) std::fill_n(memory.dpre, T_ * B_ * N_, Real(0));
    if (args.dinputs.pre != nullptr) std::fill_n(args.dinputs.pre, T_ * B_ * I_, Real(0));
    for (std::int64_t t = longest(args.masks) - 1; t >= 0; --t) pass.before_step(t);
  }
  pass.finish_state();
  pass.add_modulator_gradients();
  if (projected()) pass.reverse_projection(layer.dinputs.u);
  if (!recurrent() && args.dinputs.pre != nullptr)
    communicator_.sum(std::span(args.dinputs.pre, static_cast<std::size_t>(T_ * B_ * I_)));
  if (!spec_.has_eta() && !scalar_alpha) return;
  communicator_.sum(std::span(of_scalars));
  if (args.dparameters.eta != nullptr) *args.dparameters.eta += of_scalars[0];
  if (scalar_alpha && args.dparameters.alpha != nullptr) *args.dparameters.alpha += of_scalars[1];
}

template void ColumnLayer<float, float>::backward(const BackwardArgs<float>&, Tape, Scratch) const;
template void ColumnLayer<double, double>::backward(const BackwardArgs<double>&, Tape, Scratch) const;
template void ColumnLayer<float, Bfloat16>::backward(const BackwardArgs<float>&, Tape, Scratch) const;

}  // namespace plasticity::cpu
