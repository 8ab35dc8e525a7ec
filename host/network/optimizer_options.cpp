#include "network/optimizer_options.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "base/exact_text.hpp"
#include "base/throw_error.hpp"

namespace plasticity {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Throws unless low <= value < high.
void check_range(const std::string& name, double value, double low, double high, const char* expected) {
  if (!(value >= low && value < high)) bad_argument(name, expected, exact_text(value));
}

/// As check_range(), also for the value as a float, with which a step computes.
void check_float(const std::string& name, double value, double low, double high, const char* expected) {
  check_range(name, value, low, high, expected);
  const double rounded = value > std::numeric_limits<float>::max() ? infinity : static_cast<float>(value);
  if (!(rounded >= low && rounded < high))
    bad_argument(name, str_cat(expected, ", also as a float"), exact_text(value));
}

/// Checks the options that a group and the rest of the parameters have.
void check_group(const std::string& prefix, double weight_decay, double clip_norm) {
  check_float(prefix + "weight_decay", weight_decay, 0, infinity, "a finite value of at least 0");
  check_range(prefix + "clip_norm", clip_norm, 0, infinity, "a finite norm of at least 0");
}

/// Returns the index of the group that has the parameter, or -1.
std::int64_t group_index(const OptimizerOptions& options, std::string_view name) {
  for (std::size_t k = 0; k < options.groups.size(); ++k) {
    const std::vector<std::string>& names = options.groups[k].names;
    if (std::find(names.begin(), names.end(), name) != names.end()) return static_cast<std::int64_t>(k);
  }
  return -1;
}

}  // namespace

void check_learning_rate(double value) {
  check_float("learning_rate", value, 0, infinity, "a finite value of at least 0");
}

const OptimizerOptions& checked(const OptimizerOptions& options) {
  const UpdateOptions& update = options.update;
  if (update.method < Method::adam || update.method > Method::rmsprop) {
    bad_argument("method", "a value of its enumeration", str_cat(static_cast<int>(update.method)));
  }
  check_learning_rate(update.learning_rate);
  check_float("beta1", update.beta1, 0, 1, "a value in [0, 1)");
  check_float("beta2", update.beta2, 0, 1, "a value in [0, 1)");
  check_float("epsilon", update.epsilon, std::numeric_limits<double>::denorm_min(), infinity,
              "a finite value above 0");
  check_float("momentum", update.momentum, 0, 1, "a value in [0, 1)");
  if (options.not_finite != NotFinite::fail && options.not_finite != NotFinite::skip) {
    bad_argument("not_finite", "a value of its enumeration", str_cat(static_cast<int>(options.not_finite)));
  }
  check_group("", options.weight_decay, options.clip_norm);
  std::set<std::string> seen;
  for (std::size_t k = 0; k < options.groups.size(); ++k) {
    const ParameterGroup& group = options.groups[k];
    const std::string prefix = str_cat("groups[", k, "].");
    check_float(prefix + "learning_rate_factor", group.learning_rate_factor, 0, infinity,
                "a finite factor of at least 0");
    check_group(prefix, group.weight_decay, group.clip_norm);
    for (const std::string& name : group.names) {
      if (!seen.insert(name).second) {
        throw Error(ErrorCode::invalid_argument, str_cat(prefix, "names: '", name, "' occurs twice"));
      }
    }
  }
  return options;
}

OptimizerOptions optimizer_options_of(const AdamOptions& options) {
  return {.update = {.learning_rate = options.learning_rate,
                     .beta1 = options.beta1,
                     .beta2 = options.beta2,
                     .epsilon = options.epsilon},
          .not_finite = options.not_finite};
}

void apply_groups(const OptimizerOptions& options, std::span<const std::string_view> names,
                  std::span<TrainedTensor> tensors) {
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const std::int64_t index = group_index(options, names[k]);
    const ParameterGroup* group = index < 0 ? nullptr : &options.groups[static_cast<std::size_t>(index)];
    tensors[k].learning_rate_factor = group == nullptr ? 1 : static_cast<float>(group->learning_rate_factor);
    tensors[k].weight_decay =
        static_cast<float>(group == nullptr ? options.weight_decay : group->weight_decay);
  }
}

std::vector<ClippedGroup> clipped_groups(const OptimizerOptions& options,
                                         std::span<const std::string_view> names,
                                         std::span<const TrainedTensor> tensors) {
  std::vector<ClippedGroup> all{{options.clip_norm, false}};
  for (const ParameterGroup& group : options.groups) all.push_back({group.clip_norm, true});
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    all[static_cast<std::size_t>(group_index(options, names[k]) + 1)].tensors.push_back(tensors[k]);
  }
  std::erase_if(all, [](const ClippedGroup& group) { return group.max_norm <= 0 || group.tensors.empty(); });
  return all;
}

void check_group_names(const OptimizerOptions& options, std::span<const std::string_view> names,
                       FunctionRef<bool(std::string_view)> exists) {
  for (std::size_t k = 0; k < options.groups.size(); ++k) {
    for (const std::string& name : options.groups[k].names) {
      if (exists(name)) continue;
      std::string known;
      for (const std::string_view each : names) known += str_cat(known.empty() ? "" : ", ", each);
      bad_argument(str_cat("groups[", k, "].names"), "names of " + known, str_cat('\'', name, '\''));
    }
  }
}

void throw_not_finite(std::string_view name) {
  bad_argument(str_cat("gradient of '", name, "'"), "finite numbers", "NaN or infinity");
}

}  // namespace plasticity
