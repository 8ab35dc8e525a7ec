#include <array>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "cpu/cell.hpp"
#include "cpu/cpu_plan.hpp"
#include "cpu/gates.hpp"

namespace plasticity::cpu {

/// One forward pass.
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::ForwardPass {
  const CpuPlan& plan;
  const ForwardArgs<Real>& args;
  Tape tape;
  std::byte* spaces;  // elements_together ForwardSpaces per slot
  std::size_t space_bytes;
  SweepParams<Real> params;

  // Sizes have the names of the equations. S is the padded N.
  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), B = plan.options_.batch,
                     T = plan.options_.steps, S = padded<Real>(N);
  const std::int64_t width = spec.gates() * S;
  const bool lstm = spec.cell == Cell::lstm, eligible = spec.has_eligibility();
  const bool records = tape.data != nullptr;

  struct Element;

  /// Runs elements first .. first+count-1 together, step by step.
  void run(std::int64_t first, std::int64_t count, std::int64_t slot, Team& team) const;
  /// Runs all elements together, see forward_by_step().
  void run_by_step(StepCall after_outputs, ColumnTotals max, ColumnTotals sum, Team& team) const;

 private:
  /// Softmax of step t over the columns of all plans.
  void normalise(std::int64_t t, std::vector<Element>& elements, ColumnTotals max, ColumnTotals sum) const;
  /// The element b, whose working memory is space `space`.
  Element element(std::int64_t b, std::int64_t space) const;
};

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

template <class Real, class Trace>
void CpuPlan<Real, Trace>::ForwardPass::run(std::int64_t first, std::int64_t count, std::int64_t slot,
                                            Team& team) const {
  std::array<std::optional<Element>, elements_together> places;  // so that nothing is allocated
  const std::span<std::optional<Element>> elements(places.data(), static_cast<std::size_t>(count));
  std::int64_t longest = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    const Element& added =
        places[static_cast<std::size_t>(k)].emplace(element(first + k, slot * elements_together + k));
    longest = std::max(longest, added.length);
  }
  for (std::int64_t t = 0; t < longest; ++t) {
    ForwardSweep<Real> sweeps[elements_together];
    const Real* x[elements_together];
    Real* currents[elements_together];
    int running = 0;
    for (std::optional<Element>& element : elements) {
      if (t >= element->length) continue;
      element->prepare(t);
      sweeps[running] = element->sweep;
      x[running] = element->sweep.x;
      currents[running++] = element->current_of(t);
    }
    team.run([&](std::int64_t share) {
      const Columns columns = share_of<Real>(N, share);
      plan.sweeps_.forward(spec.rule, spec.eligibility, params, columns, sweeps, running);
      if (lstm)
        add_gate_products(plan.products_, P, N, args.parameters.w_gates, running, x, currents, columns);
    });
    for (std::optional<Element>& element : elements) {
      if (t >= element->length) continue;
      element->activate_step(t);
      element->prepare_update(t);
    }
  }
  for (std::optional<Element>& element : elements) element->finish(team);
}

