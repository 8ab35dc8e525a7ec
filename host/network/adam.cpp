#include "network/adam.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "base/throw_error.hpp"
#include "io/file_keys.hpp"

namespace plasticity {
namespace {

void check_range(const std::string& name, double value, bool legal, const char* expected) {
  if (!legal || !std::isfinite(value)) bad_argument(name, expected, str_cat(value));
}

/// Checks the options that a group and the rest of the parameters have.
void check_group(const std::string& prefix, double weight_decay, double clip_norm) {
  check_range(prefix + "weight_decay", weight_decay, weight_decay >= 0, "a finite value of at least 0");
  check_range(prefix + "clip_norm", clip_norm, clip_norm >= 0, "a finite norm of at least 0");
}

/// Returns the index of the group that has the parameter, or -1.
std::int64_t group_index(const OptimizerOptions& options, std::string_view name) {
  for (std::size_t k = 0; k < options.groups.size(); ++k) {
    const std::vector<std::string>& names = options.groups[k].names;
    if (std::find(names.begin(), names.end(), name) != names.end()) return static_cast<std::int64_t>(k);
  }
  return -1;
}

std::string method_name(Method method) {
  return method == Method::adam ? "adam" : method == Method::sgd ? "sgd" : "rmsprop";
}

/// Reads a metadata entry as a number.
template <class Number>
std::optional<Number> parse_number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

void check_learning_rate(double value) {
  check_range("learning_rate", value, value >= 0, "a finite value of at least 0");
}

const OptimizerOptions& checked(const OptimizerOptions& options) {
  const UpdateOptions& update = options.update;
  if (update.method < Method::adam || update.method > Method::rmsprop) {
    bad_argument("method", "a value of its enumeration", str_cat(static_cast<int>(update.method)));
  }
  check_learning_rate(update.learning_rate);
  check_range("beta1", update.beta1, update.beta1 >= 0 && update.beta1 < 1, "a value in [0, 1)");
  check_range("beta2", update.beta2, update.beta2 >= 0 && update.beta2 < 1, "a value in [0, 1)");
  check_range("epsilon", update.epsilon, update.epsilon > 0, "a finite value above 0");
  check_range("momentum", update.momentum, update.momentum >= 0 && update.momentum < 1, "a value in [0, 1)");
  if (options.not_finite != NotFinite::fail && options.not_finite != NotFinite::skip) {
    bad_argument("not_finite", "a value of its enumeration", str_cat(static_cast<int>(options.not_finite)));
  }
  check_group("", options.weight_decay, options.clip_norm);
  std::set<std::string> seen;
  for (std::size_t k = 0; k < options.groups.size(); ++k) {
    const ParameterGroup& group = options.groups[k];
    const std::string prefix = str_cat("groups[", k, "].");
    check_range(prefix + "rate", group.rate, group.rate >= 0, "a finite factor of at least 0");
    check_group(prefix, group.weight_decay, group.clip_norm);
    for (const std::string& name : group.names) {
      if (!seen.insert(name).second) {
        throw Error(ErrorCode::invalid_argument, str_cat(prefix, "names: '", name, "' occurs twice"));
      }
    }
  }
  return options;
}

OptimizerOptions optimizer_of(const AdamOptions& options) {
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
    tensors[k].rate = group == nullptr ? 1 : static_cast<float>(group->rate);
    tensors[k].weight_decay =
        static_cast<float>(group == nullptr ? options.weight_decay : group->weight_decay);
  }
}

std::vector<ClippedGroup> clipped_groups(const OptimizerOptions& options,
                                         std::span<const std::string_view> names,
                                         std::span<const TrainedTensor> tensors) {
  std::vector<ClippedGroup> all{{options.clip_norm}};
  for (const ParameterGroup& group : options.groups) all.push_back({group.clip_norm});
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

void write_record(const UpdateOptions& update, const OptimizerRecord& record, io::TensorFile& file) {
  const std::string prefix = method_name(update.method) + ".";
  const auto store = [&](const std::string& name, const std::vector<float>& values) {
    file.tensors[name] =
        io::make_tensor({static_cast<std::int64_t>(values.size())}, std::span<const float>(values));
  };
  for (const auto& [name, moments] : record.moments) {
    if (uses_first_moment(update)) check_new_tensor(file, prefix + name + ".m");
    if (uses_second_moment(update)) check_new_tensor(file, prefix + name + ".v");
  }
  for (const char* key : {"steps", "learning_rate"}) check_new_metadata(file, prefix + key);
  for (const auto& [name, moments] : record.moments) {
    if (uses_first_moment(update)) store(prefix + name + ".m", moments.first);
    if (uses_second_moment(update)) store(prefix + name + ".v", moments.second);
  }
  file.metadata[prefix + "steps"] = std::to_string(record.steps);
  std::array<char, 32> rate;
  const auto [end, error] = std::to_chars(rate.data(), rate.data() + rate.size(), update.learning_rate);
  file.metadata[prefix + "learning_rate"] = std::string(rate.data(), end);
}

OptimizerRecord read_record(const UpdateOptions& update, const io::TensorFile& file) {
  const std::string prefix = method_name(update.method) + ".", source = name_of(file);
  const auto found = file.metadata.find(prefix + "steps");
  if (found == file.metadata.end()) {
    throw_error(ErrorCode::format, source, str_cat("metadata '", prefix, "steps'"), "none");
  }
  OptimizerRecord record;
  const std::optional<std::int64_t> steps = parse_number<std::int64_t>(found->second);
  if (!steps || *steps < 0) {
    throw_error(ErrorCode::format, str_cat(source, " metadata '", prefix, "steps'"), "a number of steps",
                str_cat('\'', found->second, '\''));
  }
  record.steps = *steps;
  if (const auto rate = file.metadata.find(prefix + "learning_rate"); rate != file.metadata.end()) {
    record.learning_rate = parse_number<double>(rate->second);
    if (!record.learning_rate || !(*record.learning_rate >= 0) || !std::isfinite(*record.learning_rate)) {
      throw_error(ErrorCode::format, str_cat(source, " metadata '", prefix, "learning_rate'"),
                  "a finite value of at least 0", str_cat('\'', rate->second, '\''));
    }
  }
  const bool first = uses_first_moment(update), second = uses_second_moment(update);
  const std::string listed = first ? ".m" : ".v";  // the moment that lists the parameters
  for (const auto& [key, tensor] : file.tensors) {
    if (!(first || second) || !key.starts_with(prefix) || !key.ends_with(listed)) continue;
    if (key.size() < prefix.size() + listed.size()) continue;  // "sgd.m": prefix and suffix share the dot
    const std::string name = key.substr(prefix.size(), key.size() - prefix.size() - listed.size());
    HostMoments& pair = record.moments[name];
    (first ? pair.first : pair.second) = io::to_floats(tensor);
    if (!first || !second) continue;
    pair.second = io::to_floats(file.at(prefix + name + ".v"));
    if (pair.first.size() != pair.second.size()) {
      throw_error(ErrorCode::format, str_cat(source, " tensor '", prefix, name, ".v'"),
                  str_cat(pair.first.size(), " elements"), str_cat(pair.second.size()));
    }
  }
  return record;
}

}  // namespace plasticity
