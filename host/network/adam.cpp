#include "network/adam.hpp"

#include <charconv>
#include <cmath>

#include "base/throw_error.hpp"
#include "io/file_keys.hpp"

namespace plasticity {
namespace {

void check_range(const char* name, double value, bool legal, const char* expected) {
  if (!legal || !std::isfinite(value)) bad_argument(name, expected, str_cat(value));
}

}  // namespace

void check_learning_rate(double value) {
  check_range("learning_rate", value, value >= 0, "a finite value of at least 0");
}

void check_adam_options(const AdamOptions& options) {
  check_learning_rate(options.learning_rate);
  check_range("beta1", options.beta1, options.beta1 >= 0 && options.beta1 < 1, "a value in [0, 1)");
  check_range("beta2", options.beta2, options.beta2 >= 0 && options.beta2 < 1, "a value in [0, 1)");
  check_range("epsilon", options.epsilon, options.epsilon > 0, "a finite value above 0");
}

void write_adam(const AdamRecord& record, io::TensorFile& file) {
  for (const auto& [name, moments] : record.moments) {
    for (const char* moment : {".m", ".v"}) check_new_tensor(file, "adam." + name + moment);
  }
  check_new_metadata(file, "adam.steps");
  for (const auto& [name, moments] : record.moments) {
    const auto size = static_cast<std::int64_t>(moments.first.size());
    file.tensors["adam." + name + ".m"] = io::make_tensor({size}, std::span<const float>(moments.first));
    file.tensors["adam." + name + ".v"] = io::make_tensor({size}, std::span<const float>(moments.second));
  }
  file.metadata["adam.steps"] = std::to_string(record.steps);
}

AdamRecord read_adam(const io::TensorFile& file) {
  const auto found = file.metadata.find("adam.steps");
  if (found == file.metadata.end())
    throw_error(ErrorCode::format, file.source, "metadata 'adam.steps'", "none");
  const std::string& value = found->second;
  AdamRecord record;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), record.steps);
  if (error != std::errc() || end != value.data() + value.size() || record.steps < 0) {
    throw_error(ErrorCode::format, str_cat(file.source, " metadata 'adam.steps'"), "a number of steps",
                str_cat('\'', value, '\''));
  }
  for (const auto& [key, tensor] : file.tensors) {
    if (!key.starts_with("adam.") || !key.ends_with(".m")) continue;
    const std::string name = key.substr(5, key.size() - 7);
    HostMoments& pair = record.moments[name];
    pair.first = io::to_floats(tensor);
    pair.second = io::to_floats(file.at("adam." + name + ".v"));
    if (pair.first.size() != pair.second.size()) {
      throw_error(ErrorCode::format, str_cat(file.source, " tensor 'adam.", name, ".v'"),
                  str_cat(pair.first.size(), " elements"), str_cat(pair.second.size()));
    }
  }
  return record;
}

}  // namespace plasticity
