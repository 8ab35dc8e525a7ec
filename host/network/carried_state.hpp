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

/// What a network carries from call to call, on its device: the state, and the gradient that backward hands
/// from a window to the one before it.
class CarriedState {
 public:
  /// The state is zero. All work goes onto the stream.
  CarriedState(const Spec& spec, std::int64_t batch, Device device, Stream stream);

  /// The state on the device, with what the host set in it.
  State<float> values();

  /// To be called when a pass has written values(): the host's copy is out of date.
  void values_written();

  /// The gradient on the device; not cleared.
  State<float> gradients();

  void set_zero();

  /// The tensor of that name on the host, to read or to set until the next pass. Throws
  /// Error(invalid_argument) for a name that is none.
  std::span<float> on_host(std::string_view name);

 private:
  struct Tensor {
    std::string_view name;
    float* State<float>::*member;
    std::size_t bytes;
    DeviceMemory value, gradient{};
    std::vector<float> host{};   // a GPU's only: a copy of the value
    bool host_is_newer = false;  // it was handed out, and may have been set
  };
  Device device_;
  Stream stream_;
  std::vector<Tensor> tensors_;
};

}  // namespace plasticity
