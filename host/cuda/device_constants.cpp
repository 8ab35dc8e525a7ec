#include "cuda/device_constants.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/throw_error.hpp"

namespace plasticity::cuda {
namespace {

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

const std::array<DeviceConstants::Member, 20>& DeviceConstants::members() {
  using C = DeviceConstants;
  // Those that were measured or calculated alone hardly move in a fit of 100 times.
  constexpr double unknown = 0.1, known = 2;
  static constexpr std::array<Member, 20> all = {
      {{"launch", &C::launch, known},
       {"graph_launch", &C::graph_launch, known},
       {"kernel_gap", &C::kernel_gap, known},
       {"stream_gap", &C::stream_gap, unknown},
       {"issue_rate", &C::issue_rate, known},
       {"warp_gap", &C::warp_gap, unknown},
       {"l2_rate", &C::l2_rate, known},
       {"memory_share", &C::memory_share, known},
       {"l2_latency", &C::l2_latency, unknown},
       {"step_forward_outside", &C::step_forward_outside, unknown},
       {"step_backward_outside", &C::step_backward_outside, unknown},
       {"step_wait", &C::step_wait, unknown},
       {"step_row", &C::step_row, unknown},
       {"resident_forward_rate", &C::resident_forward_rate, unknown},
       {"resident_backward_rate", &C::resident_backward_rate, unknown},
       {"resident_forward_outside", &C::resident_forward_outside, unknown},
       {"resident_backward_outside", &C::resident_backward_outside, unknown},
       {"cluster_barrier", &C::cluster_barrier, known},
       {"grid_barrier", &C::grid_barrier, unknown},
       {"modulator", &C::modulator, unknown}}};
  return all;
}

DeviceConstants read_tuning(const std::filesystem::path& path) {
  std::ifstream opened(path);
  if (!opened) throw_error(ErrorCode::io, "PLASTICITY_TUNING_FILE", "a file that can be read", path.string());
  const nlohmann::json file = nlohmann::json::parse(opened, nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded() || !file.is_object())
    bad_key(path, "the file", "a JSON object of `plasticity tune`", "other text");
  if (const auto format = file.find("format"); format == file.end() || *format != tuning_format) {
    bad_key(path, "format", str_cat('"', tuning_format, '"'), format == file.end() ? "none" : format->dump());
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
  const char* value = std::getenv("PLASTICITY_TUNING_FILE");
  return value == nullptr || *value == '\0' ? DeviceConstants{} : read_tuning(value);
}

}  // namespace plasticity::cuda
