#pragma once

#include <cstdint>

#include "base/tree.hpp"

namespace plasticity {

/// Returns part `rank` of `count` items in `ranks` parts of nearly equal size. Part number `ranks` begins at
/// `count`.
inline ItemRange equal_slice(std::int64_t count, int ranks, int rank) {
  const std::int64_t size = count / ranks, larger = count % ranks;
  const auto begin = [&](std::int64_t r) { return r * size + (r < larger ? r : larger); };
  if (rank == ranks) return {count, 0};
  return {begin(rank), begin(rank + 1) - begin(rank)};
}

}  // namespace plasticity
