#include "cuda/planner.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/throw_error.hpp"

namespace plasticity::cuda {
namespace {

/// Connections that a block goes over in a step, when there is a choice: some half a microsecond of shared
/// memory traffic, so that what a barrier costs is in proportion (calculated, not measured).
constexpr std::int64_t wanted_connections = 10240;

/// Rows that a thread has at least, where there are as many.
constexpr int wanted_rows = 8;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

GroupShape shape_of(const Spec& spec, GroupKind kind, std::int64_t blocks, std::int64_t columns) {
  const std::int64_t P = spec.presynaptic();
  GroupShape shape;
  shape.kind = kind;
  shape.blocks = static_cast<int>(blocks);
  shape.columns = static_cast<int>(columns);
  shape.rows = static_cast<int>(spec.is_recurrent() ? columns : ceil_div(P, blocks));
  shape.lanes = 2;
  while (shape.lanes < 32 && shape.lanes < columns) shape.lanes *= 2;
  shape.tiles = static_cast<int>(ceil_div(columns, shape.lanes));
  const std::int64_t rows_at_once = 32 / shape.lanes;
  shape.warp_groups = static_cast<int>(std::clamp<std::int64_t>(ceil_div(P, wanted_rows * rows_at_once), 1,
                                                                std::max(resident_warps / shape.tiles, 1)));
  return shape;
}

/// A shape and what it needs, with as much of w and alpha on chip as fits.
std::optional<ExecutionChoice> fitted(const Spec& spec, const DeviceLimits& limits, GroupShape shape) {
  const Contents contents = contents_of(spec);
  const auto bytes = [](std::int64_t floats) { return floats * static_cast<std::int64_t>(sizeof(float)); };
  const bool matrix = spec.alpha == Granularity::connection;
  for (const int on_chip : {2, 1, 0}) {
    shape.w_on_chip = on_chip > 0;
    shape.alpha_on_chip = on_chip > 1 && matrix;
    if (on_chip == 2 && !matrix) continue;
    ExecutionChoice choice;
    choice.shape = shape;
    choice.forward_bytes = bytes(ForwardPlaces(contents, shape).floats);
    choice.backward_bytes = bytes(BackwardPlaces(contents, shape).floats);
    if (std::max(choice.forward_bytes, choice.backward_bytes) <= limits.shared_bytes) return choice;
  }
  return std::nullopt;
}

bool all_on_chip(const Spec& spec, const ExecutionChoice& choice) {
  return choice.shape.w_on_chip && (choice.shape.alpha_on_chip || spec.alpha != Granularity::connection);
}

/// The best of the group sizes on offer: the smallest that leaves a block little enough to do, all of it on
/// chip; else the largest that fits. `reason` says why there is none.
template <class SizesOnOffer>
std::optional<ExecutionChoice> best_of(const Spec& spec, const DeviceLimits& limits, GroupKind kind,
                                       const SizesOnOffer& columns_on_offer, std::string& reason) {
  const std::int64_t N = spec.neurons, P = spec.presynaptic();
  std::optional<ExecutionChoice> best;
  std::int64_t narrowest = N;
  for (const std::int64_t columns : columns_on_offer) {
    narrowest = columns;
    if (columns > resident_threads) continue;
    const std::int64_t blocks = std::max<std::int64_t>(ceil_div(N, columns), kind == GroupKind::cta ? 1 : 2);
    const std::optional<ExecutionChoice> fits = fitted(spec, limits, shape_of(spec, kind, blocks, columns));
    if (!fits) continue;
    best = fits;
    if (all_on_chip(spec, *fits) && P * columns <= wanted_connections) break;
  }
  if (!best) {
    reason = narrowest > resident_threads
                 ? str_cat(narrowest, " columns a block, of which it can have ", resident_threads)
                 : str_cat("a block of ", narrowest, " columns and ", P, " rows needs more than the ",
                           limits.shared_bytes, " bytes of shared memory that there are");
  }
  return best;
}

std::optional<ExecutionChoice> one_block(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  return best_of(spec, limits, GroupKind::cta, std::initializer_list<std::int64_t>{spec.neurons}, reason);
}

std::optional<ExecutionChoice> cluster(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  if (limits.cluster_blocks < 2) {
    reason = "this device has no room for clusters";
    return std::nullopt;
  }
  std::vector<std::int64_t> columns;
  for (std::int64_t blocks = 2; blocks <= limits.cluster_blocks; blocks *= 2)
    columns.push_back(ceil_div(spec.neurons, blocks));
  std::vector<std::int64_t> portable = columns;
  if (portable.size() > 3) portable.resize(3);  // 2, 4, 8: more blocks than that where nothing else fits
  if (const auto best = best_of(spec, limits, GroupKind::cluster, portable, reason)) return best;
  return best_of(spec, limits, GroupKind::cluster, columns, reason);
}

std::optional<ExecutionChoice> whole_grid(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  if (!limits.cooperative || limits.multiprocessors < 2) {
    reason = "this device has no room for cooperative launches";
    return std::nullopt;
  }
  // Widths that fill warps, from the widest on, as narrow as the multiprocessors allow.
  const std::int64_t N = spec.neurons, narrowest = ceil_div(N, std::max(limits.multiprocessors, 2));
  std::vector<std::int64_t> columns;
  for (std::int64_t width = resident_threads; width > 32; width -= 32)
    if (width < N && width >= narrowest) columns.push_back(width);
  for (std::int64_t width = 32; width >= 2; width /= 2)
    if (width < N && width >= narrowest) columns.push_back(width);
  if (columns.empty()) columns.push_back(std::max(narrowest, ceil_div(N, 2)));
  return best_of(spec, limits, GroupKind::grid, columns, reason);
}

std::int64_t groups_of(const ExecutionChoice& choice, const DeviceLimits& limits, std::int64_t B) {
  constexpr std::int64_t most = 1 << 20;  // of a launch without a limit of its own; the rest comes in waves
  const std::int64_t room =
      choice.execution == Execution::grid ? limits.multiprocessors / choice.shape.blocks : most;
  return std::clamp<std::int64_t>(B, 1, room);
}

}  // namespace

Contents contents_of(const Spec& spec) {
  return {.N = spec.neurons,
          .P = spec.presynaptic(),
          .feedforward = spec.cell == Cell::feedforward,
          .lstm = spec.cell == Cell::lstm,
          .eligible = spec.has_eligibility(),
          .softmax = spec.activation == Activation::softmax,
          .modulated = spec.has_modulator(),
          .reads_cell = spec.has_modulator() && spec.modulator_source == ModulatorSource::cell};
}

ExecutionChoice choose_execution(const Spec& spec, Sizes sizes, const DeviceLimits& limits,
                                 Execution wanted) {
  constexpr std::int64_t steps_for_a_graph = 4;
  std::string reasons;
  const auto attempt = [&](Execution execution, auto shape, bool acceptable) {
    std::optional<ExecutionChoice> choice;
    if (wanted != Execution::automatic && wanted != execution) return choice;
    std::string reason;
    choice = shape(spec, limits, reason);
    if (choice && !acceptable && wanted == Execution::automatic) {
      reason = str_cat("a block would have ", spec.neurons * spec.presynaptic(), " connections");
      choice.reset();
    }
    if (!choice) {
      if (wanted == execution) {
        throw_error(ErrorCode::unsupported, "options.execution", "one that fits spec and device",
                    str_cat(to_string(execution), " (", reason, ")"));
      }
      reasons += str_cat(reasons.empty() ? "" : "; ", to_string(execution), ": ", reason);
      return choice;
    }
    choice->execution = execution;
    choice->groups = groups_of(*choice, limits, sizes.B);
    choice->reasons = reasons;
    return choice;
  };
  const bool small = spec.neurons * spec.presynaptic() <= wanted_connections;
  if (const auto choice = attempt(Execution::cta, one_block, small)) return *choice;
  if (const auto choice = attempt(Execution::cluster, cluster, true)) return *choice;
  if (const auto choice = attempt(Execution::grid, whole_grid, true)) return *choice;
  if (!small) {  // one block after all, rather than none
    if (const auto choice = attempt(Execution::cta, one_block, true)) return *choice;
  }
  ExecutionChoice choice;
  choice.execution = wanted;
  if (wanted == Execution::automatic)
    choice.execution = sizes.T >= steps_for_a_graph ? Execution::graph : Execution::step;
  choice.reasons = reasons;
  return choice;
}

std::string describe(const ExecutionChoice& choice) {
  std::string line(to_string(choice.execution));
  if (choice.resident()) {
    const GroupShape& shape = choice.shape;
    line += str_cat(": ", shape.blocks, shape.blocks == 1 ? " block of " : " blocks of ", shape.columns,
                    " columns and ", shape.threads(), " threads an element, ", choice.groups,
                    " elements at once, w ", shape.w_on_chip ? "on chip" : "from L2", ", shared memory ",
                    choice.forward_bytes, " bytes forward, ", choice.backward_bytes, " backward");
  }
  return choice.reasons.empty() ? line : str_cat(line, " (not ", choice.reasons, ")");
}

}  // namespace plasticity::cuda
