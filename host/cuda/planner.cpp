#include "cuda/planner.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/throw_error.hpp"

namespace plasticity::cuda {
namespace {

/// An LSTM adds the gates' part of a row once per tile of a block. A tile of 8 columns is a quarter of the
/// tile of other executions.
bool rounds_apart(const Spec& spec, const Candidate& candidate) {
  return candidate.resident() && spec.cell == Cell::lstm && candidate.shape.group.columns < 32;
}

/// The candidate at the cheapest of the intervals.
Candidate at_cheapest_interval(Execution execution, const ResidentShape& shape, const CostModel& model,
                               const std::vector<std::int64_t>& intervals) {
  Candidate best;
  for (const std::int64_t K : intervals) {
    Candidate candidate{.execution = execution, .shape = shape, .interval = K, .estimate = {}};
    candidate.estimate = estimate_of(model, candidate);
    if (K == intervals.front() || candidate.estimate.total() < best.estimate.total()) best = candidate;
  }
  return best;
}

/// Adds the cheapest shape of each width.
void add_resident(const Spec& spec, const DeviceLimits& limits, bool bf16, const CostModel& model,
                  const PlannerOptions& options, Execution execution, GroupKind kind,
                  std::vector<Candidate>& candidates, std::string& reason) {
  const std::size_t begin = candidates.size();
  for (const ResidentShape& shape : shapes_that_fit(spec, bf16, limits, kind, reason)) {
    if (options.shape && *options.shape != shape) continue;
    const Candidate candidate = at_cheapest_interval(execution, shape, model, options.intervals);
    Candidate* last = candidates.size() > begin ? &candidates.back() : nullptr;
    if (last == nullptr || last->shape.group.columns != shape.group.columns) {
      candidates.push_back(candidate);
    } else if (candidate.estimate.total() < last->estimate.total()) {
      *last = candidate;
    }
  }
}

/// Whether `automatic` may choose a candidate. A graph of few steps is not worth its capture, which a call
/// with other pointers repeats.
bool is_eligible(const Spec& spec, const Candidate& candidate, std::int64_t T) {
  constexpr std::int64_t min_graph_steps = 4;
  if (candidate.execution == Execution::graph) return T >= min_graph_steps;
  return !rounds_apart(spec, candidate);
}

/// The index of the cheapest candidate: of those that may be chosen, else of those that are wanted.
/// `only_steps`: not a resident one.
std::size_t cheapest(const Spec& spec, std::int64_t T, const std::vector<Candidate>& candidates,
                     Execution wanted, bool only_steps = false) {
  const auto rank = [&](const Candidate& candidate) {
    const bool excluded = (wanted != Execution::automatic && candidate.execution != wanted) ||
                          (only_steps && candidate.resident());
    return std::pair(excluded ? 2 : is_eligible(spec, candidate, T) ? 0 : 1, candidate.estimate.total());
  };
  const auto best = std::min_element(candidates.begin(), candidates.end(),
                                     [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return static_cast<std::size_t>(best - candidates.begin());
}

/// The choice at `sizes`, which also determine the estimates.
ExecutionChoice choose_at(const Spec& spec, Sizes sizes, const DeviceLimits& limits,
                          const PlannerOptions& options) {
  const CostModel model(spec, sizes, limits, options.constants);
  ExecutionChoice choice;
  for (const Execution execution : {Execution::step, Execution::graph})
    choice.candidates.push_back(at_cheapest_interval(execution, {}, model, options.intervals));
  constexpr std::array<std::pair<Execution, GroupKind>, 3> resident = {
      {{Execution::cta, GroupKind::cta},
       {Execution::cluster, GroupKind::cluster},
       {Execution::grid, GroupKind::grid}}};
  for (const auto& [execution, kind] : resident) {
    std::string reason;
    add_resident(spec, limits, sizes.bf16, model, options, execution, kind, choice.candidates, reason);
    const bool left_out = options.shape && reason.empty() && choice.candidates.back().execution != execution;
    if (left_out) reason = "another shape is wanted";
    if (reason.empty()) continue;
    if (options.wanted == execution) {
      throw_error(ErrorCode::unsupported, "options.execution", "one that fits spec and device",
                  str_cat(to_string(execution), " (", reason, ")"));
    }
    choice.reasons += str_cat(choice.reasons.empty() ? "" : "; ", to_string(execution), ": ", reason);
  }
  choice.index = cheapest(spec, sizes.T, choice.candidates, options.wanted);
  return choice;
}

std::int64_t groups_of(const ExecutionChoice& choice, const DeviceLimits& limits, std::int64_t B) {
  constexpr std::int64_t max_groups = 1 << 20;  // more elements are done in waves
  const std::int64_t limit =
      choice.execution() == Execution::grid ? limits.multiprocessors / choice.shape().blocks : max_groups;
  return std::clamp<std::int64_t>(B, 1, limit);
}

/// A time with three digits.
std::string digits(double time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", time);
  return text;
}

}  // namespace

Estimate estimate_of(const CostModel& model, const Candidate& candidate) {
  if (candidate.resident()) return model.of_resident(candidate.shape, candidate.interval);
  return model.of_steps(candidate.execution == Execution::graph, candidate.interval);
}

ExecutionChoice choose_execution(const Spec& spec, Sizes sizes, const DeviceLimits& limits,
                                 const PlannerOptions& options) {
  Sizes deciding = sizes;
  if (options.bits_differ) {
    deciding = nominal_sizes;
    deciding.bf16 = sizes.bf16;
  }
  ExecutionChoice choice = choose_at(spec, deciding, limits, options);
  if (options.bits_differ) {
    const CostModel model(spec, sizes, limits, options.constants);
    for (Candidate& candidate : choice.candidates) candidate.estimate = estimate_of(model, candidate);
    if (!choice.resident())
      choice.index = cheapest(spec, sizes.T, choice.candidates, options.wanted, /*only_steps=*/true);
  }
  if (choice.resident()) choice.groups = groups_of(choice, limits, sizes.B);
  return choice;
}

std::string describe_shape(const Candidate& candidate) {
  std::string text(to_string(candidate.execution));
  if (!candidate.resident()) return text;
  const GroupShape& shape = candidate.shape.group;
  return str_cat(text, ": ", shape.blocks, shape.blocks == 1 ? " block of " : " blocks of ", shape.columns,
                 " columns and ", shape.threads(), " threads",
                 shape.arrival == Arrival::counted ? ", arrivals counted" : "");
}

std::string describe(const ExecutionChoice& choice) {
  const Candidate& chosen = choice.chosen();
  std::string line = describe_shape(chosen);
  if (choice.resident()) {
    line += str_cat(" per element, ", choice.groups, " elements at once, shared memory ",
                    chosen.shape.forward_bytes, " bytes forward, ", chosen.shape.backward_bytes, " backward");
  }
  return choice.reasons.empty() ? line : str_cat(line, " (not ", choice.reasons, ")");
}

std::string describe(const Candidate& candidate, bool chosen) {
  return str_cat(describe_shape(candidate), ", K=", candidate.interval, ": estimated ",
                 digits(candidate.estimate.forward), " us per step forward, ",
                 digits(candidate.estimate.backward), " backward", chosen ? " (chosen)" : "");
}

std::vector<std::string> describe_candidates(const ExecutionChoice& choice) {
  std::vector<std::string> lines;
  for (std::size_t k = 0; k < choice.candidates.size(); ++k)
    lines.push_back(describe(choice.candidates[k], k == choice.index));
  return lines;
}

}  // namespace plasticity::cuda
