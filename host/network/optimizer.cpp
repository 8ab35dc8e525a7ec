#include "plasticity/optimizer.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>

#include "base/throw_error.hpp"
#include "device/profiler_range.hpp"
#include "network/optimizer_options.hpp"
#include "network/optimizer_record.hpp"
#include "network/overlapping_views.hpp"

namespace plasticity {
namespace {

using MomentsByName = std::map<std::string, OptimizerRecord::Moments>;

/// Throws Error(invalid_argument) if a name occurs twice, or if a parameter has another size than its
/// gradient or its moments.
void check_views(std::span<const ParameterView> parameters, const MomentsByName& moments,
                 const UpdateOptions& update) {
  const bool has_moments = uses_first_moment(update) || uses_second_moment(update);
  std::set<std::string_view> seen;
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
    const auto found = moments.find(parameter.name);
    if (found == moments.end() || !has_moments) continue;
    const std::size_t before = std::max(found->second.first.size(), found->second.second.size());
    if (before != elements)
      bad_argument(argument(), str_cat(before, " elements, as in earlier steps"), str_cat(elements));
  }
}

/// Points the tensors to the moments of their parameters. Returns the moments of those that have none yet, as
/// zeros.
MomentsByName set_moments(std::span<const ParameterView> parameters, MomentsByName& moments,
                          const UpdateOptions& update, std::span<TrainedTensor> tensors) {
  MomentsByName new_moments;
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const std::string& name = parameters[k].name;
    const std::size_t elements = parameters[k].value.size();
    auto found = moments.find(name);
    if (found == moments.end()) {
      found = new_moments.try_emplace(name).first;
      if (uses_first_moment(update)) found->second.first.resize(elements);
      if (uses_second_moment(update)) found->second.second.resize(elements);
    }
    tensors[k].first = found->second.first.data();
    tensors[k].second = found->second.second.data();
  }
  return new_moments;
}

/// Throws Error(invalid_argument) if these parts of two views overlap.
void check_no_overlap(std::span<const ParameterView> parameters, ViewParts parts) {
  if (const auto pair = overlapping_views(parameters, parts)) {
    throw Error(ErrorCode::invalid_argument, str_cat("parameter '", parameters[pair->second].name,
                                                     "': overlaps '", parameters[pair->first].name, "'"));
  }
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options) : options_(checked(options)) {}
Adam::Adam(const AdamOptions& options) : Optimizer(optimizer_options_of(options)) {}

void Optimizer::set_learning_rate(double learning_rate) {
  check_learning_rate(learning_rate);
  options_.update.learning_rate = learning_rate;
}

void Optimizer::step(std::span<const ParameterView> parameters) {
  const ProfilerRange range("plasticity::Optimizer::step");
  const UpdateOptions& update = options_.update;
  check_views(parameters, moments_, update);
  check_no_overlap(parameters, {&ParameterView::value, &ParameterView::gradient});
  std::vector<std::string_view> names;
  std::vector<TrainedTensor> tensors;
  for (const ParameterView& parameter : parameters) {
    names.push_back(parameter.name);
    tensors.push_back({.value = parameter.value.data(),
                       .gradient = parameter.gradient.data(),
                       .elements = static_cast<std::int64_t>(parameter.value.size())});
  }
  if (!groups_checked_) {
    check_group_names(options_, names, [&](std::string_view name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    });
  }
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
  MomentsByName new_moments = set_moments(parameters, moments_, update, tensors);
  apply_groups(options_, names, tensors);
  const std::vector<ClippedGroup> clipped = clipped_groups(options_, names, tensors);
  const UpdateScales scales = update_scales(update, steps_ + 1);

  for (const ClippedGroup& group : clipped) {
    double* const norm = group.is_named ? nullptr : &gradient_norm_;
    clip_gradients(Device::cpu(1), {}, group.tensors, group.max_norm, norm, {});
  }
  update_step(Device::cpu(1), {}, tensors, update, &scales);
  moments_.merge(new_moments);
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
  check_no_overlap(parameters, {&ParameterView::gradient});
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
