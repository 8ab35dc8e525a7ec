#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "plan/staging.hpp"
#include "plasticity/device_memory.hpp"

namespace plasticity {

/// An output of a trainer's step: its memory on the device and, on a GPU, a host copy that is made when first
/// read.
class StepOutput {
 public:
  /// Provides memory for an output of `elements` numbers, and removes the last one.
  void allocate(Device device, std::size_t elements) {
    remove();
    make_room(memory_, device, elements * sizeof(float));
    elements_ = elements;
  }
  /// Call it before a step writes the memory.
  void set_written() { is_written_ = true; }
  void remove() { is_written_ = is_on_host_ = false; }

  float* data() const { return static_cast<float*>(memory_.data()); }
  const DeviceMemory& memory() const { return memory_; }

  /// Returns the output in host memory, empty if no step has written it since allocate() or remove().
  std::span<const float> on_host(Device device, Stream stream) {
    if (!is_written_) return {};
    if (device.kind() == DeviceKind::cpu) return {data(), elements_};
    if (!is_on_host_) {
      host_.resize(elements_);
      copy(device, stream, host_.data(), data(), elements_ * sizeof(float));
      is_on_host_ = true;
    }
    return host_;
  }

 private:
  DeviceMemory memory_{};
  std::size_t elements_ = 0;
  std::vector<float> host_{};
  bool is_written_ = false, is_on_host_ = false;
};

}  // namespace plasticity
