#include "cuda/group_shapes.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/str_cat.hpp"
#include "cuda/alternatives.hpp"
#include "rules/factors.hpp"

namespace plasticity::cuda {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

constexpr std::array thread_shapes = {ThreadShape::rows_8x4_half, ThreadShape::rows_8x4,
                                      ThreadShape::rows_16x4, ThreadShape::rows_32x1};

/// The shape of groups of blocks of `columns` columns and a given part of a thread. None if the kernels are
/// not compiled for it.
std::optional<GroupShape> shape_of(const Spec& spec, bool bf16, GroupKind kind, std::int64_t columns,
                                   ThreadShape thread) {
  if (bf16 && !takes_bf16(thread)) return std::nullopt;
  const std::int64_t N = spec.neurons, P = spec.presynaptic();
  const ThreadTraits traits = traits_of(thread);
  GroupShape shape;
  shape.kind = kind;
  shape.columns = static_cast<int>(columns);
  shape.blocks =
      static_cast<int>(kind == GroupKind::cta ? 1 : std::max<std::int64_t>(ceil_div(N, columns), 2));
  shape.thread = thread;
  const std::int64_t rows = ceil_div(P, traits.row_groups());
  if (rows > traits.max_rows) return std::nullopt;
  shape.rows = static_cast<int>(rows);
  const std::int64_t share =
      spec.is_recurrent() && kind != GroupKind::cta ? columns : ceil_div(P, shape.blocks);
  while ((std::int64_t{1} << shape.share_bits) < share) ++shape.share_bits;
  if (columns % shape.tile_columns() != 0 || (traits.columns == 1 && columns != shape.tile_columns()))
    return std::nullopt;
  if (shape.threads() > max_threads(thread, form_of(spec.rule), spec.has_eligibility(), bf16))
    return std::nullopt;
  return shape;
}

/// Whether the blocks of a group can do without a barrier: each block receives values from every other in
/// each exchange, so that none is more than one exchange ahead.
bool can_count(const GroupShape& shape, const NetworkTraits& network) {
  const std::int64_t before_last = shape.blocks - 1;
  return shape.kind != GroupKind::cta && before_last * shape.columns < network.N &&
         before_last * shape.share() < network.P;
}

/// Adds the shapes of one width that fit into shared memory.
void add_width(const Spec& spec, bool bf16, const DeviceLimits& limits, GroupKind kind, std::int64_t columns,
               std::vector<ResidentShape>& fitting) {
  const NetworkTraits network = network_traits(spec);
  const auto bytes = [](std::int64_t floats) { return floats * static_cast<std::int64_t>(sizeof(float)); };
  const Arrival wanted = chosen_arrival();
  for (const ThreadShape thread : thread_shapes) {
    std::optional<GroupShape> group = shape_of(spec, bf16, kind, columns, thread);
    if (!group) continue;
    if (can_count(*group, network)) group->arrival = wanted;
    for (const bool sums_alpha : {true, false}) {
      if (sums_alpha && spec.alpha != Granularity::connection) continue;
      group->sums_alpha = sums_alpha;
      const ResidentShape shape{.group = *group,
                                .forward_bytes = bytes(ForwardLayout(network, *group).floats),
                                .backward_bytes = bytes(BackwardLayout(network, *group).floats)};
      if (std::max(shape.forward_bytes, shape.backward_bytes) <= limits.shared_bytes)
        fitting.push_back(shape);
    }
  }
}

/// The widths that a block may have, from the widest to the narrowest: one block has all columns, several
/// have a power of two.
std::vector<std::int64_t> widths_of(GroupKind kind, std::int64_t N, std::int64_t max_blocks) {
  if (kind == GroupKind::cta) return {ceil_div(N, 32) * 32};
  std::vector<std::int64_t> columns;
  for (const std::int64_t width : {256, 128, 64, 32, 8})
    if ((width < N || width == 8) && ceil_div(N, width) <= max_blocks) columns.push_back(width);
  return columns;
}

}  // namespace

NetworkTraits network_traits(const Spec& spec) {
  return {.N = spec.neurons,
          .P = spec.presynaptic(),
          .rule = spec.rule,
          .has_retention = form_of(spec.rule) == Form::linear || form_of(spec.rule) == Form::read_clipped,
          .feedforward = spec.cell == Cell::feedforward,
          .lstm = spec.cell == Cell::lstm,
          .eligible = spec.has_eligibility(),
          .softmax = spec.activation == Activation::softmax,
          .modulated = spec.has_modulator(),
          .reads_cell = spec.has_modulator() && spec.modulator_source == ModulatorSource::cell};
}

std::vector<ResidentShape> shapes_that_fit(const Spec& spec, bool bf16, const DeviceLimits& limits,
                                           GroupKind kind, std::string& reason) {
  if (!spec.is_plastic()) {
    reason = "the cell has no traces to keep on chip";
    return {};
  }
  std::int64_t max_blocks = 1;
  if (kind == GroupKind::cluster) {
    max_blocks = limits.cluster_blocks;
    if (max_blocks < 2) reason = "the device has no room for clusters";
  } else if (kind == GroupKind::grid) {
    max_blocks = limits.cooperative ? limits.multiprocessors : 0;
    if (max_blocks < 2) reason = "the device has no room for cooperative launches";
  }
  if (!reason.empty()) return {};
  const std::vector<std::int64_t> widths = widths_of(kind, spec.neurons, max_blocks);
  if (widths.empty()) {
    reason = str_cat("more than ", max_blocks, " blocks of at most 256 columns");
    return {};
  }
  std::vector<ResidentShape> fitting;
  for (const std::int64_t columns : widths) add_width(spec, bf16, limits, kind, columns, fitting);
  if (fitting.empty()) {
    reason = str_cat("no kernel", bf16 ? " for a bfloat16 tape" : "", " has a block of ", widths.back(),
                     " columns and ", spec.presynaptic(), " rows in ", limits.shared_bytes,
                     " bytes of shared memory");
  }
  return fitting;
}

}  // namespace plasticity::cuda
