#include "network/parameters.hpp"

#include <algorithm>
#include <cmath>

#include "base/hash.hpp"
#include "base/random.hpp"
#include "base/throw_error.hpp"
#include "io/file_keys.hpp"
#include "io/safetensors_header.hpp"
#include "network/by_name.hpp"
#include "plan/staging.hpp"

namespace plasticity {
namespace {

template <class Real>
void initialise(std::string_view name, std::span<Real> values, const Spec& spec, Random random) {
  const auto bound = [](std::int64_t size) {
    return 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(size, 1)));
  };
  const auto uniform = [&](double limit) {
    for (Real& value : values) value = static_cast<Real>(random.uniform(-limit, limit));
  };
  const auto normal = [&](double deviation) {
    for (Real& value : values) value = static_cast<Real>(deviation * random.normal());
  };
  const bool dense = name == "w" || name == "w_gates" || name == "w_in" || name == "b";
  if ((spec.cell == Cell::lstm && dense) || name.starts_with("modulator")) {
    uniform(bound(spec.neurons));
  } else if (name == "w" || name == "alpha") {
    normal(.01);
  } else if (name == "eta") {
    values[0] = Real(.01);
  } else if (name.starts_with("fan_out")) {
    uniform(1);
  } else {
    uniform(bound(spec.inputs));
  }
}

std::vector<std::int64_t> dimensions(const Shape& shape) {
  return {shape.size.begin(), shape.size.begin() + shape.rank};
}

constexpr std::size_t alignment = 16;  // of a parameter's offset, in numbers

/// Returns the seed of a network's initial values. Without a name it is `seed`.
std::uint64_t named_seed(std::uint64_t seed, std::string_view name) {
  if (name.empty()) return seed;
  Hash hash;
  hash.add(name);
  return seed ^ hash.value();
}

}  // namespace

template <class Real>
NetworkParameters<Real>::NetworkParameters(const Spec& spec, const std::string& name, std::uint64_t seed,
                                           Device device, Stream stream)
    : device_(device), stream_(stream), prefix_(name.empty() ? "" : name + ".") {
  constexpr auto fields = Parameters<Real>::members();
  constexpr auto const_fields = Parameters<const Real>::members();
  std::size_t numbers = 0;
  for (std::size_t k = 0; k < fields.size(); ++k) {
    const std::optional<Shape> shape = parameter_shape(spec, fields[k].name);
    if (!shape) continue;
    parameters_.push_back({fields[k].name, prefix_ + std::string(fields[k].name), *shape,
                           const_fields[k].pointer, fields[k].pointer, numbers});
    numbers += (parameters_.back().size() + alignment - 1) / alignment * alignment;
  }
  values_ = DeviceMemory(device, numbers * sizeof(Real));
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    Parameter& parameter = parameters_[k];
    std::span<Real> values{value_at(parameter), parameter.size()};
    if (!on_cpu()) {
      parameter.value.data.resize(parameter.size());
      parameter.value.is_newer = true;
      values = parameter.value.data;
    }
    initialise(parameter.name, values, spec, Random(named_seed(seed, name), k));
  }
}

template <class Real>
std::shared_ptr<NetworkParameters<Real>> NetworkParameters<Real>::copy_values() const {
  return std::shared_ptr<NetworkParameters>(new NetworkParameters(*this));
}

template <class Real>
NetworkParameters<Real>::NetworkParameters(const NetworkParameters& other)
    : device_(other.device_),
      stream_(other.stream_),
      prefix_(other.prefix_),
      parameters_(other.parameters_),
      values_(device_, other.values_.bytes()) {
  copy(device_, stream_, values_.data(), other.values_.data(), values_.bytes());
  for (Parameter& parameter : parameters_) {
    HostCopy& value = parameter.value;
    value.is_newer = value.is_newer || value.handed_out;
    value.handed_out = false;
    parameter.gradient = {};
  }
}

