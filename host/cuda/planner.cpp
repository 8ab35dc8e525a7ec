#include "cuda/planner.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/throw_error.hpp"

namespace plasticity::cuda {
namespace {

/// The preferred maximum of connections per block and step: about half a microsecond of shared memory
/// traffic, in proportion to the cost of a barrier (calculated, not measured).
constexpr std::int64_t preferred_connections = 10240;

/// The preferred minimum of rows per thread.
constexpr int preferred_rows = 8;

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
  shape.warp_groups = static_cast<int>(std::clamp<std::int64_t>(ceil_div(P, preferred_rows * rows_at_once), 1,
                                                                std::max(resident_warps / shape.tiles, 1)));
  return shape;
}

/// The choice of a shape, with as much of w and alpha on chip as fits. None if the traces do not fit.
std::optional<ExecutionChoice> fit_shape(const Spec& spec, const DeviceLimits& limits, GroupShape shape) {
  const NetworkTraits network = network_traits(spec);
  const auto bytes = [](std::int64_t floats) { return floats * static_cast<std::int64_t>(sizeof(float)); };
  const bool matrix = spec.alpha == Granularity::connection;
  for (const int on_chip : {2, 1, 0}) {
    shape.w_on_chip = on_chip > 0;
    shape.alpha_on_chip = on_chip > 1 && matrix;
    if (on_chip == 2 && !matrix) continue;
    ExecutionChoice choice;
    choice.shape = shape;
    choice.forward_bytes = bytes(ForwardLayout(network, shape).floats);
    choice.backward_bytes = bytes(BackwardLayout(network, shape).floats);
    if (std::max(choice.forward_bytes, choice.backward_bytes) <= limits.shared_bytes) return choice;
  }
  return std::nullopt;
}

bool all_on_chip(const Spec& spec, const ExecutionChoice& choice) {
  return choice.shape.w_on_chip && (choice.shape.alpha_on_chip || spec.alpha != Granularity::connection);
}

/// The best of the offered group sizes, in the order offered: the first that fits all matrices on chip with
/// at most preferred_connections per block, else the last that fits. If none fits, `reason` says why.
template <class Sizes>
std::optional<ExecutionChoice> best_of(const Spec& spec, const DeviceLimits& limits, GroupKind kind,
                                       const Sizes& offered_columns, std::string& reason) {
  const std::int64_t N = spec.neurons, P = spec.presynaptic();
  std::optional<ExecutionChoice> best;
  std::int64_t narrowest = N;
  for (const std::int64_t columns : offered_columns) {
    narrowest = columns;
    if (columns > resident_threads) continue;
    const std::int64_t blocks = std::max<std::int64_t>(ceil_div(N, columns), kind == GroupKind::cta ? 1 : 2);
    const std::optional<ExecutionChoice> fits =
        fit_shape(spec, limits, shape_of(spec, kind, blocks, columns));
    if (!fits) continue;
    best = fits;
    if (all_on_chip(spec, *fits) && P * columns <= preferred_connections) break;
  }
  if (!best) {
    reason = narrowest > resident_threads
                 ? str_cat(narrowest, " columns per block, at most ", resident_threads)
                 : str_cat("a block of ", narrowest, " columns and ", P, " rows needs more than the ",
                           limits.shared_bytes, " bytes of shared memory");
  }
  return best;
}

std::optional<ExecutionChoice> one_block(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  return best_of(spec, limits, GroupKind::cta, std::initializer_list<std::int64_t>{spec.neurons}, reason);
}

std::optional<ExecutionChoice> cluster(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  if (limits.cluster_blocks < 2) {
    reason = "the device has no room for clusters";
    return std::nullopt;
  }
  std::vector<std::int64_t> columns;
  for (std::int64_t blocks = 2; blocks <= limits.cluster_blocks; blocks *= 2)
    columns.push_back(ceil_div(spec.neurons, blocks));
  std::vector<std::int64_t> portable = columns;
  if (portable.size() > 3) portable.resize(3);  // 2, 4, 8 blocks; more only if those do not fit
  if (const auto best = best_of(spec, limits, GroupKind::cluster, portable, reason)) return best;
  return best_of(spec, limits, GroupKind::cluster, columns, reason);
}

std::optional<ExecutionChoice> whole_grid(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  if (!limits.cooperative || limits.multiprocessors < 2) {
    reason = "the device has no room for cooperative launches";
    return std::nullopt;
  }
  // Widths that fill warps, from the widest to the narrowest that the multiprocessors permit.
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
  constexpr std::int64_t max_groups = 1 << 20;  // more elements are done in waves
  const std::int64_t limit =
      choice.execution == Execution::grid ? limits.multiprocessors / choice.shape.blocks : max_groups;
  return std::clamp<std::int64_t>(B, 1, limit);
}

}  // namespace

NetworkTraits network_traits(const Spec& spec) {
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
  constexpr std::int64_t min_graph_steps = 4;
  std::string reasons;
  const auto attempt = [&](Execution execution, auto shape, bool preferred) {
    std::optional<ExecutionChoice> choice;
    if (wanted != Execution::automatic && wanted != execution) return choice;
    std::string reason;
    choice = shape(spec, limits, reason);
    if (choice && !preferred && wanted == Execution::automatic) {
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
  const bool small = spec.neurons * spec.presynaptic() <= preferred_connections;
  if (const auto choice = attempt(Execution::cta, one_block, small)) return *choice;
  if (const auto choice = attempt(Execution::cluster, cluster, true)) return *choice;
  if (const auto choice = attempt(Execution::grid, whole_grid, true)) return *choice;
  if (!small) {  // one large block is better than no resident execution
    if (const auto choice = attempt(Execution::cta, one_block, true)) return *choice;
  }
  ExecutionChoice choice;
  choice.execution = wanted;
  if (wanted == Execution::automatic)
    choice.execution = sizes.T >= min_graph_steps ? Execution::graph : Execution::step;
  choice.reasons = reasons;
  return choice;
}

std::string describe(const ExecutionChoice& choice) {
  std::string line(to_string(choice.execution));
  if (choice.resident()) {
    const GroupShape& shape = choice.shape;
    line += str_cat(": ", shape.blocks, shape.blocks == 1 ? " block of " : " blocks of ", shape.columns,
                    " columns and ", shape.threads(), " threads per element, ", choice.groups,
                    " elements at once, w ", shape.w_on_chip ? "on chip" : "from L2", ", shared memory ",
                    choice.forward_bytes, " bytes forward, ", choice.backward_bytes, " backward");
  }
  return choice.reasons.empty() ? line : str_cat(line, " (not ", choice.reasons, ")");
}

}  // namespace plasticity::cuda
