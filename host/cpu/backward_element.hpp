#pragma once

#include "cpu/backward_pass.hpp"

namespace plasticity::cpu {

/// The backward pass of one batch element. One sweep reverses the read of step t and the update of step t-1.
/// Before the sweep of step t, `doutput`, `dc`, `dpost`, `drate` and `dx_update[t % 2]` hold the gradients
/// that later steps have sent to step t.
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::BackwardPass::Element {
  const BackwardPass& pass;
  std::int64_t b;
  TapeElement<Real, Trace> record;
  BackwardSpace<Real> space;
  ElementSums<Real> sums;
  Team& team;

  const CpuPlan& plan = pass.plan;
  const BackwardArgs<Real>& args = pass.args;
  const Spec& spec = pass.spec;
  const std::int64_t N = pass.N, P = pass.P, B = pass.B, S = pass.S, K = plan.interval_;
  const bool lstm = pass.lstm, eligible = pass.eligible;
  const std::int64_t length = pass.length_of(b);
  std::int64_t segment = 0;  // first step of the segment whose traces are in `space`
  BackwardSweep<Real> sweep{};

  // A segment stores the trace before every stored_every-th step. The first is the checkpoint, which stays on
  // the tape if its type is Real. The others are recomputed into `space`. The sweeps recompute the traces
  // between two stored ones again, which costs less than the memory traffic of storing all of them.
  const std::int64_t stored_every = plan.stored_every();

  Real* stored_trace(std::int64_t t, Real* replayed, Trace* checkpoints) const {
    if constexpr (std::is_same_v<Trace, Real>) {
      if (t == segment) return checkpoints + segment / K * P * S;
    }
    return replayed + (t - segment) / stored_every * trace_distance<Real>(spec);
  }
  Real* stored_hebb(std::int64_t t) const { return stored_trace(t, space.hebb, record.hebb); }
  Real* stored_eligibility(std::int64_t t) const {
    return eligible ? stored_trace(t, space.eligibility, record.eligibility) : nullptr;
  }
  /// The last step up to t whose trace is stored, or is zero after a reset.
  std::int64_t stored_before(std::int64_t t) const {
    std::int64_t stored = t;
    while ((stored - segment) % stored_every != 0 && !pass.resets(stored, b)) --stored;
    return stored;
  }
  TraceSource<Real> traces_before(std::int64_t t) const {
    const std::int64_t stored = stored_before(t);
    const bool zero = stored != segment && pass.resets(stored, b);
    return {.hebb = zero ? pass.zeros : stored_hebb(stored),
            .eligibility = !eligible ? nullptr
                           : zero    ? pass.zeros
                                     : stored_eligibility(stored),
            .updates = space.updates + (stored - segment),
            .count = t - stored};
  }
  Real* rate_of(std::int64_t t) const { return space.rates + (t - segment) * S; }
  const Real* pre_of(std::int64_t t) const { return pass.pre_of(record, t, b); }

  /// Loads the gradient of the final state and reverses the last update.
  void begin() {
    const State<const Real>& upstream = args.dfinal_state;
    const std::int64_t PN = P * N;
    std::fill_n(space.rates, plan.steps_of_updates() * S, Real(0));
    std::fill_n(space.unused_dalpha, S, Real(0));
    pad_rows(at(upstream.y, b * N), 1, N, space.doutput);
    pad_rows(at(upstream.c, b * N), 1, N, space.dc);
    pad_rows(at(upstream.hebb, b * PN), P, N, space.G);
    if (eligible) pad_rows(at(upstream.eligibility, b * PN), P, N, space.GE);
    if (length == 0) return;
    replay((length - 1) / K * K, length);
    reverse_update(length - 1);
  }

  /// Computes the gradients of the currents of step t, and prepares the sweep of its read and of the update
  /// before it.
  void prepare(std::int64_t t) {
    add_upstream(t);
    reverse_rate(t);
    reverse_output(t);
    prepare_sweep(t, inner_of(t));
  }

  /// The part of prepare() after reverse_output(). `inner` is softmax_inner() of all columns.
  void prepare_sweep(std::int64_t t, Real inner) {
    reverse_activation(t, inner);
    const bool updates = t > 0 && !pass.resets(t, b);
    if (updates && t == segment) replay(t - K, t);
    const std::int64_t before = updates ? t - 1 : t;
    sweep = {.before = traces_before(before),
             .G = space.G,
             .GE = space.GE,
             .read = {.x = pre_of(t),
                      .da = pass.plastic_da_of(t, b),
                      .dx = space.dx_read,
                      .dalpha = pass.adds_alpha_last ? space.unused_dalpha : sums.alpha},
             .update = update_of(before)};
    if (!updates) sweep.update.factors = {};
    if (plan.by_step() && args.dinputs.pre != nullptr) {
      std::copy_n(args.dinputs.pre + (t * B + b) * P, P, space.dx);
    } else {
      std::fill_n(space.dx, P, Real(0));
    }
  }

  /// After the sweep: completes the gradient of the output of step t-1.
  void complete(std::int64_t t) {
    reverse_presynaptic(t);
    if (!pass.resets(t, b)) return;
    clear_gradients();
    if (t == 0) return;
    if (t == segment) replay(t - K, t);
    reverse_update(t - 1);
  }

  void finish() {
    if (pass.adds_alpha_last) add_alpha_gradient();
    const State<Real>& initial = args.dinitial_state;
    unpad_rows(space.doutput, 1, N, at(initial.y, b * N));
    unpad_rows(space.dc, 1, N, at(initial.c, b * N));
    unpad_rows(space.G, P, N, at(initial.hebb, b * P * N));
    unpad_rows(space.GE, P, N, at(initial.eligibility, b * P * N));
  }

  /// Adds the gradient of alpha per connection of all steps.
  void add_alpha_gradient() {
    const std::int64_t steps = plan.steps_of_updates();
    for (std::int64_t t0 = 0; t0 < length; t0 += steps) {
      const std::int64_t t1 = std::min(t0 + steps, length);
      load_segment(t0, t1);
      for (std::int64_t t = t0, next; t < t1; t = next) {
        next = t + 1;
        while (next < t1 && !pass.resets(next, b)) ++next;
        AlphaSweep<Real> reads{traces_before(t), pass.plastic_da_of(t, b), pass.width, sums.alpha};
        reads.reads.count = next - t;
        team.run([&](std::int64_t share) {
          plan.sweeps_.alpha_gradient(spec.rule, spec.eligibility, pass.params, share_of<Real>(N, share),
                                      reads);
        });
      }
    }
  }

  /// Fills `space` with the rates, the updates and the stored traces of the segment t0 .. t1-1.
  void replay(std::int64_t t0, std::int64_t t1) {
    load_segment(t0, t1);
    for (std::int64_t t = t0 + stored_every; t < t1; t += stored_every) {
      if (pass.resets(t, b)) continue;
      TraceSource<Real> before = traces_before(t - 1);
      ++before.count;
      team.run([&](std::int64_t share) {
        plan.sweeps_.replay(spec.rule, spec.eligibility, pass.params, share_of<Real>(N, share), before,
                            stored_hebb(t), stored_eligibility(t));
      });
    }
  }

  /// Fills `space` with the rates and the updates of the segment t0 .. t1-1, and with its first trace if that
  /// is not on the tape.
  void load_segment(std::int64_t t0, std::int64_t t1) {
    segment = t0;
    for (std::int64_t t = t0; t < t1; ++t) {
      fill_rate(spec, args.parameters, spec.has_modulator() ? record.modulation[t] : Real(0),
                at(args.inputs.rate, (t * B + b) * N), rate_of(t));
      const std::int64_t first = (t - t0) * S;
      plan.sweeps_.factors(spec.rule, spec.eligibility, S,
                           {rate_of(t), record.post + t * S, pass.params.clip}, space.retentions + first,
                           space.gains + first);
      space.updates[t - t0] = {.x = pre_of(t),
                               .y = record.post + t * S,
                               .retention = space.retentions + first,
                               .gain = space.gains + first};
    }
    if constexpr (!std::is_same_v<Trace, Real>) {
      const std::int64_t checkpoint = t0 / K * P * S;
      const RoundedTraces rounded(spec);
      rounded.restore(P * S, record.hebb + checkpoint, space.hebb);
      if (eligible) convert(record.eligibility + checkpoint, space.eligibility, P * S);
      if (RoundedTraces::needs_last(spec, K) && !(t1 < length && pass.resets(t1, b))) {
        rounded.match_clip_side(pass.params, space.updates[0], space.eligibility, record.hebb + t1 * P * S,
                                space.hebb);
      }
    }
  }

  UpdateAdjoint<Real> update_of(std::int64_t t) const {
    return {.factors = space.updates[t - segment],
            .rate = rate_of(t),
            .dx = space.dx_update[t % 2],
            .dpost = space.dpost,
            .drate = space.drate,
            .dpost_eligibility = space.dpost_eligibility,
            .deta = sums.eta};
  }

  void reverse_update(std::int64_t t) {
    sweep = {.before = traces_before(t),
             .G = space.G,
             .GE = space.GE,
             .read = {.x = nullptr, .da = nullptr, .dx = space.dx_read, .dalpha = nullptr},
             .update = update_of(t)};
    team.run([&](std::int64_t share) {
      const BackwardSweep<Real> alone = sweep_of(share);
      plan.sweeps_.backward(spec.rule, spec.eligibility, pass.params, share_of<Real>(N, share), &alone, 1);
    });
  }

  /// The current sweep for one share of the columns. Each share has its own memory for sums over columns.
  BackwardSweep<Real> sweep_of(std::int64_t share) const {
    BackwardSweep<Real> part = sweep;
    part.read.dx += share * P;
    part.update.dx += share * P;
    return part;
  }

  void add_upstream(std::int64_t t) const {
    if (args.dy == nullptr) return;
    for (std::int64_t j = 0; j < N; ++j) space.doutput[j] += args.dy[(t * B + b) * N + j];
  }

  /// Passes the gradient of the rate to eta, to the modulator and its input, or to the caller.
  void reverse_rate(std::int64_t t) const {
    const Real* drate = space.drate;
    if (spec.rate == Rate::fixed) {
      for (std::int64_t j = 0; j < N; ++j) sums.eta[j] += drate[j];
    }
    if (spec.rate == Rate::external && args.dinputs.rate != nullptr) {
      std::copy_n(drate, N, args.dinputs.rate + (t * B + b) * N);
    }
    if (!spec.has_modulator()) return;
    const Real M = record.modulation[t];
    Real dM = 0;
    if (spec.rate == Rate::fan_out) {
      for (std::int64_t j = 0; j < N; ++j) {
        sums.fan_out_weight[j] += drate[j] * M;
        sums.fan_out_bias[j] += drate[j];
        dM += drate[j] * args.parameters.fan_out_weight[j];
      }
    } else {
      for (std::int64_t j = 0; j < N; ++j) dM += drate[j];
    }
    const bool reads_cell = spec.modulator_source == ModulatorSource::cell;
    const Real* read = (reads_cell ? record.c : record.output) + t * S;
    Real* dread = reads_cell ? space.dc : space.doutput;
    const Real q = dM * (1 - M * M);
    *sums.modulator_bias += q;
    for (std::int64_t j = 0; j < N; ++j) {
      sums.modulator_weight[j] += q * read[j];
      dread[j] += q * args.parameters.modulator_weight[j];
    }
  }

  /// Passes the gradient of the output of step t to the gates and to the postsynaptic activity.
  void reverse_output(std::int64_t t) const {
    if (lstm) {
      const Real* c_before = pass.resets(t, b) ? pass.zeros : t == 0 ? record.c0 : record.c + (t - 1) * S;
      plan.cell_functions_.lstm_adjoint(S, {.gates = record.gates + t * 3 * S,
                                            .post = record.post + t * S,
                                            .c = record.c + t * S,
                                            .c_before = c_before,
                                            .dh = space.doutput,
                                            .dc = space.dc,
                                            .dpost = space.dpost,
                                            .da = pass.da_of(t, b)});
    } else {
      for (std::int64_t j = 0; j < N; ++j) space.dpost[j] += space.doutput[j];
    }
    clear_clamped(at(args.masks.clamp, (t * B + b) * N), space.dpost, N);
  }

  /// This plan's part of softmax_inner() of step t.
  Real inner_of(std::int64_t t) const {
    return softmax_inner(spec.activation, record.unclamped + t * S, space.dpost, N);
  }

  /// Computes the gradient of the pre-activation of step t.
  void reverse_activation(std::int64_t t, Real inner) const {
    Real* const plastic = pass.plastic_da_of(t, b);
    activate_adjoint(spec.activation, record.unclamped + t * S, inner, space.dpost, N);
    if (args.da != nullptr) {
      for (std::int64_t j = 0; j < N; ++j) space.dpost[j] += args.da[(t * B + b) * N + j];
    }
    std::copy_n(space.dpost, N, plastic);
    std::fill(plastic + N, plastic + S, Real(0));
  }

  /// Passes the gradient of x(t) to the caller, or to the output of step t-1.
  void reverse_presynaptic(std::int64_t t) const {
    for (std::int64_t share = 0; share < share_count(N); ++share) {
      const Real *read = space.dx_read + share * P, *update = space.dx_update[t % 2] + share * P;
      for (std::int64_t i = 0; i < P; ++i) space.dx[i] += read[i] + update[i];
    }
    if (spec.is_recurrent()) {
      std::copy_n(space.dx, N, space.doutput);
    } else {
      if (args.dinputs.pre != nullptr) std::copy_n(space.dx, P, args.dinputs.pre + (t * B + b) * P);
      std::fill_n(space.doutput, N, Real(0));
    }
  }

  /// Stops all gradients at a reset.
  void clear_gradients() const {
    std::fill_n(space.doutput, N, Real(0));
    std::fill_n(space.dc, N, Real(0));
    std::fill_n(space.G, P * S, Real(0));
    if (eligible) std::fill_n(space.GE, P * S, Real(0));
  }
};

}  // namespace plasticity::cpu