template <class Real>
std::uint64_t NetworkParameters<Real>::checksum() const {
  std::uint64_t sum = 0;
  for (const Parameter& parameter : parameters_) {
    const std::span<const Real> values =
        on_cpu() ? std::span<const Real>(value_at(parameter), parameter.size()) : parameter.value.data;
    sum = sum * 31 + plasticity::checksum<Real>(values);
  }
  return sum;
}

template <class Real>
std::vector<Real> NetworkParameters<Real>::host_value(std::string_view name) const {
  for (const Parameter& parameter : parameters_) {
    if (parameter.name != name) continue;
    if (parameter.value.handed_out || parameter.value.is_newer) return parameter.value.data;
    std::vector<Real> values;
    download(values, value_at(parameter), parameter.size());
    return values;
  }
  return {};
}

template <class Real>
void NetworkParameters<Real>::add_to_gradient(std::string_view name, std::span<const Real> gradient,
                                              std::span<Real> buffer) {
  const Parameter& parameter = find(name);
  if (!parameter.trainable) return;
  copy(device_, stream_, buffer.data(), gradient_at(parameter), buffer.size_bytes());
  for (std::size_t k = 0; k < buffer.size(); ++k) buffer[k] += gradient[k];
  copy(device_, stream_, gradient_at(parameter), buffer.data(), buffer.size_bytes());
}

template <class Real>
Real* NetworkParameters<Real>::value_at(const Parameter& parameter) const {
  return static_cast<Real*>(values_.data()) + parameter.offset;
}
template <class Real>
Real* NetworkParameters<Real>::gradient_at(const Parameter& parameter) const {
  return gradients_.bytes() == 0 ? nullptr : static_cast<Real*>(gradients_.data()) + parameter.offset;
}

template <class Real>
void NetworkParameters<Real>::make_gradients() {
  if (gradients_.bytes() > 0) return;
  gradients_ = DeviceMemory(device_, values_.bytes());
  fill_zero(device_, stream_, gradients_.data(), gradients_.bytes());
}

template <class Real>
void NetworkParameters<Real>::upload(HostCopy& host, Real* on_device) {
  if (!host.handed_out && !host.is_newer) return;
  copy(device_, stream_, on_device, host.data.data(), host.data.size() * sizeof(Real));
  host.is_newer = false;
}

template <class Real>
void NetworkParameters<Real>::download(std::vector<Real>& host, const Real* on_device,
                                       std::size_t size) const {
  host.resize(size);
  copy(device_, stream_, host.data(), on_device, size * sizeof(Real));
}

template <class Real>
std::span<Real> NetworkParameters<Real>::hand_out(HostCopy& host, Real* on_device, std::size_t size) {
  if (on_cpu()) return {on_device, size};
  if (!host.handed_out && !host.is_newer) download(host.data, on_device, size);
  host.handed_out = true;
  return host.data;
}

template <class Real>
Parameters<const Real> NetworkParameters<Real>::values() {
  Parameters<const Real> pointers;
  for (Parameter& parameter : parameters_) {
    upload(parameter.value, value_at(parameter));
    pointers.*parameter.value_member = value_at(parameter);
  }
  return pointers;
}

template <class Real>
Parameters<Real> NetworkParameters<Real>::gradients() {
  make_gradients();
  Parameters<Real> pointers;
  for (Parameter& parameter : parameters_) {
    if (!parameter.trainable) continue;
    upload(parameter.gradient, gradient_at(parameter));
    pointers.*parameter.gradient_member = gradient_at(parameter);
  }
  return pointers;
}

template <class Real>
void NetworkParameters<Real>::download_gradients() {
  for (Parameter& parameter : parameters_) {
    if (parameter.trainable && parameter.gradient.handed_out)
      download(parameter.gradient.data, gradient_at(parameter), parameter.size());
  }
}

template <class Real>
void NetworkParameters<Real>::zero_gradients() {
  fill_zero(device_, stream_, gradients_.data(), gradients_.bytes());
  for (Parameter& parameter : parameters_) {
    std::fill(parameter.gradient.data.begin(), parameter.gradient.data.end(), Real(0));
  }
}

