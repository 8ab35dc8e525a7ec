#include <algorithm>
#include <cstdlib>
#include <limits>
#include <optional>

#include "base/exact_text.hpp"
#include "base/throw_error.hpp"
#include "plasticity/communicator.hpp"
#include "plasticity/plan.hpp"
#include "plasticity/spec.hpp"
#include "tool/cli/commands.hpp"

namespace plasticity::cli {

template <class Enum>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Enum& value, const std::string& help) {
  std::vector<std::string> legal;
  for (const std::string_view each : names<Enum>()) legal.emplace_back(each);
  return app
      .add_option_function<std::string>(
          name, [&value, name](const std::string& text) { value = parse<Enum>(text, name); }, help)
      ->check(CLI::IsMember(legal))
      ->default_str(std::string(to_string(value)));
}

template CLI::Option* add_choice(CLI::App&, const std::string&, Cell&, const std::string&);
template CLI::Option* add_choice(CLI::App&, const std::string&, Rule&, const std::string&);
template CLI::Option* add_choice(CLI::App&, const std::string&, Rate&, const std::string&);
template CLI::Option* add_choice(CLI::App&, const std::string&, Eligibility&, const std::string&);
template CLI::Option* add_choice(CLI::App&, const std::string&, Granularity&, const std::string&);
template CLI::Option* add_choice(CLI::App&, const std::string&, Activation&, const std::string&);
template CLI::Option* add_choice(CLI::App&, const std::string&, ModulatorSource&, const std::string&);
template CLI::Option* add_choice(CLI::App&, const std::string&, Precision&, const std::string&);
template CLI::Option* add_choice(CLI::App&, const std::string&, Execution&, const std::string&);

CLI::Option* add_whole_number(CLI::App& app, const std::string& name, std::uint64_t& value,
                              const std::string& help) {
  const auto check = [](const std::string& text) {
    if (parse_number<std::uint64_t>(text)) return std::string();
    return str_cat("expected a whole number from 0 to ", std::numeric_limits<std::uint64_t>::max(), ", got '",
                   text, '\'');
  };
  return app
      .add_option_function<std::string>(
          name, [&value](const std::string& text) { value = *parse_number<std::uint64_t>(text); }, help)
      ->check(check)
      ->type_name("UINT")
      ->default_str(std::to_string(value));
}

CLI::Option* add_seconds(CLI::App& app, double& value, double min, const std::string& help) {
  static constexpr double max = 3600;
  const auto check = [min](const std::string& text) {
    const std::optional<double> seconds = parse_number<double>(text);
    if (seconds && *seconds >= min && *seconds <= max) return std::string();
    return str_cat("expected a number from ", min, " to ", max, ", got '", text, '\'');
  };
  return app.add_option("--seconds", value, help)->check(check)->capture_default_str();
}

void refuse_options_as_values(CLI::App& app) {
  for (CLI::Option* const option : app.get_options()) {
    if (!option->nonpositional() || option->get_items_expected_max() == 0) continue;
    option->check([](const std::string& value) {
      return value.starts_with("--") ? str_cat("expected a value, got the option '", value, '\'')
                                     : std::string();
    });
  }
  for (CLI::App* const command : app.get_subcommands([](CLI::App*) { return true; }))
    refuse_options_as_values(*command);
}

Device device_of(const std::string& name, int threads) {
  if (name == "cuda") return Device::cuda();
  if (name == "best" && Device::best().kind() == DeviceKind::cuda) return Device::best();
  return Device::cpu(threads);
}

Device device_of_rank(const std::string& name, int threads) {
  const LocalRanks local = local_ranks();
  if (name == "cuda") return Device::cuda(local.rank);
  if (name == "best" && cuda_unavailable_reason().empty()) {
    try {
      return Device::cuda(local.rank);  // not Device::best(), which creates a context on GPU 0
    } catch (const Error&) {
      if (Device::best().kind() == DeviceKind::cuda) throw;
    }
  }
  const Device device = Device::cpu(threads);
  const char* const chosen = std::getenv("PLASTICITY_THREADS");
  if (threads != 0 || (chosen != nullptr && *chosen != '\0')) return device;
  return Device::cpu(std::max(1, device.threads() / local.size));
}

}  // namespace plasticity::cli
