#include "network/linear.hpp"

#include <algorithm>
#include <cmath>
#include <new>

#include "base/hash.hpp"
#include "base/random.hpp"
#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "check/overlap.hpp"
#include "plan/cpu_training.hpp"
#include "plan/staging.hpp"

namespace plasticity {
namespace {

LinearValues initial_values(std::int64_t inputs, std::int64_t outputs, std::uint64_t seed, std::string name,
                            Device device, Stream stream) {
  if (inputs < 1) bad_argument("inputs", "at least 1", str_cat(inputs));
  if (outputs < 1) bad_argument("outputs", "at least 1", str_cat(outputs));
  if (outputs > max_elements / inputs) {
    bad_argument("outputs", str_cat("at most ", max_elements / inputs, " for ", inputs, " inputs"),
                 str_cat(outputs));
  }
  LinearValues values{inputs, outputs, std::move(name), device, stream};
  try {
    values.weight.resize(static_cast<std::size_t>(inputs * outputs));
    values.bias.resize(static_cast<std::size_t>(outputs));
    values.weight_gradient.resize(values.weight.size());
    values.bias_gradient.resize(values.bias.size());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory,
                str_cat(values.name, ": no memory for a matrix of ", inputs, " x ", outputs));
  }
  Random random(seed);
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  for (float& value : values.weight) value = static_cast<float>(random.uniform(-bound, bound));
  for (float& value : values.bias) value = static_cast<float>(random.uniform(-bound, bound));
  return values;
}

}  // namespace

Linear::Linear(std::int64_t inputs, std::int64_t outputs, std::uint64_t seed, std::string name, Device device,
               Stream stream)
    : implementation_(std::make_unique<Implementation>(
                          initial_values(inputs, outputs, seed, std::move(name), device, stream)),
                      "linear") {}

Linear::Linear(const Linear& other)
    : implementation_(std::make_unique<Implementation>(LinearValues(*other.implementation_)), "linear") {}

Linear& Linear::operator=(const Linear& other) {
  if (this == &other) return *this;
  if (implementation_.empty()) return *this = Linear(other);
  implementation_->assign(*other.implementation_);
  return *this;
}

Linear::Linear(Linear&& other) noexcept = default;
Linear& Linear::operator=(Linear&& other) noexcept = default;
Linear::~Linear() = default;

std::int64_t Linear::inputs() const { return implementation_->inputs; }
std::int64_t Linear::outputs() const { return implementation_->outputs; }
Device Linear::device() const { return implementation_->device; }

void Linear::Implementation::assign(const LinearValues& other) {
  LinearValues::operator=(other);
  tensors = {};
  scratch = {};
  uploaded_ = {};
  ++version;
}

Linear::Implementation::OnDevice Linear::Implementation::parameters_on_device() {
  if (device.kind() == DeviceKind::cpu) return {weight.data(), bias.data()};
  constexpr std::size_t alignment = 64 / sizeof(float);
  const std::size_t place_of_bias = (weight.size() + alignment - 1) / alignment * alignment;
  make_room(uploaded_, device, (place_of_bias + bias.size()) * sizeof(float));
  auto* const on_device = static_cast<float*>(uploaded_.data());
  const std::uint64_t now = checks ? checksum<float>(weight) * 31 + checksum<float>(bias) : 0;
  if (uploaded_version_ != version) {
    copy(device, stream, on_device, weight.data(), weight.size() * sizeof(float));
    copy(device, stream, on_device + place_of_bias, bias.data(), bias.size() * sizeof(float));
    uploaded_version_ = version;
    uploaded_checksum_ = now;
  } else if (uploaded_checksum_ != now) {
    bad_argument(name, "the parameters on the device (call parameters() again before writing to its views)",
                 "others");
  }
  return {on_device, on_device + place_of_bias};
}

std::int64_t Linear::Implementation::checked_rows(std::span<const float> x, std::span<const float> y,
                                                  const char* name_of_y) const {
  const auto size = static_cast<std::int64_t>(x.size());
  if (size % inputs != 0)
    bad_argument("x", str_cat("rows of ", inputs, " elements"), str_cat(size, " elements"));
  const std::int64_t rows = size / inputs;
  if (static_cast<std::int64_t>(y.size()) != rows * outputs) {
    bad_argument(name_of_y, str_cat(rows, " rows of ", outputs, " elements"), str_cat(y.size(), " elements"));
  }
  return rows;
}

void Linear::forward(std::span<const float> x, std::span<float> y) const {
  Implementation& layer = *implementation_;
  const std::int64_t rows = layer.checked_rows(x, y, "y");
  LinearArgs args{
      .rows = rows, .inputs = layer.inputs, .outputs = layer.outputs, .x = x.data(), .y = y.data()};
  Staging staging(layer.device, layer.stream, layer.tensors);
  staging.read(args.x, rows * layer.inputs);
  staging.write(args.y, rows * layer.outputs);
  staging.send();
  const Implementation::OnDevice parameters = layer.parameters_on_device();
  args.weight = parameters.weight;
  args.bias = parameters.bias;
  linear_forward(layer.device, layer.stream, args);
  staging.fetch();
}

void Linear::backward(std::span<const float> x, std::span<const float> dy, std::span<float> dx,
                      std::int64_t batch) {
  Implementation& layer = *implementation_;
  const std::int64_t rows = layer.checked_rows(x, dy, "dy");
  if (!dx.empty() && dx.size() != x.size())
    bad_argument("dx", str_cat(x.size(), " elements"), str_cat(dx.size()));
  check_no_overlap({"dx", dx}, {{"weight", std::span<const float>(layer.weight)},
                                {"bias", std::span<const float>(layer.bias)}});
  LinearGradientArgs args{.rows = rows,
                          .inputs = layer.inputs,
                          .outputs = layer.outputs,
                          .x = x.data(),
                          .dy = dy.data(),
                          .dweight = layer.weight_gradient.data(),
                          .dbias = layer.bias_gradient.data(),
                          .dx = dx.empty() ? nullptr : dx.data(),
                          .batch = batch};
  check_linear_batch(args);
  Staging staging(layer.device, layer.stream, layer.tensors);
  staging.read(args.x, rows * layer.inputs);
  staging.read(args.dy, rows * layer.outputs);
  staging.update(args.dweight, layer.inputs * layer.outputs);
  staging.update(args.dbias, layer.outputs);
  staging.write(args.dx, rows * layer.inputs);
  staging.send();
  if (!dx.empty()) args.weight = layer.parameters_on_device().weight;
  make_room(layer.scratch, layer.device, linear_scratch_bytes(layer.device, layer.inputs, layer.outputs));
  linear_backward(layer.device, layer.stream, args, layer.scratch.as<Scratch>());
  staging.fetch();
}

void Linear::zero_gradients() {
  Implementation& layer = *implementation_;
  std::fill(layer.weight_gradient.begin(), layer.weight_gradient.end(), 0.0f);
  std::fill(layer.bias_gradient.begin(), layer.bias_gradient.end(), 0.0f);
}

std::vector<ParameterView> Linear::parameters() {
  Implementation& layer = *implementation_;
  ++layer.version;  // the caller may write to the views
  return {{layer.name + ".weight", Shape{{layer.inputs, layer.outputs}, 2}, layer.weight,
           layer.weight_gradient, &layer.version},
          {layer.name + ".bias", Shape{{layer.outputs}, 1}, layer.bias, layer.bias_gradient, &layer.version}};
}

}  // namespace plasticity
