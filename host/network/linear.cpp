#include "plasticity/linear.hpp"

#include <algorithm>
#include <cmath>
#include <new>

#include "base/random.hpp"
#include "base/throw_error.hpp"
#include "network/checksum.hpp"
#include "plan/cpu_training.hpp"
#include "plan/staging.hpp"
#include "plasticity/owner.hpp"

namespace plasticity {

Linear::Linear(std::int64_t inputs, std::int64_t outputs, std::uint64_t seed, std::string name, Device device,
               Stream stream)
    : inputs_(inputs), outputs_(outputs), name_(std::move(name)), device_(device), stream_(stream) {
  if (inputs < 1) bad_argument("inputs", "at least 1", str_cat(inputs));
  if (outputs < 1) bad_argument("outputs", "at least 1", str_cat(outputs));
  constexpr std::int64_t max_elements = std::int64_t{1} << 48;  // as for the tensors of a plan
  if (outputs > max_elements / inputs) {
    bad_argument("outputs", str_cat("at most ", max_elements / inputs, " for ", inputs, " inputs"),
                 str_cat(outputs));
  }
  try {
    weight_.resize(static_cast<std::size_t>(inputs * outputs));
    bias_.resize(static_cast<std::size_t>(outputs));
    weight_gradient_.resize(weight_.size());
    bias_gradient_.resize(bias_.size());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory,
                str_cat(name_, ": no memory for a matrix of ", inputs, " x ", outputs));
  }
  buffers_.checks = checks_requested();
  Random random(seed);
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  for (float& value : weight_) value = static_cast<float>(random.uniform(-bound, bound));
  for (float& value : bias_) value = static_cast<float>(random.uniform(-bound, bound));
}

void Linear::check_not_moved() const {
  if (weight_.empty()) throw_moved_from("linear");
}

Linear::OnDevice Linear::parameters_on_device() const {
  if (device_.kind() == DeviceKind::cpu) return {weight_.data(), bias_.data()};
  constexpr std::size_t alignment = 64 / sizeof(float);
  const std::size_t place_of_bias = (weight_.size() + alignment - 1) / alignment * alignment;
  Buffers& buffers = buffers_;
  make_room(buffers.parameters, device_, (place_of_bias + bias_.size()) * sizeof(float));
  auto* const weight = static_cast<float*>(buffers.parameters.data());
  const std::uint64_t checksum =
      buffers.checks ? plasticity::checksum<float>(weight_) * 31 + plasticity::checksum<float>(bias_) : 0;
  if (buffers.uploaded != *buffers.version) {
    copy(device_, stream_, weight, weight_.data(), weight_.size() * sizeof(float));
    copy(device_, stream_, weight + place_of_bias, bias_.data(), bias_.size() * sizeof(float));
    buffers.uploaded = *buffers.version;
    buffers.checksum = checksum;
  } else if (buffers.checksum != checksum) {
    bad_argument(name_, "the parameters on the device (call parameters() again before writing to its views)",
                 "others");
  }
  return {weight, weight + place_of_bias};
}

std::int64_t Linear::checked_rows(std::span<const float> x, std::span<const float> y,
                                  const char* name_of_y) const {
  check_not_moved();
  const auto size = static_cast<std::int64_t>(x.size());
  if (size % inputs_ != 0)
    bad_argument("x", str_cat("rows of ", inputs_, " elements"), str_cat(size, " elements"));
  const std::int64_t rows = size / inputs_;
  if (static_cast<std::int64_t>(y.size()) != rows * outputs_) {
    bad_argument(name_of_y, str_cat(rows, " rows of ", outputs_, " elements"),
                 str_cat(y.size(), " elements"));
  }
  return rows;
}

void Linear::forward(std::span<const float> x, std::span<float> y) const {
  const std::int64_t rows = checked_rows(x, y, "y");
  LinearArgs args{.rows = rows, .inputs = inputs_, .outputs = outputs_, .x = x.data(), .y = y.data()};
  Staging staging(device_, stream_, buffers_.tensors);
  staging.read(args.x, rows * inputs_);
  staging.write(args.y, rows * outputs_);
  staging.send();
  const OnDevice parameters = parameters_on_device();
  args.weight = parameters.weight;
  args.bias = parameters.bias;
  linear_forward(device_, stream_, args);
  staging.fetch();
}

void Linear::backward(std::span<const float> x, std::span<const float> dy, std::span<float> dx,
                      std::int64_t batch) {
  const std::int64_t rows = checked_rows(x, dy, "dy");
  if (!dx.empty() && dx.size() != x.size())
    bad_argument("dx", str_cat(x.size(), " elements"), str_cat(dx.size()));
  LinearGradientArgs args{.rows = rows,
                          .inputs = inputs_,
                          .outputs = outputs_,
                          .x = x.data(),
                          .dy = dy.data(),
                          .dweight = weight_gradient_.data(),
                          .dbias = bias_gradient_.data(),
                          .dx = dx.empty() ? nullptr : dx.data(),
                          .batch = batch};
  check_linear_batch(args);
  Staging staging(device_, stream_, buffers_.tensors);
  staging.read(args.x, rows * inputs_);
  staging.read(args.dy, rows * outputs_);
  staging.update(args.dweight, inputs_ * outputs_);
  staging.update(args.dbias, outputs_);
  staging.write(args.dx, rows * inputs_);
  staging.send();
  if (!dx.empty()) args.weight = parameters_on_device().weight;
  make_room(buffers_.scratch, device_, linear_scratch_bytes(device_, inputs_, outputs_));
  linear_backward(device_, stream_, args, buffers_.scratch.as<Scratch>());
  staging.fetch();
}

void Linear::zero_gradients() {
  std::fill(weight_gradient_.begin(), weight_gradient_.end(), 0.0f);
  std::fill(bias_gradient_.begin(), bias_gradient_.end(), 0.0f);
}

std::vector<ParameterView> Linear::parameters() {
  check_not_moved();
  std::uint64_t* const version = buffers_.version.get();
  ++*version;  // the caller may write to the views
  return {{name_ + ".weight", Shape{{inputs_, outputs_}, 2}, weight_, weight_gradient_, version},
          {name_ + ".bias", Shape{{outputs_}, 1}, bias_, bias_gradient_, version}};
}

}  // namespace plasticity
