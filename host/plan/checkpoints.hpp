#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/throw_error.hpp"
#include "plasticity/plan.hpp"

namespace plasticity {

/// ceil(sqrt(T)), at least 1.
inline std::int64_t default_checkpoint_interval(std::int64_t steps) {
  return std::max<std::int64_t>(1,
                                static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(steps)))));
}

/// Returns the checkpoint interval K in [1, max(T, 1)]. Priority: (1) options.checkpoint_interval; (2) the
/// smallest K whose tape fits options.memory_budget; (3) 1 for bf16 with a rule whose gradients stop
/// at a clip, because a replay from a rounded trace could clip other entries; (4) ceil(sqrt(T)). `bytes(K)`
/// returns the tape size and must not increase with K. Throws Error(invalid_argument) if the budget is below
/// the size of one checkpoint.
template <class Bytes>
std::int64_t choose_checkpoint_interval(Rule rule, const PlanOptions& options, Bytes bytes) {
  const std::int64_t longest = std::max<std::int64_t>(options.steps, 1);
  if (options.checkpoint_interval > 0) return std::min(options.checkpoint_interval, longest);
  if (options.memory_budget == 0) {
    if (options.precision == Precision::bf16 && properties_of(rule).bounded) return 1;
    return default_checkpoint_interval(longest);
  }
  if (bytes(longest) > options.memory_budget) {
    bad_argument("options.memory_budget", str_cat("at least ", bytes(longest), " bytes (one checkpoint)"),
                 str_cat(options.memory_budget));
  }
  std::int64_t low = 1, high = longest;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (bytes(middle) <= options.memory_budget) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

/// Returns the intervals K from which a planner may choose the fastest, from the smallest. Only f32 without
/// an interval or a budget leaves a choice: 1 to ceil(sqrt(T)), if the tape takes at most `free_bytes` or is
/// not larger than that of ceil(sqrt(T)). Otherwise the one K of choose_checkpoint_interval().
template <class Bytes>
std::vector<std::int64_t> allowed_checkpoint_intervals(Rule rule, const PlanOptions& options, Bytes bytes,
                                                       std::size_t free_bytes) {
  const std::int64_t last = choose_checkpoint_interval(rule, options, bytes);
  if (options.checkpoint_interval > 0 || options.memory_budget > 0 || options.precision != Precision::f32)
    return {last};
  const std::size_t limit = std::max(free_bytes, bytes(last));
  std::vector<std::int64_t> intervals;
  for (std::int64_t K = 1; K <= last; ++K)
    if (bytes(K) <= limit) intervals.push_back(K);
  return intervals;
}

}  // namespace plasticity
