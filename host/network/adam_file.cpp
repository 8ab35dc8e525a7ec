#include "network/adam_file.hpp"

#include <charconv>

#include "base/throw_error.hpp"

namespace plasticity {

void write_adam(const AdamRecord& record, io::TensorFile& file) {
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
