#include <array>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "cpu/forward_element.hpp"
#include "cpu/gates.hpp"

namespace plasticity::cpu {

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
  if (header != nullptr) *header = TapeHeader(spec_, options_, interval_, GivenMasks::of(args.masks));
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
