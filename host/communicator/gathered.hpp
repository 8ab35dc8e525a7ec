#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "plasticity/communicator.hpp"

namespace plasticity {

/// Returns the values of all ranks, which have as many. A collective call.
template <class T>
std::vector<T> gathered(std::span<const T> own, Communicator& communicator) {
  const auto size = static_cast<std::size_t>(communicator.size());
  std::vector<T> all(size * own.size());
  std::vector<std::int64_t> first;
  for (std::size_t rank = 0; rank <= size; ++rank)
    first.push_back(static_cast<std::int64_t>(rank * own.size()));
  std::copy(own.begin(), own.end(),
            all.begin() + static_cast<std::ptrdiff_t>(own.size()) * communicator.rank());
  communicator.all_gather(std::span(all), std::span<const std::int64_t>(first));
  return all;
}

}  // namespace plasticity
