#include "cpu/columns/backward_pass.hpp"

#include <vector>

#include "communicator/slices.hpp"
#include "cpu/cell.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::begin() const {
  if (lstm) {
    std::fill_n(memory.zeros, S, Real(0));
    std::fill_n(memory.gates, T * B * 4 * S, Real(0));
    transpose(args.parameters.w_gates, memory.w_gates, N, 3 * n);
  }
  if (!modulated) return;
  std::fill_n(memory.modulator_sums, B * (3 * n + 1), Real(0));
  for (std::int64_t b = 0; b < B; ++b) {
    for (std::int64_t t = 0; runs(t, b); ++t)
      fill_modulated_rate(layer.spec_.rate, n, args.parameters, recording.record.modulation[t * B + b],
                          memory.rate + (t * B + b) * n);
  }
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::exchange(std::int64_t t) const {
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
  layer.sum_over_ranks(std::span(memory.message, static_cast<std::size_t>(rows + (modulated ? B : 0))));
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::before_step(std::int64_t t, Team& team) const {
  if (!layer.exchanges()) return;
  exchange(t);
  for (std::int64_t b = 0; b < B; ++b) {
    if (!runs(t, b)) continue;
    const std::int64_t row = t * B + b;
    Real* const dy = lstm ? memory.dh + b * S : memory.dy + row * n;
    const bool last = t + 1 == layer.length_of(args.masks, b);
    if (lstm) {
      std::fill_n(dy, S, Real(0));
      if (last) pad_rows(at(args.dfinal_state.c, b * n), 1, n, memory.dc + b * S);
      if (!last && layer.resets(args.masks, t + 1, b)) std::fill_n(memory.dc + b * S, S, Real(0));
    }
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
  if (lstm && n > 0) reverse_gates(t, team);
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::reverse_modulator(std::int64_t t, std::int64_t b,
                                                               Real* dy) const {
  const std::int64_t row = t * B + b;
  const Real M = recording.record.modulation[row], dM = memory.message[(recurrent ? B * N : 0) + b],
             q = dM * (1 - M * M);
  const bool reads_cell = layer.reads_cell();
  const Real* const read = reads_cell ? recording.record.c + row * S
                           : lstm     ? recording.record.output + row * S
                                      : layer.plan_.recorded_output(inner_tape(), t, b);
  Real* const dread = reads_cell ? memory.dc + b * S : dy;
  const Real* const drate = memory.drate + row * n;
  Real *const dv = sums_of(b), *const dF = dv + n, *const dF0 = dF + n;
  for (std::int64_t j = 0; j < n; ++j) {
    dv[j] += q * read[j];
    dF[j] += drate[j] * M;
    dF0[j] += drate[j];
    dread[j] += q * args.parameters.modulator_weight[j];
  }
  dF0[n] += q;  // the gradient of v0, the same on all ranks
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::reverse_gates(std::int64_t t, Team& team) const {
  const Record& record = recording.record;
  std::vector<const Real*> da;
  std::vector<Real*> dh_before;
  for (std::int64_t b = 0; b < B; ++b) {
    if (!runs(t, b)) continue;
    const std::int64_t row = t * B + b;
    da.push_back(memory.gates + row * 4 * S);
    dh_before.push_back(memory.dpre + row * N);
    std::fill_n(memory.dpost, S, Real(0));
    layer.cell_functions_.lstm_adjoint(S,
                                       {.gates = record.gates + row * 3 * S,
                                        .post = layer.plan_.recorded_output(inner_tape(), t, b),
                                        .c = record.c + row * S,
                                        .c_before = layer.cell_before(record, args.masks, memory.zeros, t, b),
                                        .dh = memory.dh + b * S,
                                        .dc = memory.dc + b * S,
                                        .dpost = memory.dpost,
                                        .da = memory.gates + row * 4 * S});
    std::copy_n(memory.dpost, n, memory.dy + row * n);
  }
  team.run([&](std::int64_t share) {
    const ItemRange part = equal_slice(N, static_cast<int>(team.shares()), static_cast<int>(share));
    for (std::size_t k = 0; k < da.size(); k += elements_together) {
      add_gate_adjoints(layer.products_, N, n, memory.w_gates,
                        static_cast<int>(std::min<std::size_t>(elements_together, da.size() - k)), &da[k],
                        &dh_before[k], part.first, part.count);
    }
  });
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::finish_state() const {
  if (!recurrent) return;
  if (T > 0) exchange(-1);
  const auto store = [&](std::int64_t b, const Real* gradient, const Real* upstream, Real* initial) {
    if (initial == nullptr) return;
    Real* const to = initial + b * n;
    if (layer.length_of(args.masks, b) == 0) gradient = at(upstream, b * n);
    if (gradient == nullptr) {
      std::fill_n(to, n, Real(0));
    } else if (gradient != to) {
      std::copy_n(gradient, n, to);
    }
  };
  for (std::int64_t b = 0; b < B; ++b) {
    store(b, memory.message + b * N + layer.columns_.first, args.dfinal_state.y, args.dinitial_state.y);
    const Real* const dc = lstm && !(T > 0 && layer.resets(args.masks, 0, b)) ? memory.dc + b * S : nullptr;
    store(b, dc, args.dfinal_state.c, args.dinitial_state.c);
  }
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::backward(const BackwardArgs<Real>& args, Tape tape, Scratch scratch) const {
  Arena arena(scratch.data), tape_arena(tape.data);
  const BackwardScratch memory(*this, arena);
  const Recording recording(*this, tape_arena);
  const BackwardPass pass{*this, args, memory, recording};
  Real* const dpre = recurrent() ? memory.dpre : args.dinputs.pre;
  const bool modulated = spec_.has_modulator(), scalar_alpha = spec_.alpha == Granularity::scalar;
  Real of_scalars[2] = {0, 0};  // gradients of eta and of a scalar alpha: sums over the ranks

  BackwardArgs<Real> inner;
  inner.parameters = layer_parameters(args.parameters);
  inner.inputs = {.u = nullptr,
                  .pre = recurrent() ? recording.record.pre : args.inputs.pre,
                  .rate = modulated ? memory.rate : args.inputs.rate};
  inner.masks = args.masks;
  inner.dy = exchanges() ? memory.dy : args.dy;
  inner.da = args.da;
  inner.dfinal_state = {.hebb = args.dfinal_state.hebb, .eligibility = args.dfinal_state.eligibility};
  inner.dparameters = {.w = args.dparameters.w,
                       .alpha = scalar_alpha ? &of_scalars[1] : args.dparameters.alpha,
                       .eta = spec_.has_eta() ? &of_scalars[0] : nullptr};
  inner.dinputs = {
      .u = projected() && (lstm() || args.dinputs.u == nullptr) ? memory.currents : args.dinputs.u,
      .pre = dpre,
      .rate = modulated ? memory.drate : args.dinputs.rate};
  inner.dinitial_state = {.hebb = args.dinitial_state.hebb, .eligibility = args.dinitial_state.eligibility};

  pass.begin();
  if (dpre != nullptr) std::fill_n(dpre, T_ * B_ * spec_.presynaptic(), Real(0));
  if (n_ > 0) {
    plan_.backward_by_step(
        inner, pass.inner_tape(), Scratch{{memory.inner_scratch, plan_.scratch_bytes()}},
        [&](std::int64_t t, Team& team) { pass.before_step(t, team); },
        [&](std::span<Real> values) { sum_over_ranks(values); });
  } else {  // no columns, exchanges only
    Team alone(1, Team::Helpers::none);
    std::vector<Real> totals(static_cast<std::size_t>(B_));
    for (std::int64_t t = longest(args.masks) - 1; t >= 0; --t) {
      pass.before_step(t, alone);
      std::fill(totals.begin(), totals.end(), Real(0));
      if (softmax()) sum_over_ranks(totals);
    }
  }
  pass.finish_state();
  pass.add_modulator_gradients();
  if (projected()) pass.reverse_currents(inner.dinputs.u);
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
