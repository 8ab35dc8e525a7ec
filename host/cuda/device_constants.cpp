#include "cuda/device_constants.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/throw_error.hpp"

namespace plasticity::cuda {
namespace {

constexpr const char* format_name = "plasticity tuning 1";

[[noreturn]] void bad_key(const std::filesystem::path& path, std::string_view key,
                          const std::string& expected, const std::string& got) {
  throw_error(ErrorCode::format, str_cat(path.string(), ": ", key), expected, got);
}

/// The names of the constants, separated by commas.
std::string constant_names() {
  std::string names;
  for (const auto& member : DeviceConstants::members())
    names += str_cat(names.empty() ? "" : ", ", member.name);
  return names;
}

}  // namespace

const std::array<DeviceConstants::Member, 15>& DeviceConstants::members() {
  using C = DeviceConstants;
  static constexpr std::array<Member, 15> all = {
      {{"launch", &C::launch},
       {"graph_launch", &C::graph_launch},
       {"kernel_gap", &C::kernel_gap},
       {"issue_rate", &C::issue_rate},
       {"warp_gap", &C::warp_gap},
       {"l2_rate", &C::l2_rate},
       {"memory_rate", &C::memory_rate},
       {"l2_latency", &C::l2_latency},
       {"step_outside", &C::step_outside},
       {"resident_forward_outside", &C::resident_forward_outside},
       {"resident_backward_outside", &C::resident_backward_outside},
       {"segment_begin", &C::segment_begin},
       {"cluster_barrier", &C::cluster_barrier},
       {"peer_store", &C::peer_store},
       {"grid_barrier", &C::grid_barrier}}};
  return all;
}

std::string tuning_text(const DeviceConstants& constants, const std::string& device) {
  nlohmann::ordered_json values;
  for (const auto& member : DeviceConstants::members())
    values[std::string(member.name)] = constants.*member.pointer;
  const nlohmann::ordered_json file{{"format", format_name}, {"device", device}, {"constants", values}};
  return file.dump(1) + "\n";
}

DeviceConstants read_tuning(const std::filesystem::path& path) {
  std::ifstream opened(path);
  if (!opened) throw_error(ErrorCode::io, "PLASTICITY_TUNING", "a file that can be read", path.string());
  const nlohmann::json file = nlohmann::json::parse(opened, nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded() || !file.is_object())
    bad_key(path, "the file", "a JSON object of `plasticity tune`", "other text");
  if (const auto format = file.find("format"); format == file.end() || *format != format_name) {
    bad_key(path, "format", str_cat('"', format_name, '"'), format == file.end() ? "none" : format->dump());
  }
  const auto constants = file.find("constants");
  if (constants == file.end() || !constants->is_object()) {
    bad_key(path, "constants", "an object of constants",
            constants == file.end() ? "none" : constants->dump());
  }
  DeviceConstants result;
  const auto& members = DeviceConstants::members();
  for (const auto& [key, value] : constants->items()) {
    const auto member =
        std::find_if(members.begin(), members.end(), [&](const auto& known) { return known.name == key; });
    if (member == members.end()) bad_key(path, "constants", str_cat("one of ", constant_names()), key);
    const bool positive = value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() > 0;
    if (!positive) bad_key(path, str_cat("constants.", key), "a positive number", value.dump());
    result.*member->pointer = value.get<double>();
  }
  return result;
}

DeviceConstants current_constants() {
  const char* value = std::getenv("PLASTICITY_TUNING");
  return value == nullptr || *value == '\0' ? DeviceConstants{} : read_tuning(value);
}

}  // namespace plasticity::cuda
