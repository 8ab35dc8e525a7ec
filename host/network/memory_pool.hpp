#pragma once

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "plasticity/device_memory.hpp"

namespace plasticity {

/// Blocks of device memory that are not in use at the moment.
class MemoryPool {
 public:
  /// Returns the smallest block of at least `bytes` bytes. If there is none, the largest block is replaced by
  /// a new one.
  DeviceMemory take(Device device, std::size_t bytes) {
    auto best = std::find_if(blocks_.begin(), blocks_.end(),
                             [&](const DeviceMemory& block) { return block.bytes() >= bytes; });
    if (best != blocks_.end()) {
      DeviceMemory block = std::move(*best);
      blocks_.erase(best);
      return block;
    }
    if (!blocks_.empty()) blocks_.pop_back();
    return DeviceMemory(device, bytes);
  }

  /// Adds the block to the pool. If the host has no memory for a longer list, the block is freed: calls give
  /// blocks back when they must not fail any more.
  void give(DeviceMemory block) noexcept {
    if (block.bytes() == 0) return;
    const auto place = std::find_if(blocks_.begin(), blocks_.end(), [&](const DeviceMemory& other) {
      return other.bytes() >= block.bytes();
    });
    try {
      blocks_.insert(place, std::move(block));
    } catch (const std::bad_alloc&) {
    }
  }

  void clear() { blocks_.clear(); }

 private:
  std::vector<DeviceMemory> blocks_;  // sorted by size
};

}  // namespace plasticity