template <class Real, class Trace>
typename CpuPlan<Real, Trace>::ForwardPass::Element CpuPlan<Real, Trace>::ForwardPass::element(
    std::int64_t b, std::int64_t space) const {
  StaggeredArena arena(spaces + static_cast<std::size_t>(space) * space_bytes);
  StaggeredArena empty(nullptr);
  return Element(*this, b, ForwardSpace<Real>(spec, arena),
                 records ? plan.tape_element(tape, b) : TapeElement<Real, Trace>(spec, 0, 1, empty));
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::ForwardPass::normalise(std::int64_t t, std::vector<Element>& elements,
                                                  ColumnTotals max, ColumnTotals sum) const {
  std::vector<Real> largest(static_cast<std::size_t>(B), -std::numeric_limits<Real>::infinity()),
      sums(largest.size());
  const auto for_running = [&](auto&& work) {
    for (std::size_t b = 0; b < elements.size(); ++b)
      if (t < elements[b].length) work(elements[b].cell_vectors(t), b);
  };
  for_running([&](const CellVectors<Real>& step, std::size_t b) {
    largest[b] = *std::max_element(step.current, step.current + N);
  });
  max(largest);
  for_running([&](const CellVectors<Real>& step, std::size_t b) {
    sums[b] = softmax_terms(plan.cell_functions_, largest[b], step.current, step.unclamped, N);
  });
  sum(sums);
  for_running([&](const CellVectors<Real>& step, std::size_t b) { divide(step.unclamped, sums[b], N); });
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::ForwardPass::run_by_step(StepCall after_outputs, ColumnTotals max,
                                                    ColumnTotals sum, Team& team) const {
  std::vector<Element> elements;
  elements.reserve(static_cast<std::size_t>(B));
  std::int64_t longest = 0;
  for (std::int64_t b = 0; b < B; ++b)
    longest = std::max(longest, elements.emplace_back(element(b, b)).length);
  std::vector<ForwardSweep<Real>> sweeps(static_cast<std::size_t>(B));
  for (std::int64_t t = 0; t < longest; ++t) {
    std::size_t running = 0;
    for (Element& each : elements) {
      if (t >= each.length) continue;
      each.prepare(t);
      sweeps[running++] = each.sweep;
    }
    team.run([&](std::int64_t share) {
      for (std::size_t k = 0; k < running; k += elements_together) {
        plan.sweeps_.forward(spec.rule, spec.eligibility, params, share_of<Real>(N, share), &sweeps[k],
                             static_cast<int>(std::min<std::size_t>(elements_together, running - k)));
      }
    });
    if (spec.activation == Activation::softmax) normalise(t, elements, max, sum);
    for (Element& each : elements) {
      if (t < each.length) each.activate_step(t);
    }
    after_outputs(t, team);
    for (Element& each : elements) {
      if (t < each.length) each.prepare_update(t);
    }
  }
  for (Element& each : elements) each.finish(team);
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::forward_space_bytes() const {
  StaggeredArena counter(nullptr);
  ForwardSpace<Real>(spec_, counter);
  return counter.bytes();
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::forward_scratch_bytes() const {
  StaggeredArena counter(nullptr);
  ParameterCopies<Real>(spec_, true, counter);
  counter.take<std::byte>(static_cast<std::int64_t>(forward_space_bytes()) * forward_spaces());
  return counter.bytes();
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::run_forward(const ForwardArgs<Real>& args, Tape tape, Scratch scratch,
                                       FunctionRef<void(const ForwardPass&)> run) const {
  StaggeredArena arena(scratch.data);
  const ParameterCopies<Real> copies(spec_, true, arena);
  const std::size_t bytes = forward_space_bytes();
  std::byte* spaces = arena.take<std::byte>(static_cast<std::int64_t>(bytes) * forward_spaces());
  const ForwardPass pass{*this, args, tape, spaces, bytes, copies.fill(spec_, args.parameters)};
  auto* const header =
      tape.data != nullptr && tape_bytes_ > 0 ? static_cast<TapeHeader*>(tape.data) : nullptr;
  if (header != nullptr) header->state = 0;  // until the pass has ended
  run(pass);
  if (header != nullptr) *header = TapeHeader(spec_, options_, interval_);
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::enqueue_forward(Stream, const ForwardArgs<Real>& args, Tape tape,
                                           Scratch scratch) const {
  // Elements run together unless a thread would have none.
  const std::int64_t B = options_.batch, threads = options_.device.threads();
  const std::int64_t together = B >= elements_together * threads ? elements_together : 1;
  run_forward(args, tape, scratch, [&](const ForwardPass& pass) {
    parallel_for_teams(options_.device.threads(), (B + together - 1) / together, share_count(spec_.neurons),
                       elements_at_once(forward_matrices()),
                       [&](std::int64_t index, std::int64_t slot, Team& team) {
                         const std::int64_t first = index * together;
                         pass.run(first, std::min(together, B - first), slot, team);
                       });
  });
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::forward_by_step(const ForwardArgs<Real>& args, Tape tape, Scratch scratch,
                                           StepCall after_outputs, ColumnTotals max, ColumnTotals sum) const {
  run_forward(args, tape, scratch, [&](const ForwardPass& pass) {
    run_with_team(options_.device.threads(), share_count(spec_.neurons),
                  [&](Team& team) { pass.run_by_step(after_outputs, max, sum, team); });
  });
}

template class CpuPlan<float, float>;
template class CpuPlan<double, double>;
template class CpuPlan<float, Bfloat16>;

}  // namespace plasticity::cpu
