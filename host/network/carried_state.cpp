#include "network/carried_state.hpp"

#include <algorithm>

#include "network/by_name.hpp"
#include "plan/staging.hpp"

namespace plasticity {

CarriedState::CarriedState(const Spec& spec, std::int64_t batch, Device device, Stream stream)
    : device_(device), stream_(stream) {
  for (const auto& [name, member] : State<float>::members()) {
    const std::optional<Shape> shape = state_shape(spec, batch, name);
    if (!shape) continue;
    const std::size_t bytes = static_cast<std::size_t>(shape->elements()) * sizeof(float);
    tensors_.push_back({name, member, bytes, DeviceMemory(device, bytes)});
  }
  set_zero();
}

State<float> CarriedState::values() {
  State<float> pointers;
  for (Tensor& tensor : tensors_) {
    pointers.*tensor.member = static_cast<float*>(tensor.value.data());
    if (tensor.host_is_newer) copy(device_, stream_, tensor.value.data(), tensor.host.data(), tensor.bytes);
  }
  return pointers;
}

void CarriedState::values_written() {
  for (Tensor& tensor : tensors_) tensor.host_is_newer = false;
}

State<float> CarriedState::gradients() {
  State<float> pointers;
  for (Tensor& tensor : tensors_) {
    make_room(tensor.gradient, device_, tensor.bytes);
    pointers.*tensor.member = static_cast<float*>(tensor.gradient.data());
  }
  return pointers;
}

void CarriedState::set_zero() {
  for (Tensor& tensor : tensors_) {
    fill_zero(device_, stream_, tensor.value.data(), tensor.bytes);
    if (tensor.host_is_newer) std::fill(tensor.host.begin(), tensor.host.end(), 0.0f);
  }
}

std::span<float> CarriedState::on_host(std::string_view name) {
  Tensor& tensor = by_name(tensors_, name);
  const std::size_t elements = tensor.bytes / sizeof(float);
  if (device_.kind() == DeviceKind::cpu) return {static_cast<float*>(tensor.value.data()), elements};
  if (!tensor.host_is_newer) {
    tensor.host.resize(elements);
    copy(device_, stream_, tensor.host.data(), tensor.value.data(), tensor.bytes);
    tensor.host_is_newer = true;
  }
  return tensor.host;
}

}  // namespace plasticity
