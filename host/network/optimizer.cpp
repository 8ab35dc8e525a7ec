#include "plasticity/optimizer.hpp"

#include <set>

#include "base/throw_error.hpp"
#include "device/profiler_range.hpp"
#include "network/adam.hpp"

namespace plasticity {
Adam::Adam(const AdamOptions& options) : options_(options) { check_adam_options(options); }

void Adam::set_learning_rate(double learning_rate) {
  check_learning_rate(learning_rate);
  options_.learning_rate = learning_rate;
}

void Adam::step(std::span<const ParameterView> parameters) {
  const ProfilerRange range("plasticity::Adam::step");
  std::set<std::string> seen;
  for (const ParameterView& parameter : parameters) {
    const std::string argument = str_cat("parameter '", parameter.name, "'");
    if (!seen.insert(parameter.name).second) {
      throw Error(ErrorCode::invalid_argument, argument + ": occurs twice");
    }
    if (parameter.gradient.size() != parameter.value.size()) {
      bad_argument(argument, str_cat("a gradient of ", parameter.value.size(), " elements"),
                   str_cat(parameter.gradient.size()));
    }
    const auto found = moments_.find(parameter.name);
    if (found != moments_.end() && found->second.first.size() != parameter.value.size()) {
      bad_argument(argument, str_cat(found->second.first.size(), " elements, as in earlier steps"),
                   str_cat(parameter.value.size()));
    }
  }
  std::vector<TrainedTensor> tensors;
  for (const ParameterView& parameter : parameters) {
    Moments& moments = moments_[parameter.name];
    moments.first.resize(parameter.value.size());
    moments.second.resize(parameter.value.size());
    tensors.push_back({parameter.value.data(), parameter.gradient.data(), moments.first.data(),
                       moments.second.data(), static_cast<std::int64_t>(parameter.value.size())});
  }
  ++steps_;
  const AdamScales scales = adam_scales(options_, steps_);
  adam_step(Device::cpu(1), {}, tensors, options_, &scales);
  for (const ParameterView& parameter : parameters) {
    if (parameter.version != nullptr) ++*parameter.version;
  }
}

void Adam::save(io::TensorFile& file) const {
  AdamRecord record{.steps = steps_};
  for (const auto& [name, moments] : moments_) record.moments[name] = {moments.first, moments.second};
  write_adam(record, file);
}

void Adam::load(const io::TensorFile& file) {
  AdamRecord record = read_adam(file);
  std::map<std::string, Moments> moments;
  for (auto& [name, pair] : record.moments) {
    moments[name] = {std::move(pair.first), std::move(pair.second)};
  }
  moments_ = std::move(moments);
  steps_ = record.steps;
}

double clip_gradients(std::span<const ParameterView> parameters, double max_norm) {
  std::vector<TrainedTensor> tensors;
  for (const ParameterView& parameter : parameters) {
    tensors.push_back({.gradient = parameter.gradient.data(),
                       .elements = static_cast<std::int64_t>(parameter.gradient.size())});
  }
  double norm = 0;
  clip_gradients(Device::cpu(1), {}, tensors, max_norm, &norm, {});
  return norm;
}

}  // namespace plasticity
