#include <limits>
#include <vector>

#include "cpu/cell.hpp"
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
  const std::int64_t T = layer.T_, B = layer.B_, N = layer.N_, n = layer.n_, S = layer.S_;
  const bool lstm = layer.lstm();

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
    if (lstm) {
      std::fill_n(memory.zeros, S, Real(0));
      pad_rows(args.initial_state.c, B, n, record.c0);
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

  /// lstm: computes the gates, c and h of step t. The layer has computed the candidate.
  void run_gates(std::int64_t t, Team& team) const {
    std::vector<const Real*> before;
    std::vector<Real*> currents;
    for (std::int64_t b = 0; b < B; ++b) {
      if (t >= layer.length_of(args.masks, b)) continue;
      before.push_back(record.pre + (t * B + b) * N);
      currents.push_back(memory.gates + (t * B + b) * 4 * S);
    }
    team.run([&](std::int64_t share) {
      for (std::size_t k = 0; k < currents.size(); k += elements_together) {
        add_gate_products(layer.products_, N, n, args.parameters.w_gates,
                          static_cast<int>(std::min<std::size_t>(elements_together, currents.size() - k)),
                          &before[k], &currents[k], share_of<Real>(n, share));
      }
    });
    for (std::int64_t b = 0; b < B; ++b) {
      if (t >= layer.length_of(args.masks, b)) continue;
      const std::int64_t row = t * B + b;
      pad_rows(memory.candidate + row * n, 1, n, memory.post);
      layer.cell_functions_.lstm(S, {.current = memory.gates + row * 4 * S,
                                     .post = memory.post,
                                     .c_before = layer.cell_before(record, args.masks, memory.zeros, t, b),
                                     .gates = record.gates + row * 3 * S,
                                     .c = record.c + row * S,
                                     .h = record.output + row * S});
      std::copy_n(record.output + row * S, n, args.y + row * n);
    }
  }

  /// Gathers y(t), and computes M(t) and the rates.
  void after_outputs(std::int64_t t, Team& team) const {
    if (lstm && n > 0) run_gates(t, team);
    const bool has_next = layer.recurrent() && t + 1 < T, reads_cell = layer.reads_cell();
    if (!has_next && !spec.has_modulator()) return;
    Real* const next = has_next ? record.pre + (t + 1) * B * N : nullptr;
    Real* const whole = has_next && !reads_cell ? next : memory.whole;
    Real* const own = layer.gather_step_.own(memory.message);
    for (std::int64_t b = 0; b < B; ++b) {  // args.y is not written beyond the length
      const bool runs = t < layer.length_of(args.masks, b);
      const auto add = [&](const Real* from, Real* to) {
        if (runs) std::copy_n(from, n, to);
        if (!runs) std::fill_n(to, n, Real(0));
      };
      add(args.y + (t * B + b) * n, own + b * n);
      if (reads_cell) add(record.c + (t * B + b) * S, own + (B + b) * n);
    }
    layer.gather_step_.run(memory.message, whole);
    if (has_next && reads_cell) std::copy_n(whole, B * N, next);
    for (std::int64_t b = 0; spec.has_modulator() && b < B; ++b) {
      if (t >= layer.length_of(args.masks, b)) continue;
      const Real* const read = whole + ((reads_cell ? B : 0) + b) * N;
      const Real modulation = modulate(memory.v, args.parameters.modulator_bias[0], read, N);
      record.modulation[t * B + b] = modulation;
      fill_modulated_rate(spec.rate, n, args.parameters, modulation, memory.rate + (t * B + b) * n);
    }
    if (has_next) clear_resets(t + 1);
  }

  /// Computes x w_in + b + u of all steps.
  void project() const {
    const std::int64_t rows = T * B, I = layer.I_, gates = spec.gates();
    constexpr std::int64_t at_once = 16;
    parallel_for(layer.options_.device.threads(), (rows + at_once - 1) / at_once,
                 [&](std::int64_t block, int) {
                   const std::int64_t first = block * at_once, count = std::min(at_once, rows - first);
                   for (std::int64_t gate = 0; gate < gates; ++gate) {
                     Real* const currents = layer.gate_row(memory.currents, memory.gates, first, gate);
                     const std::int64_t stride = layer.gate_stride(gate);
                     for (std::int64_t row = 0; row < count; ++row) {
                       Real* const to = currents + row * stride;
                       std::copy_n(args.parameters.b + gate * n, n, to);
                       if (args.inputs.u != nullptr) {
                         const Real* const u = args.inputs.u + ((first + row) * gates + gate) * n;
                         for (std::int64_t j = 0; j < n; ++j) to[j] += u[j];
                       }
                       if (gate != layer.plastic_gate()) std::fill(to + n, to + S, Real(0));
                     }
                     layer.products_.multiply(count, n, I, args.inputs.x + first * I, I,
                                              args.parameters.w_in + gate * n, gates * n, currents, stride);
                   }
                 });
  }

  void store_results() const {
    for (std::int64_t b = 0; b < B; ++b) {
      const std::int64_t length = layer.length_of(args.masks, b), last = (length - 1) * B + b;
      for (std::int64_t t = 0; args.modulation != nullptr && t < T; ++t)
        args.modulation[t * B + b] = t < length ? record.modulation[t * B + b] : Real(0);
      for (std::int64_t t = length; lstm && t < T; ++t) std::fill_n(args.y + (t * B + b) * n, n, Real(0));
      store(b, length == 0 ? nullptr : args.y + last * n, args.initial_state.y, args.final_state.y);
      store(b, length == 0 ? nullptr : record.c + last * S, args.initial_state.c, args.final_state.c);
    }
  }

  /// Stores a vector of the final state: `last`, or the initial one if `last` is null.
  void store(std::int64_t b, const Real* last, const Real* initial, Real* final_state) const {
    if (final_state == nullptr) return;
    Real* const to = final_state + b * n;
    if (last == nullptr) last = at(initial, b * n);
    if (last == nullptr) {
      std::fill_n(to, n, Real(0));
    } else if (last != to) {
      std::copy_n(last, n, to);
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

  ForwardArgs<Real> inner;
  inner.parameters = layer_parameters(args.parameters);
  inner.inputs = {.u = projected() ? memory.currents : args.inputs.u,
                  .pre = recurrent() ? pass.record.pre : args.inputs.pre,
                  .rate = spec_.has_modulator() ? memory.rate : args.inputs.rate};
  inner.masks = args.masks;
  inner.initial_state = {.hebb = args.initial_state.hebb, .eligibility = args.initial_state.eligibility};
  inner.y = lstm() ? memory.candidate : args.y;
  inner.a = args.a;
  inner.final_state = {.hebb = args.final_state.hebb, .eligibility = args.final_state.eligibility};

  if (T_ > 0 && projected()) pass.project();
  if (T_ > 0 && exchanges()) pass.begin();
  if (n_ == 0) {  // no columns, exchanges only
    Team alone(1, Team::Helpers::none);
    std::vector<Real> totals(static_cast<std::size_t>(B_));
    for (std::int64_t t = 0; t < longest(args.masks); ++t) {
      if (softmax()) {
        std::fill(totals.begin(), totals.end(), -std::numeric_limits<Real>::infinity());
        max_over_ranks(totals);
        std::fill(totals.begin(), totals.end(), Real(0));
        sum_over_ranks(totals);
      }
      pass.after_outputs(t, alone);
    }
    return pass.store_results();
  }
  plan_.forward_by_step(
      inner, Tape{{recording.inner_tape, plan_.tape_bytes()}},
      Scratch{{memory.inner_scratch, plan_.scratch_bytes()}},
      [&](std::int64_t t, Team& team) { pass.after_outputs(t, team); },
      [&](std::span<Real> values) { max_over_ranks(values); },
      [&](std::span<Real> values) { sum_over_ranks(values); });
  pass.store_results();
}

template void ColumnLayer<float, float>::forward(const ForwardArgs<float>&, Tape, Scratch) const;
template void ColumnLayer<double, double>::forward(const ForwardArgs<double>&, Tape, Scratch) const;
template void ColumnLayer<float, Bfloat16>::forward(const ForwardArgs<float>&, Tape, Scratch) const;

}  // namespace plasticity::cpu
