#include "network/carried_state.hpp"

#include <algorithm>

#include "base/arena.hpp"
#include "base/throw_error.hpp"
#include "network/by_name.hpp"
#include "network/checksum.hpp"
#include "plan/staging.hpp"

namespace plasticity {

namespace {

State<float> take_state(const Spec& spec, std::int64_t batch, Arena& arena) {
  State<float> pointers;
  for (const auto& [name, member] : State<float>::members()) {
    if (const std::optional<Shape> shape = state_shape(spec, batch, name))
      pointers.*member = arena.take<float>(shape->elements());
  }
  return pointers;
}

}  // namespace

std::size_t state_bytes(const Spec& spec, std::int64_t batch) {
  Arena counter(nullptr);
  take_state(spec, batch, counter);
  return counter.bytes();
}

State<float> state_in(const Spec& spec, std::int64_t batch, void* block) {
  Arena arena(block);
  return take_state(spec, batch, arena);
}

CarriedState::CarriedState(const Spec& spec, std::int64_t batch, Device device, Stream stream)
    : batch_(batch), device_(device), stream_(stream) {
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
  for (Tensor& tensor : tensors_) tensor.host_is_newer = tensor.is_noted = false;
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
    tensor.is_noted = false;
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

std::span<const float> CarriedState::host_view(const Tensor& tensor) const {
  if (device_.kind() == DeviceKind::cuda) return tensor.host;
  return {static_cast<const float*>(tensor.value.data()), tensor.bytes / sizeof(float)};
}

void CarriedState::note(std::string_view name) {
  Tensor& tensor = by_name(tensors_, name);
  if (tensor.is_noted) return;
  tensor.is_noted = true;
  tensor.noted = checksum(host_view(tensor));
}

bool CarriedState::is_unchanged() const {
  return std::all_of(tensors_.begin(), tensors_.end(), [&](const Tensor& tensor) {
    return !tensor.is_noted || checksum(host_view(tensor)) == tensor.noted;
  });
}

std::vector<float> CarriedState::host_copy(std::string_view name) const {
  const Tensor& tensor = by_name(tensors_, name);
  if (tensor.host_is_newer) return tensor.host;
  std::vector<float> values(tensor.bytes / sizeof(float));
  copy(device_, stream_, values.data(), tensor.value.data(), tensor.bytes);
  return values;
}

void CarriedState::set_gradients_zero() {
  for (const Tensor& tensor : tensors_) fill_zero(device_, stream_, tensor.gradient.data(), tensor.bytes);
}

void CarriedState::add_to_gradient(std::string_view name, std::span<const float> upstream) {
  const Tensor& tensor = by_name(tensors_, name);
  std::vector<float> sum(upstream.size());
  copy(device_, stream_, sum.data(), tensor.gradient.data(), tensor.bytes);
  for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += upstream[k];
  copy(device_, stream_, tensor.gradient.data(), sum.data(), tensor.bytes);
}

void CarriedState::copy_gradient(std::string_view name, std::span<float> to) const {
  copy(device_, stream_, to.data(), by_name(tensors_, name).gradient.data(), to.size_bytes());
}

}  // namespace plasticity
