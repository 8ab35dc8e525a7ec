#include "plasticity/optimizer.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>

#include "base/throw_error.hpp"
#include "device/profiler_range.hpp"
#include "network/optimizer_options.hpp"
#include "network/optimizer_record.hpp"

namespace plasticity {

Optimizer::Optimizer(const OptimizerOptions& options) : options_(checked(options)) {}
Adam::Adam(const AdamOptions& options) : Optimizer(optimizer_options_of(options)) {}

void Optimizer::set_learning_rate(double learning_rate) {
  check_learning_rate(learning_rate);
  options_.update.learning_rate = learning_rate;
}

void Optimizer::step(std::span<const ParameterView> parameters) {
  const ProfilerRange range("plasticity::Optimizer::step");
  const UpdateOptions& update = options_.update;
  const bool first = uses_first_moment(update), second = uses_second_moment(update);
  std::set<std::string_view> seen;
  std::vector<std::string_view> names;
  std::vector<TrainedTensor> tensors;
  for (const ParameterView& parameter : parameters) {
    const auto argument = [&] { return str_cat("parameter '", parameter.name, "'"); };
    const std::size_t elements = parameter.value.size();
    if (!seen.insert(parameter.name).second) {
      throw Error(ErrorCode::invalid_argument, argument() + ": occurs twice");
    }
    if (parameter.gradient.size() != elements) {
      bad_argument(argument(), str_cat("a gradient of ", elements, " elements"),
                   str_cat(parameter.gradient.size()));
    }
    if (const auto found = moments_.find(parameter.name); found != moments_.end()) {
      const std::size_t before = std::max(found->second.first.size(), found->second.second.size());
      if (before != elements && (first || second)) {
        bad_argument(argument(), str_cat(before, " elements, as in earlier steps"), str_cat(elements));
      }
    }
    names.push_back(parameter.name);
    tensors.push_back({.value = parameter.value.data(),
                       .gradient = parameter.gradient.data(),
                       .elements = static_cast<std::int64_t>(elements)});
  }
  if (!groups_checked_)
    check_group_names(options_, names, [&](std::string_view name) { return seen.contains(name); });
  groups_checked_ = true;
  gradient_norm_ = std::numeric_limits<double>::quiet_NaN();
  std::int32_t not_finite = -1;
  find_not_finite(Device::cpu(1), {}, tensors, &not_finite);
  if (not_finite >= 0 && options_.not_finite == NotFinite::fail) {
    throw_not_finite(names[static_cast<std::size_t>(not_finite)]);
  }
  if (not_finite >= 0) {
    ++skipped_;
    return;
  }
  // Allocate all memory before anything changes.
  std::map<std::string, Moments> fresh;
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const std::string& name = parameters[k].name;
    const std::size_t elements = parameters[k].value.size();
    auto found = moments_.find(name);
    if (found == moments_.end()) {
      found = fresh.try_emplace(name).first;
      if (first) found->second.first.resize(elements);
      if (second) found->second.second.resize(elements);
    }
    tensors[k].first = found->second.first.data();
    tensors[k].second = found->second.second.data();
  }
  apply_groups(options_, names, tensors);
  const std::vector<ClippedGroup> clipped = clipped_groups(options_, names, tensors);
  const UpdateScales scales = update_scales(update, steps_ + 1);

  for (const ClippedGroup& group : clipped) {
    double* const norm = group.is_named ? nullptr : &gradient_norm_;
    clip_gradients(Device::cpu(1), {}, group.tensors, group.max_norm, norm, {});
  }
  update_step(Device::cpu(1), {}, tensors, update, &scales);
  moments_.merge(fresh);
  ++steps_;
  for (const ParameterView& parameter : parameters) {
    if (parameter.version != nullptr) ++*parameter.version;
  }
}

void Optimizer::save(io::TensorFile& file) const {
  write_optimizer_record(options_.update, {.steps = steps_, .moments = moments_}, file);
}

void Optimizer::load(const io::TensorFile& file) {
  OptimizerRecord record = read_optimizer_record(options_.update, file);
  moments_ = std::move(record.moments);
  steps_ = record.steps;
  if (record.learning_rate) options_.update.learning_rate = *record.learning_rate;
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
