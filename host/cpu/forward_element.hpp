#pragma once

#include "cpu/cell.hpp"
#include "cpu/forward_pass.hpp"

namespace plasticity::cpu {

/// The forward pass of one batch element. With a tape, its vectors and checkpoints are on the tape, and in
/// `space` otherwise.
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::ForwardPass::Element {
  const ForwardPass& pass;
  const CpuPlan& plan;
  const ForwardArgs<Real>& args;
  const Spec& spec;
  const std::int64_t b, N, P, B, S, length;
  const bool lstm, eligible, records;
  ForwardSpace<Real> space;
  TapeElement<Real, Trace> record;

  // The results of one step that the next one reads: output, cell state, traces, and the pending update.
  const Real *y_before, *c_before;
  Real *hebb, *eligibility;
  UpdateVectors<Real> pending{};
  ForwardSweep<Real> sweep{};  // of the current step

  Element(const ForwardPass& forward_pass, std::int64_t element, const ForwardSpace<Real>& memory,
          const TapeElement<Real, Trace>& tape_element)
      : pass(forward_pass),
        plan(forward_pass.plan),
        args(forward_pass.args),
        spec(forward_pass.spec),
        b(element),
        N(forward_pass.N),
        P(forward_pass.P),
        B(forward_pass.B),
        S(forward_pass.S),
        length(args.masks.length == nullptr ? forward_pass.T : args.masks.length[b]),
        lstm(forward_pass.lstm),
        eligible(forward_pass.eligible),
        records(forward_pass.records),
        space(memory),
        record(tape_element) {
    y_before = initial_output();
    c_before = initial_cell();
    hebb = hebb_of(0);
    eligibility = eligibility_of(0);
    load_initial_state();
  }

  Real* initial_output() const { return records && spec.is_recurrent() ? record.y0 : space.y0; }
  Real* initial_cell() const { return records ? record.c0 : space.c0; }
  /// Whether the traces before step t are in the checkpoint's own memory, so that no copy is needed.
  bool works_in_checkpoint(std::int64_t t) const {
    return std::is_same_v<Trace, Real> && !plan.tape_exceeds_cache() && records && t < pass.T &&
           t % plan.interval_ == 0;
  }
  Real* trace_of(std::int64_t t, Real* working, Trace* checkpoints) const {
    if constexpr (std::is_same_v<Trace, Real>) {
      if (works_in_checkpoint(t)) return checkpoints + t / plan.interval_ * P * S;
    }
    return working;
  }
  Real* hebb_of(std::int64_t t) const { return trace_of(t, space.hebb, record.hebb); }
  Real* eligibility_of(std::int64_t t) const {
    return eligible ? trace_of(t, space.eligibility, record.eligibility) : nullptr;
  }
  Real* current_of(std::int64_t t) const {
    return space.currents + t % ForwardSpace<Real>::chunk * pass.width;
  }

  void load_initial_state() const {
    const State<const Real>& initial = args.initial_state;
    const std::int64_t PN = P * N;
    std::fill_n(space.zeros, std::max(P, S), Real(0));
    std::fill_n(space.rate, S, Real(0));
    pad_rows(spec.is_recurrent() ? at(initial.y, b * N) : nullptr, 1, N, initial_output());
    if (lstm) pad_rows(at(initial.c, b * N), 1, N, initial_cell());
    pad_rows(at(initial.hebb, b * PN), P, N, hebb);
    if (eligible) pad_rows(at(initial.eligibility, b * PN), P, N, eligibility);
  }

  /// Computes the input currents of step t and prepares its sweep.
  void prepare(std::int64_t t) {
    const std::int64_t row = t * B + b, chunk = ForwardSpace<Real>::chunk;
    if (t % chunk == 0) {
      plan.input_currents(args.parameters, args.inputs, b, t, std::min(chunk, length - t), space.currents);
    }
    Real *const hebb_now = hebb_of(t), *const eligibility_now = eligibility_of(t);
    if (args.masks.reset != nullptr && args.masks.reset[row] != 0) {
      y_before = c_before = space.zeros;
      pending = {};
      hebb = hebb_now;
      eligibility = eligibility_now;
      std::fill_n(hebb, P * S, Real(0));
      if (eligible) std::fill_n(eligibility, P * S, Real(0));
    }
    sweep = {.traces = {hebb, hebb_now, eligibility, eligibility_now},
             .update = pending,
             .x = spec.is_recurrent() ? y_before : args.inputs.pre + row * P,
             .s = current_of(t) + (lstm ? 2 * S : 0)};
    hebb = hebb_now;
    eligibility = eligibility_now;
  }

  /// The offset of the vectors of step t.
  std::int64_t offset_of(std::int64_t t) const { return (records ? t : t % ForwardSpace<Real>::ring) * S; }
  /// The vectors of step t.
  CellVectors<Real> cell_vectors(std::int64_t t) const {
    const std::int64_t row = t * B + b, offset = offset_of(t);
    Real* const post = (records ? record.post : space.post) + offset;
    return {.current = current_of(t),
            .clamp = at(args.masks.clamp, row * N),
            .clamp_value = at(args.masks.clamp_value, row * N),
            .unclamped = records ? record.unclamped + offset : post,
            .post = post,
            .output = (records ? record.output : space.output) + offset,
            .gates = records && lstm ? record.gates + 3 * offset : space.gates,
            .c_before = c_before,
            .c = lstm ? (records ? record.c : space.c) + offset : nullptr};
  }

  /// Computes the output of step t from its complete currents. By step, softmax is already computed.
  void activate_step(std::int64_t t) {
    if (records && t % plan.interval_ == 0 && !works_in_checkpoint(t)) {
      const std::int64_t checkpoint = t / plan.interval_ * P * S;
      keep_hebb(record.hebb + checkpoint);
      if constexpr (std::is_same_v<Trace, Real>) {
        if (eligible) plan.sweeps_.keep(P * S, eligibility, record.eligibility + checkpoint);
      } else {
        if (eligible) convert(eligibility, record.eligibility + checkpoint, P * S);
      }
    }
    const std::int64_t row = t * B + b;
    const CellVectors<Real> step = cell_vectors(t);
    if (plan.by_step() && spec.activation == Activation::softmax) {
      finish_cell(spec, plan.cell_functions_, step);
    } else {
      run_cell(spec, plan.cell_functions_, step);
    }
    std::copy_n(step.output, N, args.y + row * N);
    if (args.a != nullptr) std::copy_n(current_of(t) + (lstm ? 2 * S : 0), N, args.a + row * N);
    y_before = step.output;
    c_before = step.c;
  }

  /// Computes the factors of the trace update of step t, which is then pending.
  void prepare_update(std::int64_t t) {
    const std::int64_t row = t * B + b;
    const Real* const post = (records ? record.post : space.post) + offset_of(t);
    Real modulation = 0;
    if (spec.has_modulator()) {
      modulation = modulate(args.parameters.modulator_weight, args.parameters.modulator_bias[0],
                            spec.modulator_source == ModulatorSource::cell ? c_before : y_before, N);
      if (records) record.modulation[t] = modulation;
      if (args.modulation != nullptr) args.modulation[row] = modulation;
    }
    fill_rate(spec, args.parameters, modulation, at(args.inputs.rate, row * N), space.rate);
    plan.sweeps_.factors(spec.rule, spec.eligibility, S, {space.rate, post, pass.params.clip},
                         space.retention, space.gain);
    pending = {.x = sweep.x, .y = post, .retention = space.retention, .gain = space.gain};
  }

  void keep_hebb(Trace* checkpoint) const {
    if constexpr (std::is_same_v<Trace, Real>) {
      plan.sweeps_.keep(P * S, hebb, checkpoint);
    } else {
      RoundedTraces(spec).keep(P * S, hebb, checkpoint);
    }
  }

  /// Writes zeros beyond the length, applies the last update and stores the final state.
  void finish(Team& team) {
    for (std::int64_t t = length; t < pass.T; ++t) {
      std::fill_n(args.y + (t * B + b) * N, N, Real(0));
      if (args.a != nullptr) std::fill_n(args.a + (t * B + b) * N, N, Real(0));
      if (args.modulation != nullptr) args.modulation[t * B + b] = 0;
    }
    const State<Real>& state = args.final_state;
    if (state.y != nullptr) std::copy_n(y_before, N, state.y + b * N);
    if (state.c != nullptr) std::copy_n(c_before, N, state.c + b * N);
    const bool keeps_last = records && std::is_same_v<Trace, Bfloat16> &&
                            RoundedTraces::needs_last(spec, plan.interval_) && pending.x != nullptr;
    if (state.hebb == nullptr && state.eligibility == nullptr && !keeps_last) return;
    Real *const hebb_out = at(state.hebb, b * P * N), *const eligibility_out =
                                                          at(state.eligibility, b * P * N);
    if (pending.x != nullptr) {
      // Without padding the traces are written to the caller's memory directly.
      const TraceSource<Real> last{hebb, eligibility, &pending, 1};
      hebb = S == N && hebb_out != nullptr && !keeps_last ? hebb_out : space.hebb;
      eligibility = S == N && eligibility_out != nullptr ? eligibility_out : space.eligibility;
      team.run([&](std::int64_t share) {
        plan.sweeps_.replay(spec.rule, spec.eligibility, pass.params, share_of<Real>(N, share), last, hebb,
                            eligibility);
      });
    }
    if (keeps_last) keep_hebb(record.hebb + length * P * S);
    if (hebb != hebb_out) unpad_rows(hebb, P, N, hebb_out);
    if (eligibility != eligibility_out) unpad_rows(eligibility, P, N, eligibility_out);
  }
};

}  // namespace plasticity::cpu
