#include "network/optimizer_record.hpp"

#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "base/exact_text.hpp"
#include "base/throw_error.hpp"
#include "io/file_keys.hpp"

namespace plasticity {
namespace {

std::string method_name(Method method) {
  return method == Method::adam ? "adam" : method == Method::sgd ? "sgd" : "rmsprop";
}

}  // namespace

void write_optimizer_record(const UpdateOptions& update, const OptimizerRecord& record,
                            io::TensorFile& file) {
  const std::string prefix = method_name(update.method) + ".";
  io::TensorFile part;
  const auto store = [&](const std::string& name, const std::vector<float>& values) {
    part.tensors[name] =
        io::make_tensor({static_cast<std::int64_t>(values.size())}, std::span<const float>(values));
  };
  for (const auto& [name, moments] : record.moments) {
    if (uses_first_moment(update)) store(prefix + name + ".m", moments.first);
    if (uses_second_moment(update)) store(prefix + name + ".v", moments.second);
  }
  part.metadata[prefix + "steps"] = std::to_string(record.steps);
  part.metadata[prefix + "learning_rate"] = exact_text(update.learning_rate);
  add_to_file(std::move(part), file);
}

OptimizerRecord read_optimizer_record(const UpdateOptions& update, const io::TensorFile& file) {
  const std::string prefix = method_name(update.method) + ".", source = name_of(file);
  const auto found = file.metadata.find(prefix + "steps");
  if (found == file.metadata.end()) {
    throw_error(ErrorCode::format, source, str_cat("metadata '", prefix, "steps'"), "none");
  }
  OptimizerRecord record;
  const std::optional<std::int64_t> steps = parse_number<std::int64_t>(found->second);
  if (!steps || *steps < 0 || *steps == std::numeric_limits<std::int64_t>::max()) {
    throw_error(ErrorCode::format, str_cat(source, " metadata '", prefix, "steps'"), "a number of steps",
                str_cat('\'', found->second, '\''));
  }
  record.steps = *steps;
  if (const auto rate = file.metadata.find(prefix + "learning_rate"); rate != file.metadata.end()) {
    record.learning_rate = parse_number<double>(rate->second);
    constexpr double max_float = std::numeric_limits<float>::max();
    if (!record.learning_rate || !(*record.learning_rate >= 0 && *record.learning_rate <= max_float)) {
      throw_error(ErrorCode::format, str_cat(source, " metadata '", prefix, "learning_rate'"),
                  "a finite value of at least 0", str_cat('\'', rate->second, '\''));
    }
  }
  const auto read_moment = [&](const std::string& key, float low, const char* expected) {
    std::vector<float> values = io::to_floats(file.at(key));
    for (const float value : values) {
      if (!std::isfinite(value) || value < low)
        throw_error(ErrorCode::format, str_cat(source, " tensor '", key, "'"), expected, str_cat(value));
    }
    return values;
  };
  const bool first = uses_first_moment(update), second = uses_second_moment(update);
  const std::string listed = first ? ".m" : ".v";  // the moment that lists the parameters
  for (const auto& [key, tensor] : file.tensors) {
    if (!(first || second) || !key.starts_with(prefix) || !key.ends_with(listed)) continue;
    if (key.size() < prefix.size() + listed.size()) continue;  // "sgd.m": prefix and suffix share the dot
    const std::string name = key.substr(prefix.size(), key.size() - prefix.size() - listed.size());
    OptimizerRecord::Moments& pair = record.moments[name];
    constexpr float lowest = std::numeric_limits<float>::lowest();
    if (first) pair.first = read_moment(prefix + name + ".m", lowest, "finite values");
    if (!second) continue;
    pair.second = read_moment(prefix + name + ".v", 0, "finite values of at least 0");
    if (first && pair.first.size() != pair.second.size()) {
      throw_error(ErrorCode::format, str_cat(source, " tensor '", prefix, name, ".v'"),
                  str_cat(pair.first.size(), " elements"), str_cat(pair.second.size()));
    }
  }
  return record;
}

}  // namespace plasticity
