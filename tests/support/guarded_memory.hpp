#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "plasticity/device_memory.hpp"

namespace plasticity::testing {

/// Memory of a device between two canaries. Its bytes are 0xff at first, a NaN in every precision. `offset`
/// moves it off its alignment of 64 bytes.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t bytes, Device device = Device::cpu(1), std::size_t offset = 0)
      : device_(device), memory_(device, bytes + offset + 2 * guard), bytes_(bytes), offset_(offset) {
    const std::vector<unsigned char> pattern(memory_.bytes(), 0xff);
    copy(device_, {}, memory_.data(), pattern.data(), pattern.size());
  }
  void* data() const { return static_cast<std::byte*>(memory_.data()) + guard + offset_; }
  /// Returns the memory as a Tape, a Scratch or a StepState.
  template <class Kind>
  Kind as() const {
    return Kind{{data(), bytes_}};
  }
  /// Returns whether the canaries are unchanged.
  bool intact() const {
    std::vector<unsigned char> bytes(memory_.bytes());
    copy(device_, {}, bytes.data(), memory_.data(), bytes.size());
    const auto untouched = [](unsigned char byte) { return byte == 0xff; };
    const auto inside = bytes.begin() + static_cast<std::ptrdiff_t>(guard + offset_);
    return std::all_of(bytes.begin(), inside, untouched) &&
           std::all_of(inside + static_cast<std::ptrdiff_t>(bytes_), bytes.end(), untouched);
  }

 private:
  static constexpr std::size_t guard = 64;  // bytes

  Device device_;
  DeviceMemory memory_;
  std::size_t bytes_, offset_;
};

}  // namespace plasticity::testing
