#include "cpu/cell.hpp"
#include "cpu/cpu_plan.hpp"
#include "cpu/gates.hpp"

namespace plasticity::cpu {

namespace {

/// The pending trace update of a step state, and the direction in which the step before swept the columns.
enum class Pending : std::int64_t { none, swept_forward, swept_in_reverse };

}  // namespace

/// The step state of one batch element. The last trace update is pending: the next step applies it.
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::StepStateElement {
  Pending* pending;                      // [1]
  Real* y;                               // [N]
  Real* c;                               // [N]
  Real* x_before;                        // [P] factors of the pending update
  Real* post_before;                     // [N]
  Real *retention_before, *gain_before;  // [N]
  Real* eta_before;                      // [1]
  Real* hebb;                            // [P,N]
  Real* eligibility;                     // [P,N]

  StepStateElement(const Spec& spec, StaggeredArena& arena) {
    const std::int64_t N = padded<Real>(spec.neurons), P = spec.presynaptic();
    pending = arena.take<Pending>(1);
    y = arena.take<Real>(N);
    c = arena.take<Real>(N);
    x_before = arena.take<Real>(P);
    post_before = arena.take<Real>(N);
    retention_before = arena.take<Real>(N);
    gain_before = arena.take<Real>(N);
    eta_before = arena.take<Real>(1);
    hebb = arena.take<Real>(P * N);
    eligibility = arena.take<Real>(spec.has_eligibility() ? P * N : 0);
  }

  bool has_update() const { return *pending != Pending::none; }
  TraceMove<Real> traces() const { return {hebb, hebb, eligibility, eligibility}; }
  UpdateVectors<Real> update() const { return {x_before, post_before, retention_before, gain_before}; }
};

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::step_state_element_bytes() const {
  StaggeredArena counter(nullptr);
  StepStateElement(spec_, counter);
  return counter.bytes();
}

template <class Real, class Trace>
auto CpuPlan<Real, Trace>::step_state_element(StepState step_state, std::int64_t b) const
    -> StepStateElement {
  StaggeredArena arena(static_cast<std::byte*>(step_state.data) +
                       static_cast<std::size_t>(b) * step_state_element_bytes_);
  return StepStateElement(spec_, arena);
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::enqueue_load(Stream, const State<const Real>& state, StepState step_state) const {
  const std::int64_t N = spec_.neurons, P = spec_.presynaptic();
  for (std::int64_t b = 0; b < options_.batch; ++b) {
    const StepStateElement element = step_state_element(step_state, b);
    *element.pending = Pending::none;
    std::fill_n(element.retention_before, padded<Real>(N), Real(0));
    std::fill_n(element.gain_before, padded<Real>(N), Real(0));
    pad_rows(at(state.y, b * N), 1, N, element.y);
    pad_rows(at(state.c, b * N), 1, N, element.c);
    pad_rows(at(state.hebb, b * P * N), P, N, element.hebb);
    if (spec_.has_eligibility()) pad_rows(at(state.eligibility, b * P * N), P, N, element.eligibility);
  }
}

/// One step of all batch elements.
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::StepPass {
  const CpuPlan& plan;
  const StepArgs<Real>& args;
  StepState step_state;
  std::byte* spaces;  // one ForwardSpace per slot
  SweepParams<Real> params;

  // Sizes have the names of the equations. S is the padded N.
  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), S = padded<Real>(N);
  const bool lstm = spec.cell == Cell::lstm;
  // Matrices that exceed the L2 cache are swept in alternating directions, block of columns by block of
  // columns. The blocks that one step sweeps last are then in the cache when the next step starts.
  const bool blocks = plan.options_.batch == 1 && plan.working_set(plan.forward_matrices()) > l2_cache;

  /// Runs element b.
  void run(std::int64_t b, std::int64_t slot, Team& team) const {
    const StepStateElement element = plan.step_state_element(step_state, b);
    StaggeredArena arena(spaces + static_cast<std::size_t>(slot) * plan.forward_space_bytes_);
    const ForwardSpace<Real> space(spec, arena);
    if (args.masks.reset != nullptr && args.masks.reset[b] != 0) clear(element);
    const bool reverse = blocks && *element.pending == Pending::swept_forward;
    const Real* const x = spec.is_recurrent() ? element.y : args.inputs.pre + b * P;
    plan.input_currents(args.parameters, args.inputs, b, 0, 1, space.currents);
    update_and_read(element, x, reverse, space, team);
    copy_vector(x, P, element.x_before);  // for the update of this step, before y is overwritten
    activate(element, b, space);
    prepare_update(element, b, space);
    *element.pending = reverse ? Pending::swept_in_reverse : Pending::swept_forward;
  }

 private:
  Real* plastic_current(const ForwardSpace<Real>& space) const { return space.currents + (lstm ? 2 * S : 0); }

  /// Sets the state to zero, at a reset.
  void clear(const StepStateElement& element) const {
    *element.pending = Pending::none;
    std::fill_n(element.y, N, Real(0));
    std::fill_n(element.c, N, Real(0));
    std::fill_n(element.hebb, P * S, Real(0));
    if (spec.has_eligibility()) std::fill_n(element.eligibility, P * S, Real(0));
  }

  /// Applies the pending update and adds the plastic read and the gate products to the currents.
  void update_and_read(const StepStateElement& element, const Real* x, bool reverse,
                       const ForwardSpace<Real>& space, Team& team) const {
    constexpr std::int64_t block_columns = 64;
    const ForwardSweep<Real> sweep{.traces = element.traces(),
                                   .update = element.has_update() ? element.update() : UpdateVectors<Real>{},
                                   .x = x,
                                   .s = plastic_current(space)};
    SweepParams<Real> sweep_params = params;
    if (element.has_update()) sweep_params.eta = *element.eta_before;  // eta of the previous step
    team.run([&](std::int64_t share) {
      const Columns columns = share_of<Real>(N, reverse ? share_count(N) - 1 - share : share);
      const std::int64_t width = blocks ? block_columns : columns.count;
      const std::int64_t count = (columns.count + width - 1) / width;
      for (std::int64_t k = 0; k < count; ++k) {
        const std::int64_t first = (reverse ? count - 1 - k : k) * width;
        plan.sweeps_.forward(spec.rule, spec.eligibility, sweep_params,
                             {columns.first + first, std::min(width, columns.count - first)}, &sweep, 1);
      }
      if (lstm) {
        add_gate_products(plan.products_, P, N, args.parameters.w_gates, 1, &x, &space.currents, columns);
      }
    });
  }

  /// Computes the output from the complete currents, and writes it to the state and to the caller.
  void activate(const StepStateElement& element, std::int64_t b, const ForwardSpace<Real>& space) const {
    Real* const output = lstm ? element.y : element.post_before;
    run_cell<Real>(spec, plan.cell_functions_,
                   {.current = space.currents,
                    .clamp = at(args.masks.clamp, b * N),
                    .clamp_value = at(args.masks.clamp_value, b * N),
                    .unclamped = element.post_before,
                    .post = element.post_before,
                    .output = output,
                    .gates = space.gates,
                    .c_before = element.c,
                    .c = element.c});
    copy_vector(output, N, args.y + b * N);
    if (args.a != nullptr) copy_vector(plastic_current(space), N, args.a + b * N);
    if (!lstm) copy_vector(output, N, element.y);
  }

  /// Computes M and the factors of the trace update of this step.
  void prepare_update(const StepStateElement& element, std::int64_t b,
                      const ForwardSpace<Real>& space) const {
    Real modulation = 0;
    if (spec.has_modulator()) {
      modulation = modulate(args.parameters.modulator_weight, args.parameters.modulator_bias[0],
                            spec.modulator_source == ModulatorSource::cell ? element.c : element.y, N);
      if (args.modulation != nullptr) args.modulation[b] = modulation;
    }
    std::fill_n(space.rate, S, Real(0));
    fill_rate(spec, args.parameters, modulation, at(args.inputs.rate, b * N), space.rate);
    plan.sweeps_.factors(spec.rule, spec.eligibility, S, {space.rate, element.post_before, params.clip},
                         element.retention_before, element.gain_before);
    *element.eta_before = params.eta;
  }
};

template <class Real, class Trace>
void CpuPlan<Real, Trace>::enqueue_step(Stream, const StepArgs<Real>& args, StepState step_state,
                                        Scratch scratch) const {
  constexpr std::int64_t min_passes_for_copy = 8;  // a copy of w and alpha costs about one pass over them
  StaggeredArena arena(scratch.data);
  const ParameterCopies<Real> copies(spec_, options_.batch >= min_passes_for_copy, arena);
  const SweepParams<Real> params = copies.fill(spec_, args.parameters);
  std::byte* spaces = arena.take<std::byte>(static_cast<std::int64_t>(forward_space_bytes_) * workers());
  const StepPass pass{*this, args, step_state, spaces, params};
  parallel_for_teams(options_.device.threads(), options_.batch, share_count(spec_.neurons),
                     ElementsAtOnce::many,
                     [&](std::int64_t b, std::int64_t slot, Team& team) { pass.run(b, slot, team); });
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::enqueue_store(Stream, const State<Real>& state, StepState step_state) const {
  const std::int64_t N = spec_.neurons, P = spec_.presynaptic();
  for (std::int64_t b = 0; b < options_.batch; ++b) {
    const StepStateElement element = step_state_element(step_state, b);
    if (element.has_update()) {
      SweepParams<Real> params{};  // an update reads neither w nor alpha
      params.P = P;
      params.N = N;
      params.eta = *element.eta_before;
      params.clip = static_cast<Real>(spec_.clip);
      const UpdateVectors<Real> last = element.update();
      sweeps_.replay(spec_.rule, spec_.eligibility, params, {0, padded<Real>(N)},
                     {element.hebb, element.eligibility, &last, 1}, element.hebb, element.eligibility);
      *element.pending = Pending::none;
    }
    unpad_rows(element.y, 1, N, at(state.y, b * N));
    unpad_rows(element.c, 1, N, at(state.c, b * N));
    unpad_rows(element.hebb, P, N, at(state.hebb, b * P * N));
    unpad_rows(element.eligibility, P, N, at(state.eligibility, b * P * N));
  }
}

template class CpuPlan<float, float>;
template class CpuPlan<double, double>;
template class CpuPlan<float, Bfloat16>;

}  // namespace plasticity::cpu
