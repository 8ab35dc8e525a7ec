#include "network/carried_state.hpp"

#include <algorithm>
#include <utility>

#include "base/arena.hpp"
#include "base/hash.hpp"
#include "base/throw_error.hpp"
#include "network/by_name.hpp"
#include "plan/staging.hpp"

namespace plasticity {

namespace {

template <class Real>
State<Real> take_state(const Spec& spec, std::int64_t batch, Arena& arena) {
  State<Real> pointers;
  for (const auto& [name, member] : State<Real>::members()) {
    if (const std::optional<Shape> shape = state_shape(spec, batch, name))
      pointers.*member = arena.take<Real>(shape->elements());
  }
  return pointers;
}

}  // namespace

template <class Real>
std::size_t state_bytes(const Spec& spec, std::int64_t batch) {
  Arena counter(nullptr);
  take_state<Real>(spec, batch, counter);
  return counter.bytes();
}

template <class Real>
State<Real> state_in(const Spec& spec, std::int64_t batch, void* block) {
  Arena arena(block);
  return take_state<Real>(spec, batch, arena);
}

template <class Real>
CarriedState<Real>::CarriedState(const Spec& spec, std::int64_t batch, Device device, Stream stream)
    : batch_(batch), device_(device), stream_(stream) {
  for (const auto& [name, member] : State<Real>::members()) {
    const std::optional<Shape> shape = state_shape(spec, batch, name);
    if (!shape) continue;
    const std::size_t bytes = static_cast<std::size_t>(shape->elements()) * sizeof(Real);
    tensors_.push_back({name, member, bytes, DeviceMemory(device, bytes)});
  }
  set_zero();
}

template <class Real>
State<Real> CarriedState<Real>::values() {
  State<Real> pointers;
  for (Tensor& tensor : tensors_) {
    pointers.*tensor.member = static_cast<Real*>(tensor.value.data());
    if (tensor.host_is_newer) copy(device_, stream_, tensor.value.data(), tensor.host.data(), tensor.bytes);
  }
  return pointers;
}

template <class Real>
void CarriedState<Real>::invalidate_host_copies() {
  for (Tensor& tensor : tensors_) tensor.host_is_newer = tensor.is_noted = false;
}

template <class Real>
State<Real> CarriedState<Real>::gradients() {
  State<Real> pointers;
  for (Tensor& tensor : tensors_) {
    make_room(tensor.gradient, device_, tensor.bytes);
    pointers.*tensor.member = static_cast<Real*>(tensor.gradient.data());
  }
  return pointers;
}

template <class Real>
void CarriedState<Real>::set_zero() {
  for (Tensor& tensor : tensors_) {
    fill_zero(device_, stream_, tensor.value.data(), tensor.bytes);
    tensor.is_noted = false;
    if (tensor.host_is_newer) std::fill(tensor.host.begin(), tensor.host.end(), Real(0));
  }
}

template <class Real>
std::span<Real> CarriedState<Real>::on_host(std::string_view name) {
  Tensor& tensor = by_name(tensors_, name);
  const std::size_t elements = tensor.bytes / sizeof(Real);
  if (device_.kind() == DeviceKind::cpu) return {static_cast<Real*>(tensor.value.data()), elements};
  if (!tensor.host_is_newer) {
    tensor.host.resize(elements);
    copy(device_, stream_, tensor.host.data(), tensor.value.data(), tensor.bytes);
    tensor.host_is_newer = true;
  }
  return tensor.host;
}

template <class Real>
void CarriedState<Real>::set(std::string_view name, std::vector<Real> values) {
  Tensor& tensor = by_name(tensors_, name);
  if (device_.kind() == DeviceKind::cpu) {
    std::copy(values.begin(), values.end(), static_cast<Real*>(tensor.value.data()));
  } else if (tensor.host_is_newer) {
    std::copy(values.begin(), values.end(), tensor.host.begin());  // the caller may have a view
  } else {
    tensor.host = std::move(values);
    tensor.host_is_newer = true;
  }
}

template <class Real>
std::span<const Real> CarriedState<Real>::host_view(const Tensor& tensor) const {
  if (device_.kind() == DeviceKind::cuda) return tensor.host;
  return {static_cast<const Real*>(tensor.value.data()), tensor.bytes / sizeof(Real)};
}

template <class Real>
void CarriedState<Real>::note(std::string_view name) {
  Tensor& tensor = by_name(tensors_, name);
  if (tensor.is_noted) return;
  tensor.is_noted = true;
  tensor.noted = checksum<Real>(host_view(tensor));
}

template <class Real>
bool CarriedState<Real>::is_unchanged() const {
  return std::all_of(tensors_.begin(), tensors_.end(), [&](const Tensor& tensor) {
    return !tensor.is_noted || checksum<Real>(host_view(tensor)) == tensor.noted;
  });
}

template <class Real>
std::vector<Real> CarriedState<Real>::host_copy(std::string_view name) const {
  const Tensor& tensor = by_name(tensors_, name);
  if (tensor.host_is_newer) return tensor.host;
  std::vector<Real> values(tensor.bytes / sizeof(Real));
  copy(device_, stream_, values.data(), tensor.value.data(), tensor.bytes);
  return values;
}

template <class Real>
void CarriedState<Real>::set_gradients_zero() {
  for (const Tensor& tensor : tensors_) fill_zero(device_, stream_, tensor.gradient.data(), tensor.bytes);
}

template <class Real>
void CarriedState<Real>::add_to_gradient(std::string_view name, std::span<const Real> upstream) {
  const Tensor& tensor = by_name(tensors_, name);
  std::vector<Real> sum(upstream.size());
  copy(device_, stream_, sum.data(), tensor.gradient.data(), tensor.bytes);
  for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += upstream[k];
  copy(device_, stream_, tensor.gradient.data(), sum.data(), tensor.bytes);
}

template <class Real>
void CarriedState<Real>::copy_gradient(std::string_view name, std::span<Real> to) const {
  copy(device_, stream_, to.data(), by_name(tensors_, name).gradient.data(), to.size_bytes());
}

template <class Real>
void CarriedState<Real>::set_gradient(std::string_view name, std::span<const Real> from) {
  copy(device_, stream_, by_name(tensors_, name).gradient.data(), from.data(), from.size_bytes());
}

#define PLASTICITY_INSTANTIATE(Real)                                     \
  template std::size_t state_bytes<Real>(const Spec&, std::int64_t);     \
  template State<Real> state_in<Real>(const Spec&, std::int64_t, void*); \
  template class CarriedState<Real>;
PLASTICITY_INSTANTIATE(float)
PLASTICITY_INSTANTIATE(double)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity
