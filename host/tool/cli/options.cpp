#include <algorithm>
#include <cstdlib>

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
  const Device device = device_of(name, threads);
  const LocalRanks local = local_ranks();
  if (device.kind() == DeviceKind::cuda) return Device::cuda(local.rank);
  const char* const chosen = std::getenv("PLASTICITY_THREADS");
  if (threads != 0 || (chosen != nullptr && *chosen != '\0')) return device;
  return Device::cpu(std::max(1, device.threads() / local.size));
}

}  // namespace plasticity::cli
