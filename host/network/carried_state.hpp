#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "plasticity/arguments.hpp"
#include "plasticity/device_memory.hpp"

namespace plasticity {

inline State<const float> as_const(const State<float>& pointers) {
  return {pointers.y, pointers.c, pointers.hebb, pointers.eligibility};
}

/// The state that a network carries from call to call, and the gradient that backward passes from a window to
/// the one before it. Both are in device memory.
class CarriedState {
 public:
  /// Allocates the state and sets it to zero. All work is enqueued on `stream`.
  CarriedState(const Spec& spec, std::int64_t batch, Device device, Stream stream);

  /// Returns the state on the device, after uploading the host's changes.
  State<float> values();

  /// Marks the host copies as stale. Call it after a pass has written values().
  void values_written();

  /// Returns the gradient on the device, not initialised.
  State<float> gradients();

  void set_zero();

  /// Returns the tensor `name` in host memory, to read or to set until the next pass. Throws
  /// Error(invalid_argument) for an unknown name.
  std::span<float> on_host(std::string_view name);

 private:
  struct Tensor {
    std::string_view name;
    float* State<float>::*member;
    std::size_t bytes;
    DeviceMemory value, gradient{};
    std::vector<float> host{};   // copy of the value, used on a GPU only
    bool host_is_newer = false;  // on_host() returned the copy, so the caller may have changed it
  };
  Device device_;
  Stream stream_;
  std::vector<Tensor> tensors_;
};

}  // namespace plasticity
