#pragma once

#include <algorithm>
#include <cmath>

#include "base/throw_error.hpp"
#include "plasticity/plan.hpp"

namespace plasticity {

/// Returns the checkpoint interval K in [1, max(T, 1)]. Priority: (1) options.checkpoint_interval; (2) the
/// smallest K whose tape fits options.memory_budget; (3) 1 for bf16 with a clipping rule, because a tape of
/// every step records which entries were clipped; (4) ceil(sqrt(T)). `bytes(K)` returns the tape size and
/// must not increase with K. Throws Error(invalid_argument) if the budget is below the size of one
/// checkpoint.
template <class Bytes>
std::int64_t choose_checkpoint_interval(Rule rule, const PlanOptions& options, Bytes bytes) {
  const std::int64_t longest = std::max<std::int64_t>(options.steps, 1);
  if (options.checkpoint_interval > 0) return std::min(options.checkpoint_interval, longest);
  if (options.memory_budget == 0) {
    if (options.precision == Precision::bf16 && properties_of(rule).bounded) return 1;
    return std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(longest)))));
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

}  // namespace plasticity
