#include <optional>
#include <span>
#include <vector>

#include "cpu/backward_element.hpp"
#include "cpu/gates.hpp"
#include "cpu/input_gradients.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::run_group(std::int64_t group, std::int64_t slot, Team& team) const {
  run_tree(plan.group(group), group, plan.groups() + slot * plan.levels_in_group(), slot, team);
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::run_tree(ItemRange range, std::int64_t index, std::int64_t more,
                                                  std::int64_t slot, Team& team) const {
  if (range.count <= plan.elements_per_pass()) {
    const ElementSums<Real> sums_of_elements[] = {sums_at(index), sums_at(range.count == 2 ? more : index)};
    static_assert(elements_together == 2);
    run(range.first, range.count, slot, sums_of_elements, team);
    if (range.count == 2) sums_of_elements[0].add(sums_of_elements[1]);
    return;
  }
  const std::int64_t left = left_half(range.count);
  run_tree({range.first, left}, index, more, slot, team);
  run_tree({range.first + left, range.count - left}, more, more + 1, slot, team);
  sums_at(index).add(sums_at(more));
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::run(std::int64_t first, std::int64_t count, std::int64_t slot,
                                             const ElementSums<Real>* to, Team& team) const {
  std::optional<Element> memory[elements_together];  // a vector would allocate in every call
  const std::span<std::optional<Element>> elements(memory, static_cast<std::size_t>(count));
  std::int64_t longest = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    memory[k].emplace(element(first + k, slot * plan.elements_per_pass() + k, to[k], team));
    memory[k]->begin();
    longest = std::max(longest, memory[k]->length);
  }
  for (std::int64_t t = longest - 1; t >= 0; --t) {
    for (std::optional<Element>& each : elements) {
      if (t < each->length) each->prepare(t);
    }
    team.run([&](std::int64_t share) {
      const Columns columns = share_of<Real>(N, share);
      BackwardSweep<Real> sweeps[elements_together];
      const Real* da_rows[elements_together];
      Real* dx_rows[elements_together];
      int running = 0;
      for (const std::optional<Element>& each : elements) {
        if (t >= each->length) continue;
        sweeps[running] = each->sweep_of(share);
        da_rows[running] = da_of(t, each->b);
        dx_rows[running++] = each->space.dx;
      }
      plan.sweeps_.backward(spec.rule, spec.eligibility, params, columns, sweeps, running);
      if (lstm) {
        add_gate_adjoints(plan.products_, P, N, gates_transposed, running, da_rows, dx_rows, columns.first,
                          std::min(columns.count, N - columns.first));
      }
    });
    for (std::optional<Element>& each : elements) {
      if (t < each->length) each->complete(t);
    }
  }
  for (std::optional<Element>& each : elements) finish(*each);
}

