#include "cuda/planner.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/throw_error.hpp"
#include "rules/columns.hpp"

namespace plasticity::cuda {
namespace {

/// The preferred maximum of connections per block and step: about half a microsecond of shared memory
/// traffic, in proportion to the cost of a barrier (calculated, not measured).
constexpr std::int64_t preferred_connections = 16384;

constexpr std::int64_t preferred_connections_of_cta = 10240;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// The parts of a thread, in the order of preference.
constexpr std::array<ThreadShape, 5> thread_shapes = {ThreadShape::rows_8x4_half, ThreadShape::rows_8x4,
                                                      ThreadShape::rows_16x4, ThreadShape::rows_32x1,
                                                      ThreadShape::any_rows};

/// The shape of groups of blocks of `columns` columns and a given part of a thread. None if the kernels are
/// not compiled for it.
std::optional<GroupShape> shape_of(const Spec& spec, GroupKind kind, std::int64_t columns,
                                   ThreadShape thread) {
  const std::int64_t N = spec.neurons, P = spec.presynaptic();
  const ThreadTraits traits = traits_of(thread);
  GroupShape shape;
  shape.kind = kind;
  shape.columns = static_cast<int>(columns);
  shape.blocks =
      static_cast<int>(kind == GroupKind::cta ? 1 : std::max<std::int64_t>(ceil_div(N, columns), 2));
  shape.thread = thread;
  const std::int64_t rows = ceil_div(P, traits.row_groups());
  if (traits.in_registers ? rows > traits.max_rows : rows > 1 << 16) return std::nullopt;
  shape.rows = static_cast<int>(rows);
  const std::int64_t share =
      spec.is_recurrent() && kind != GroupKind::cta ? columns : ceil_div(P, shape.blocks);
  while ((std::int64_t{1} << shape.share_bits) < share) ++shape.share_bits;
  if (columns % shape.tile_columns() != 0 || (traits.columns == 1 && columns != shape.tile_columns()))
    return std::nullopt;
  if (shape.threads() > max_threads(thread, form_of(spec.rule), spec.has_eligibility())) return std::nullopt;
  return shape;
}

/// The tensors that groups of blocks may keep on chip, in the order of preference.
struct OnChip {
  bool traces_in_registers;  // else in shared memory
  bool alpha_gradient;       // else a replay adds it up
};
constexpr std::array<OnChip, 3> on_chip_choices = {{{true, true}, {true, false}, {false, false}}};

/// The choice of groups of blocks of `columns` columns. None if they do not fit.
std::optional<ExecutionChoice> fit_columns(const Spec& spec, const DeviceLimits& limits, GroupKind kind,
                                           std::int64_t columns, OnChip on_chip) {
  const NetworkTraits network = network_traits(spec);
  const auto bytes = [](std::int64_t floats) { return floats * static_cast<std::int64_t>(sizeof(float)); };
  for (const ThreadShape thread : thread_shapes) {
    std::optional<GroupShape> shape = shape_of(spec, kind, columns, thread);
    if (!shape || shape->traits().in_registers != on_chip.traces_in_registers) continue;
    shape->sums_alpha = on_chip.alpha_gradient;
    ExecutionChoice choice;
    choice.shape = choice.backward = *shape;
    choice.forward_bytes = bytes(ForwardLayout(network, *shape).floats);
    choice.backward_bytes = bytes(BackwardLayout(network, *shape).floats);
    if (std::max(choice.forward_bytes, choice.backward_bytes) <= limits.shared_bytes) return choice;
  }
  return std::nullopt;
}

/// The best of the offered widths of a block, in the order offered: the first with at most
/// preferred_connections per block, else the last that fits. The tensors on chip come before the width. If
/// none fits, `reason` gets the reason.
std::optional<ExecutionChoice> best_of(const Spec& spec, const DeviceLimits& limits, GroupKind kind,
                                       const std::vector<std::int64_t>& offered, std::string& reason) {
  for (const OnChip on_chip : on_chip_choices) {
    if (on_chip.alpha_gradient && spec.alpha != Granularity::connection) continue;
    std::optional<ExecutionChoice> best;
    for (const std::int64_t columns : offered) {
      const std::optional<ExecutionChoice> fits = fit_columns(spec, limits, kind, columns, on_chip);
      if (!fits) continue;
      best = fits;
      if (spec.presynaptic() * columns <= preferred_connections) break;
    }
    if (best) return best;
  }
  reason = str_cat("a block of ", offered.back(), " columns and ", spec.presynaptic(),
                   " rows has too many threads, or needs more than the ", limits.shared_bytes,
                   " bytes of shared memory");
  return std::nullopt;
}

/// The widths that several blocks may have: powers of two, from the widest to the narrowest.
std::vector<std::int64_t> widths_of_blocks(std::int64_t N, std::int64_t max_blocks) {
  std::vector<std::int64_t> columns;
  for (const std::int64_t width : {256, 128, 64, 32, 8})
    if ((width < N || width == 8) && ceil_div(N, width) <= max_blocks) columns.push_back(width);
  return columns;
}

std::optional<ExecutionChoice> one_block(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  const std::vector<std::int64_t> offered{ceil_div(spec.neurons, 32) * 32};
  return best_of(spec, limits, GroupKind::cta, offered, reason);
}

/// The best choice of several blocks, at most `max_blocks`.
std::optional<ExecutionChoice> several_blocks(const Spec& spec, const DeviceLimits& limits, GroupKind kind,
                                              std::int64_t max_blocks, std::string& reason) {
  const std::vector<std::int64_t> offered = widths_of_blocks(spec.neurons, max_blocks);
  if (!offered.empty()) return best_of(spec, limits, kind, offered, reason);
  reason = str_cat("more than ", max_blocks, " blocks of at most 256 columns");
  return std::nullopt;
}

std::optional<ExecutionChoice> cluster(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  constexpr std::int64_t portable = 8;  // more only if those do not fit
  if (limits.cluster_blocks < 2) {
    reason = "the device has no room for clusters";
    return std::nullopt;
  }
  const std::int64_t most = limits.cluster_blocks;
  const auto few = several_blocks(spec, limits, GroupKind::cluster, std::min(portable, most), reason);
  if (few && few->shape.traits().in_registers) return few;
  const auto many = several_blocks(spec, limits, GroupKind::cluster, most, reason);
  return many && (!few || many->shape.traits().in_registers) ? many : few;
}

std::optional<ExecutionChoice> whole_grid(const Spec& spec, const DeviceLimits& limits, std::string& reason) {
  if (!limits.cooperative || limits.multiprocessors < 2) {
    reason = "the device has no room for cooperative launches";
    return std::nullopt;
  }
  return several_blocks(spec, limits, GroupKind::grid, limits.multiprocessors, reason);
}

std::int64_t groups_of(const ExecutionChoice& choice, const DeviceLimits& limits, std::int64_t B) {
  constexpr std::int64_t max_groups = 1 << 20;  // more elements are done in waves
  const std::int64_t limit =
      choice.execution == Execution::grid ? limits.multiprocessors / choice.shape.blocks : max_groups;
  return std::clamp<std::int64_t>(B, 1, limit);
}

}  // namespace

GroupShape on_bf16_tape(const Spec& spec, const GroupShape& shape) {
  GroupShape result = shape;
  if (shape.thread == ThreadShape::rows_32x1) return result;
  result.thread = ThreadShape::any_rows;
  result.sums_alpha = false;
  result.rows = static_cast<int>(ceil_div(spec.presynaptic(), result.traits().row_groups()));
  return result;
}

NetworkTraits network_traits(const Spec& spec) {
  return {.N = spec.neurons,
          .P = spec.presynaptic(),
          .rule = spec.rule,
          .kept = form_of(spec.rule) == Form::linear || form_of(spec.rule) == Form::read_clipped,
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
  const bool small = spec.neurons * spec.presynaptic() <= preferred_connections_of_cta;
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
                    " elements at once, traces in ",
                    shape.traits().in_registers ? "registers" : "shared memory", ", shared memory ",
                    choice.forward_bytes, " bytes forward, ", choice.backward_bytes, " backward");
  }
  return choice.reasons.empty() ? line : str_cat(line, " (not ", choice.reasons, ")");
}

}  // namespace plasticity::cuda
