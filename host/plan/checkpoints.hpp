#pragma once

#include <algorithm>
#include <cmath>

#include "base/throw_error.hpp"
#include "plasticity/plan.hpp"

namespace plasticity {

/// K, between 1 and max(T, 1): what the options ask for, or the smallest whose tape, `bytes(K)`, fits their
/// budget, or ceil(sqrt(T)); but 1 for bfloat16 traces of a rule that clips, since a tape of every step knows
/// on which side of its clip an entry was. bytes() falls with K. Throws Error(invalid_argument) for a budget
/// below one checkpoint.
template <class Bytes>
std::int64_t choose_checkpoint_interval(Rule rule, const PlanOptions& options, Bytes bytes) {
  const std::int64_t longest = std::max<std::int64_t>(options.steps, 1);
  if (options.checkpoint_interval > 0) return std::min(options.checkpoint_interval, longest);
  if (options.memory_budget == 0) {
    const bool clips = rule == Rule::hard_clip || rule == Rule::soft_clip || rule == Rule::read_clip;
    if (options.precision == Precision::bf16 && clips) return 1;
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