template <class Real, class Trace>
typename CpuPlan<Real, Trace>::BackwardPass::Element CpuPlan<Real, Trace>::BackwardPass::element(
    std::int64_t b, std::int64_t space, const ElementSums<Real>& to, Team& team) const {
  StaggeredArena arena(spaces + static_cast<std::size_t>(space) * space_bytes);
  to.set_zero();
  return {*this, b, plan.tape_element(tape, b), plan.backward_space(arena), to, team};
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::finish(Element& element) const {
  element.finish();
  add_columns(element.sums);
  write_input_gradients(spec, plan.products_, T, B, element.b, length_of(element.b), da_of(0, element.b),
                        w_in_transposed, args.dinputs);
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::run_by_step(StepCall before_step, ColumnTotals sum,
                                                     Team& team) const {
  std::vector<Element> elements;
  elements.reserve(static_cast<std::size_t>(B));
  std::int64_t longest = 0;
  for (std::int64_t b = 0; b < B; ++b) {
    elements.push_back(element(b, b, sums_at(b), team));
    elements.back().begin();
    longest = std::max(longest, elements.back().length);
  }
  std::vector<const Element*> running;
  running.reserve(elements.size());
  std::vector<Real> inner(static_cast<std::size_t>(B));
  for (std::int64_t t = longest - 1; t >= 0; --t) {
    running.clear();
    for (Element& each : elements) {
      if (t >= each.length) continue;
      each.reverse_rate(t);
      running.push_back(&each);
    }
    before_step(t, team);
    for (Element& each : elements) {
      const auto b = static_cast<std::size_t>(each.b);
      inner[b] = 0;
      if (t >= each.length) continue;
      each.add_upstream(t);
      each.reverse_output(t);
      inner[b] = each.inner_of(t);
    }
    if (spec.activation == Activation::softmax) sum(inner);
    for (Element& each : elements) {
      if (t < each.length) each.prepare_sweep(t, inner[static_cast<std::size_t>(each.b)]);
    }
    team.run([&](std::int64_t share) {
      for (std::size_t first = 0; first < running.size(); first += elements_together) {
        const std::size_t count = std::min<std::size_t>(elements_together, running.size() - first);
        BackwardSweep<Real> sweeps[elements_together];
        for (std::size_t k = 0; k < count; ++k) sweeps[k] = running[first + k]->sweep_of(share);
        plan.sweeps_.backward(spec.rule, spec.eligibility, params, share_of<Real>(N, share), sweeps,
                              static_cast<int>(count));
      }
    });
    for (Element& each : elements) {
      if (t < each.length) each.complete(t);
    }
  }
  for (Element& each : elements) finish(each);
}

namespace {

/// The scratch of a backward pass. One constructor both measures and allocates it.
template <class Real>
struct BackwardScratch {
  ParameterCopies<Real> copies;
  Real *zeros, *w_in_transposed, *gates_transposed, *da;
  StepList<Real> list;
  std::byte *sums, *spaces;

  BackwardScratch(const Spec& spec, const PlanOptions& options, std::int64_t sums_bytes,
                  std::int64_t spaces_bytes, StaggeredArena& arena)
      : copies(spec, true, arena), list(options.steps, options.batch, arena) {
    const std::int64_t N = spec.neurons, S = padded<Real>(N), rows = options.steps * options.batch;
    zeros = arena.take<Real>(std::max<std::int64_t>(1, spec.presynaptic()) * S);
    w_in_transposed = arena.take<Real>(spec.is_recurrent() ? spec.inputs * spec.gates() * N : 0);
    gates_transposed = arena.take<Real>(spec.cell == Cell::lstm ? 3 * N * N : 0);
    da = arena.take<Real>(rows * spec.gates() * S);
    sums = arena.take<std::byte>(sums_bytes);
    spaces = arena.take<std::byte>(spaces_bytes);
  }
};

/// Without a destination for dalpha its sums are per column, which is cheaper, and are discarded.
template <class Real>
std::size_t element_sums_bytes(const Spec& spec, bool alpha_per_connection) {
  StaggeredArena counter(nullptr);
  ElementSums<Real>(spec, alpha_per_connection, counter);
  return counter.bytes();
}

}  // namespace

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::backward_space_bytes() const {
  StaggeredArena counter(nullptr);
  backward_space(counter);
  return counter.bytes();
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::backward_scratch_bytes() const {
  StaggeredArena counter(nullptr);
  const auto sums =
      static_cast<std::int64_t>(element_sums_bytes<Real>(spec_, spec_.alpha == Granularity::connection));
  BackwardScratch<Real>(spec_, options_, (groups() + workers() * levels_in_group()) * sums,
                        backward_spaces() * static_cast<std::int64_t>(backward_space_bytes()), counter);
  return counter.bytes();
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::run_backward(const BackwardArgs<Real>& args, Tape tape, Scratch scratch,
                                        FunctionRef<void(const BackwardPass&)> run) const {
  if (tape_bytes_ > 0)
    check_tape(tape.data, TapeHeader(spec_, options_, interval_, GivenMasks::of(args.masks)));
  const bool alpha_per_connection =
      spec_.alpha == Granularity::connection && args.dparameters.alpha != nullptr;
  const std::size_t sums_bytes = element_sums_bytes<Real>(spec_, alpha_per_connection),
                    space_bytes = backward_space_bytes();
  StaggeredArena arena(scratch.data);
  const BackwardScratch<Real> memory(
      spec_, options_, (groups() + workers() * levels_in_group()) * static_cast<std::int64_t>(sums_bytes),
      backward_spaces() * static_cast<std::int64_t>(space_bytes), arena);
  const std::int64_t P = spec_.presynaptic(), S = padded<Real>(spec_.neurons);
  std::fill_n(memory.zeros, args.masks.reset == nullptr ? std::max(P, S) : P * S, Real(0));
  if (args.dinputs.x != nullptr) {
    transpose(args.parameters.w_in, memory.w_in_transposed, spec_.inputs, spec_.gates() * spec_.neurons);
  }
  if (spec_.cell == Cell::lstm) {
    transpose(args.parameters.w_gates, memory.gates_transposed, spec_.neurons, 3 * spec_.neurons);
  }
  SweepParams<Real> params = memory.copies.fill(spec_, args.parameters);
  params.dalpha_per_connection = alpha_per_connection && !adds_alpha_last();
  const BackwardPass pass{*this,
                          args,
                          tape,
                          memory.spaces,
                          space_bytes,
                          memory.sums,
                          sums_bytes,
                          memory.da,
                          memory.w_in_transposed,
                          memory.gates_transposed,
                          memory.zeros,
                          params,
                          alpha_per_connection};
  run(pass);
  pass.weight_gradients(memory.list);
  pass.group_gradients();
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::enqueue_backward(Stream, const BackwardArgs<Real>& args, Tape tape,
                                            Scratch scratch) const {
  run_backward(args, tape, scratch, [&](const BackwardPass& pass) {
    parallel_for_teams(
        options_.device.threads(), groups(), share_count(spec_.neurons),
        elements_at_once(backward_matrices()),
        [&](std::int64_t group, std::int64_t slot, Team& team) { pass.run_group(group, slot, team); });
  });
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::backward_by_step(const BackwardArgs<Real>& args, Tape tape, Scratch scratch,
                                            StepCall before_step, ColumnTotals sum) const {
  run_backward(args, tape, scratch, [&](const BackwardPass& pass) {
    run_with_team(options_.device.threads(), share_count(spec_.neurons),
                  [&](Team& team) { pass.run_by_step(before_step, sum, team); });
  });
}

template class CpuPlan<float, float>;
template class CpuPlan<double, double>;
template class CpuPlan<float, Bfloat16>;

}  // namespace plasticity::cpu
