#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/throw_error.hpp"
#include "base/tree.hpp"
#include "plasticity/communicator.hpp"

namespace plasticity {

/// Returns part `rank` of `count` items in `ranks` parts of nearly equal size. Part number `ranks` begins at
/// `count`.
inline ItemRange equal_slice(std::int64_t count, int ranks, int rank) {
  const std::int64_t size = count / ranks, larger = count % ranks;
  const auto begin = [&](std::int64_t r) { return r * size + (r < larger ? r : larger); };
  if (rank == ranks) return {count, 0};
  return {begin(rank), begin(rank + 1) - begin(rank)};
}

/// Throws Error(invalid_argument) unless the time limit is positive.
inline void check_time_limit(const CommunicatorOptions& options) {
  if (options.time_limit <= std::chrono::milliseconds::zero())
    bad_argument("options.time_limit", "more than 0 ms", str_cat(options.time_limit.count(), " ms"));
}

/// Formats a time limit as "60 s" or "250 ms".
inline std::string to_string(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? str_cat(time.count() / 1000, " s") : str_cat(time.count(), " ms");
}

}  // namespace plasticity
