#include "cpu/cell.hpp"
#include "cpu/cpu_plan.hpp"
#include "cpu/gates.hpp"

namespace plasticity::cpu {

/// The step state of one batch element. The last trace update is pending: the next step applies it.
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::StepStateElement {
  // [1] 0: no update is pending; 1: one is; 2: one is, of a step that swept in reverse
  std::int64_t* pending;
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
    pending = arena.take<std::int64_t>(1);
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
    *element.pending = 0;
    std::fill_n(element.retention_before, padded<Real>(N), Real(0));
    std::fill_n(element.gain_before, padded<Real>(N), Real(0));
    pad_rows(at(state.y, b * N), 1, N, element.y);
    pad_rows(at(state.c, b * N), 1, N, element.c);
    pad_rows(at(state.hebb, b * P * N), P, N, element.hebb);
    if (spec_.has_eligibility()) pad_rows(at(state.eligibility, b * P * N), P, N, element.eligibility);
  }
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::enqueue_step(Stream, const StepArgs<Real>& args, StepState step_state,
                                        Scratch scratch) const {
  const std::int64_t N = spec_.neurons, S = padded<Real>(N), P = spec_.presynaptic(), I = spec_.inputs;
  const bool lstm = spec_.cell == Cell::lstm;
  // A copy of w and alpha costs about one pass over them.
  constexpr std::int64_t min_passes_for_copy = 8;
  constexpr std::int64_t block_columns = 64;
  StaggeredArena shared(scratch.data);
  const SweepParams<Real> params = ParameterCopies<Real>(spec_, options_.batch >= min_passes_for_copy, shared)
                                       .fill(spec_, args.parameters);
  std::byte* spaces = shared.take<std::byte>(static_cast<std::int64_t>(forward_space_bytes_) * workers());

  const auto run = [&](std::int64_t b, std::int64_t slot, Team& team) {
    const StepStateElement element = step_state_element(step_state, b);
    StaggeredArena arena(spaces + static_cast<std::size_t>(slot) * forward_space_bytes_);
    const ForwardSpace<Real> space(spec_, arena);
    if (args.masks.reset != nullptr && args.masks.reset[b] != 0) {
      *element.pending = 0;
      std::fill_n(element.y, N, Real(0));
      std::fill_n(element.c, N, Real(0));
      std::fill_n(element.hebb, P * S, Real(0));
      if (spec_.has_eligibility()) std::fill_n(element.eligibility, P * S, Real(0));
    }
    input_currents(args.parameters, args.inputs, b, 0, 1, space.currents);
    const Real* x = spec_.is_recurrent() ? element.y : args.inputs.pre + b * I;
    const ForwardSweep<Real> sweep{.traces = element.traces(),
                                   .update = *element.pending != 0 ? element.update() : UpdateVectors<Real>{},
                                   .x = x,
                                   .s = space.currents + (lstm ? 2 * S : 0)};
    SweepParams<Real> sweep_params = params;
    if (*element.pending != 0) sweep_params.eta = *element.eta_before;  // eta of the previous step
    // Matrices that exceed the L2 cache are swept in alternating directions, block of columns by block of
    // columns. The blocks that one step sweeps last are then in the cache when the next step starts.
    const bool blocks = options_.batch == 1 && working_set(forward_matrices()) > l2_cache;
    const bool reverse = blocks && *element.pending == 1;
    team.run([&](std::int64_t share) {
      const Columns columns = share_of<Real>(N, reverse ? share_count(N) - 1 - share : share);
      const std::int64_t width = blocks ? block_columns : columns.count;
      const std::int64_t count = (columns.count + width - 1) / width;
      for (std::int64_t k = 0; k < count; ++k) {
        const std::int64_t first = (reverse ? count - 1 - k : k) * width;
        sweeps_.forward(spec_.rule, spec_.eligibility, sweep_params,
                        {columns.first + first, std::min(width, columns.count - first)}, &sweep, 1);
      }
      if (lstm) add_gate_products(products_, P, N, args.parameters.w_gates, 1, &x, &space.currents, columns);
    });

    // Saves x for the update of this step before y is overwritten.
    copy_vector(x, P, element.x_before);
    Real* output = lstm ? element.y : element.post_before;
    run_cell<Real>(spec_, cell_functions_,
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
    if (args.a != nullptr) copy_vector(space.currents + (lstm ? 2 * S : 0), N, args.a + b * N);
    if (!lstm) copy_vector(output, N, element.y);
    Real modulation = 0;
    if (spec_.has_modulator()) {
      modulation = modulate(args.parameters.modulator_weight, args.parameters.modulator_bias[0],
                            spec_.modulator_source == ModulatorSource::cell ? element.c : output, N);
      if (args.modulation != nullptr) args.modulation[b] = modulation;
    }
    std::fill_n(space.rate, S, Real(0));
    fill_rate(spec_, args.parameters, modulation, at(args.inputs.rate, b * N), space.rate);
    sweeps_.factors(spec_.rule, spec_.eligibility, S, {space.rate, element.post_before, params.clip},
                    element.retention_before, element.gain_before);
    *element.eta_before = params.eta;
    *element.pending = reverse ? 2 : 1;
  };
  parallel_for_teams(options_.device.threads(), options_.batch, share_count(N), ElementsAtOnce::many, run);
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::enqueue_store(Stream, const State<Real>& state, StepState step_state) const {
  const std::int64_t N = spec_.neurons, P = spec_.presynaptic();
  for (std::int64_t b = 0; b < options_.batch; ++b) {
    const StepStateElement element = step_state_element(step_state, b);
    if (*element.pending != 0) {
      SweepParams<Real> params{};  // an update reads neither w nor alpha
      params.P = P;
      params.N = N;
      params.eta = *element.eta_before;
      params.clip = static_cast<Real>(spec_.clip);
      const UpdateVectors<Real> last = element.update();
      sweeps_.replay(spec_.rule, spec_.eligibility, params, {0, padded<Real>(N)},
                     {element.hebb, element.eligibility, &last, 1}, element.hebb, element.eligibility);
      *element.pending = 0;
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
