#include <cmath>

#include "cpu/columns/layer.hpp"
#include "cpu/threads/parallel.hpp"

namespace plasticity::cpu {

/// One forward pass.
template <class Real, class Trace>
struct ColumnLayer<Real, Trace>::ForwardPass {
  const ColumnLayer& layer;
  const ForwardArgs<Real>& args;
  const ForwardScratch& memory;
  const Record& record;

  const Spec& spec = layer.spec_;
  const std::int64_t T = layer.T_, B = layer.B_, N = layer.N_, n = layer.n_;

  /// Gathers slices [B,n] of y. Null means zero.
  void gather(const Real* slices, Real* whole) const {
    Real* const own = layer.gather_y_.own(memory.message);
    if (slices == nullptr) std::fill_n(own, B * n, Real(0));
    if (slices != nullptr) std::copy_n(slices, B * n, own);
    layer.gather_y_.run(memory.message, whole);
  }

  /// Gathers the values of step 0.
  void begin() const {
    if (spec.has_modulator()) {
      std::copy_n(args.parameters.modulator_weight, n, layer.gather_v_.own(memory.v));
      layer.gather_v_.run(memory.v, memory.v);  // one row, so the message is the whole tensor
    }
    if (!layer.recurrent()) return;
    gather(args.initial_state.y, record.pre);
    clear_resets(0);
  }

  /// Sets the rows of y(t-1) to zero that are reset before step t.
  void clear_resets(std::int64_t t) const {
    for (std::int64_t b = 0; b < B; ++b)
      if (layer.resets(args.masks, t, b)) std::fill_n(record.pre + (t * B + b) * N, N, Real(0));
  }

  /// Gathers y(t), and computes M(t) and the rates.
  void after_outputs(std::int64_t t) const {
    const bool has_next = layer.recurrent() && t + 1 < T;
    if (!has_next && !spec.has_modulator()) return;
    Real* const whole = has_next ? record.pre + (t + 1) * B * N : memory.whole;
    Real* const own = layer.gather_y_.own(memory.message);
    for (std::int64_t b = 0; b < B; ++b) {  // args.y is not written beyond the length
      if (t < layer.length_of(args.masks, b)) {
        std::copy_n(args.y + (t * B + b) * n, n, own + b * n);
      } else {
        std::fill_n(own + b * n, n, Real(0));
      }
    }
    layer.gather_y_.run(memory.message, whole);
    for (std::int64_t b = 0; spec.has_modulator() && b < B; ++b) {
      if (t >= layer.length_of(args.masks, b)) continue;
      const Real* const y = whole + b * N;
      Real sum = args.parameters.modulator_bias[0];
      for (std::int64_t j = 0; j < N; ++j) sum += memory.v[j] * y[j];
      const Real modulation = std::tanh(sum);
      record.modulation[t * B + b] = modulation;
      layer.fill_rates(args.parameters, modulation, memory.rate + (t * B + b) * n);
    }
    if (has_next) clear_resets(t + 1);
  }

  /// Computes x w_in + b + u of all steps.
  void project() const {
    const std::int64_t rows = T * B, I = layer.I_;
    constexpr std::int64_t at_once = 16;
    parallel_for(layer.options_.device.threads(), (rows + at_once - 1) / at_once,
                 [&](std::int64_t block, int) {
                   const std::int64_t first = block * at_once, count = std::min(at_once, rows - first);
                   Real* const currents = memory.currents + first * n;
                   for (std::int64_t row = 0; row < count; ++row) {
                     std::copy_n(args.parameters.b, n, currents + row * n);
                     for (std::int64_t j = 0; args.inputs.u != nullptr && j < n; ++j)
                       currents[row * n + j] += args.inputs.u[(first + row) * n + j];
                   }
                   layer.products_.multiply(count, n, I, args.inputs.x + first * I, I, args.parameters.w_in,
                                            n, currents, n);
                 });
  }

  void store_results() const {
    for (std::int64_t b = 0; b < B; ++b) {
      const std::int64_t length = layer.length_of(args.masks, b);
      for (std::int64_t t = 0; args.modulation != nullptr && t < T; ++t)
        args.modulation[t * B + b] = t < length ? record.modulation[t * B + b] : Real(0);
      if (args.final_state.y == nullptr) continue;
      Real* const last = args.final_state.y + b * n;
      if (length > 0) {
        std::copy_n(args.y + ((length - 1) * B + b) * n, n, last);
      } else if (args.initial_state.y == nullptr) {
        std::fill_n(last, n, Real(0));
      } else if (args.initial_state.y + b * n != last) {
        std::copy_n(args.initial_state.y + b * n, n, last);
      }
    }
  }
};

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::forward(const ForwardArgs<Real>& args, Tape tape, Scratch scratch) const {
  Arena arena(scratch.data), tape_arena(tape.data);
  const ForwardScratch memory(*this, arena);
  const Recording recording(*this, tape_arena);
  const bool records = tape.data != nullptr;
  const ForwardPass pass{*this, args, memory, records ? recording.record : memory.record};

  ForwardArgs<Real> layer;
  layer.parameters = layer_parameters(args.parameters);
  layer.inputs = {.u = projected() ? memory.currents : args.inputs.u,
                  .pre = recurrent() ? pass.record.pre : args.inputs.pre,
                  .rate = spec_.has_modulator() ? memory.rate : args.inputs.rate};
  layer.masks = args.masks;
  layer.initial_state = {.hebb = args.initial_state.hebb, .eligibility = args.initial_state.eligibility};
  layer.y = args.y;
  layer.a = args.a;
  layer.final_state = {.hebb = args.final_state.hebb, .eligibility = args.final_state.eligibility};

  if (T_ > 0 && projected()) pass.project();
  if (T_ > 0 && exchanges()) pass.begin();
  if (n_ == 0) {  // no layer, exchanges only
    for (std::int64_t t = 0; t < longest(args.masks); ++t) pass.after_outputs(t);
    return pass.store_results();
  }
  plan_.forward_by_step(layer, Tape{{recording.plan, plan_.tape_bytes()}},
                        Scratch{{memory.plan, plan_.scratch_bytes()}},
                        [&](std::int64_t t) { pass.after_outputs(t); });
  pass.store_results();
}

template void ColumnLayer<float, float>::forward(const ForwardArgs<float>&, Tape, Scratch) const;
template void ColumnLayer<double, double>::forward(const ForwardArgs<double>&, Tape, Scratch) const;
template void ColumnLayer<float, Bfloat16>::forward(const ForwardArgs<float>&, Tape, Scratch) const;

}  // namespace plasticity::cpu
