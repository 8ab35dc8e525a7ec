#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/throw_error.hpp"
#include "plasticity/communicator.hpp"

namespace plasticity {

/// Throws Error(invalid_argument) unless the time limit is positive.
inline void check_time_limit(const CommunicatorOptions& options) {
  if (options.time_limit <= std::chrono::milliseconds::zero())
    bad_argument("options.time_limit", "more than 0 ms", str_cat(options.time_limit.count(), " ms"));
}

/// Formats a time limit as "60 s" or "250 ms".
inline std::string to_string(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? str_cat(time.count() / 1000, " s") : str_cat(time.count(), " ms");
}

/// Returns the error about ranks that have not sent `what`, for example "sum()", within the time limit. It
/// names at most eight. `missing` is not empty.
inline std::string late_message(const std::vector<int>& missing, const std::string& what,
                                std::chrono::milliseconds time_limit) {
  constexpr std::size_t max_names = 8;
  const bool one = missing.size() == 1;
  std::string ranks = str_cat(one ? "rank " : "ranks ", missing[0]);
  for (std::size_t k = 1; k < std::min(max_names, missing.size()); ++k)
    ranks += str_cat(k + 1 == missing.size() ? " and " : ", ", missing[k]);
  if (missing.size() > max_names) ranks += str_cat(" and ", missing.size() - max_names, " more");
  return str_cat(ranks, ": expected ", what, " within ", to_string(time_limit), ", got nothing (",
                 one ? "it" : "at least one", " has ended, or hangs)");
}

}  // namespace plasticity