template <class Real>
std::vector<BasicParameterView<Real>> NetworkParameters<Real>::views() {
  make_gradients();
  std::vector<BasicParameterView<Real>> views;
  for (Parameter& parameter : parameters_) {
    if (!parameter.trainable) continue;
    views.push_back({parameter.full_name, parameter.shape,
                     hand_out(parameter.value, value_at(parameter), parameter.size()),
                     hand_out(parameter.gradient, gradient_at(parameter), parameter.size()), &version_});
  }
  return views;
}

template <class Real>
std::span<Real> NetworkParameters<Real>::value(std::string_view name) {
  Parameter& parameter = find(name);
  return hand_out(parameter.value, value_at(parameter), parameter.size());
}

template <class Real>
void NetworkParameters<Real>::set_trainable(std::string_view name, bool trainable) {
  find(name).trainable = trainable;
}

template <class Real>
auto NetworkParameters<Real>::find(std::string_view name) -> Parameter& {
  for (Parameter& parameter : parameters_) {
    if (parameter.full_name == name) return parameter;
  }
  return by_name(parameters_, name);
}

template <class Real>
std::optional<Shape> NetworkParameters<Real>::shape_of(std::string_view full_name) const {
  for (const Parameter& parameter : parameters_) {
    if (parameter.full_name == full_name) return parameter.shape;
  }
  return std::nullopt;
}

template <class Real>
auto NetworkParameters<Real>::trained() const -> std::vector<Trained>
requires std::is_same_v<Real, float> {
  std::vector<Trained> list;
  if constexpr (std::is_same_v<Real, float>) {  // clang before 16 instantiates it for double too
    for (const Parameter& parameter : parameters_) {
      if (!parameter.trainable) continue;
      list.push_back({parameter.full_name,
                      {.value = value_at(parameter),
                       .gradient = gradient_at(parameter),
                       .elements = parameter.shape.elements()}});
    }
  }
  return list;
}

template <class Real>
void NetworkParameters<Real>::invalidate_host_copies() {
  ++version_;
  for (Parameter& parameter : parameters_) {
    for (HostCopy* each : {&parameter.value, &parameter.gradient}) each->handed_out = each->is_newer = false;
  }
}

template <class Real>
void NetworkParameters<Real>::save(io::TensorFile& file) const {
  for (const Parameter& parameter : parameters_) {
    const HostCopy& host = parameter.value;
    std::vector<Real> downloaded;
    std::span<const Real> values{value_at(parameter), parameter.size()};
    if (host.handed_out || host.is_newer) {
      values = host.data;
    } else if (!on_cpu()) {
      download(downloaded, value_at(parameter), parameter.size());
      values = downloaded;
    }
    file.tensors["param." + parameter.full_name] = io::make_tensor(dimensions(parameter.shape), values);
  }
}

template <class Real>
auto NetworkParameters<Real>::read(const io::TensorFile& file) const -> Values {
  Values values;
  for (const Parameter& parameter : parameters_) {
    const std::string name = "param." + parameter.full_name;
    const io::Tensor& stored = file.at(name);
    if (stored.shape != dimensions(parameter.shape)) {
      throw_error(ErrorCode::format, place_in(file, str_cat("tensor '", name, "'")),
                  str_cat("shape ", io::shape_text(dimensions(parameter.shape))),
                  str_cat("shape ", io::shape_text(stored.shape)));
    }
    values.push_back(to_reals<Real>(stored));
  }
  return values;
}

template <class Real>
void NetworkParameters<Real>::adopt(Values values) {
  ++version_;
  for (std::size_t k = 0; k < values.size(); ++k) {
    Parameter& parameter = parameters_[k];
    HostCopy& host = parameter.value;
    host.is_newer = !on_cpu();
    if (!on_cpu() && host.data.empty()) {
      host.data = std::move(values[k]);
    } else {  // the caller may have a view
      std::copy(values[k].begin(), values[k].end(), on_cpu() ? value_at(parameter) : host.data.data());
    }
  }
}

template class NetworkParameters<float>;
template class NetworkParameters<double>;

}  // namespace plasticity
