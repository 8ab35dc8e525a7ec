#include <cstdio>

#include "device/cuda_api.hpp"
#include "plasticity/version.hpp"
#include "tool/cli/commands.hpp"

namespace plasticity::cli {
namespace {

void print_line(const char* subject, const std::string& value) {
  std::printf("%-14s %s\n", subject, value.c_str());
}

/// Prints lines of the form "subject value", the form of CudaApi::description().
void print_lines(const std::string& lines) {
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', begin), lines.size()), space = lines.find(' ', begin);
    print_line(lines.substr(begin, space - begin).c_str(), lines.substr(space + 1, end - space - 1));
    begin = end + 1;
  }
}

void print_info() {
  const std::string reason = cuda_unavailable_reason();
  std::printf("plasticity %s\n", version());
  print_line("build", PLASTICITY_BUILD);
  print_line("features", "cpu f64 f32 bf16, reference, safetensors, png, idx");
  print_line("cpu", Device::cpu().name());
  print_line("threads", std::to_string(Device::cpu().threads()));
  print_line("isa", cpu_instruction_set() + " of " + PLASTICITY_ISAS);
  print_line("cuda", reason.empty() ? Device::cuda().name() : "none: " + reason);
  if (cuda_api() != nullptr) print_lines(cuda_api()->description());
  print_line("best", Device::best().name());
  for (const char* variable :
       {"PLASTICITY_VERBOSE", "PLASTICITY_THREADS", "PLASTICITY_ISA", "PLASTICITY_CHECKS",
        "PLASTICITY_TUNING_FILE", "PLASTICITY_ARRIVAL", "PLASTICITY_TIME_LIMIT", "PLASTICITY_NCCL"}) {
    const char* value = std::getenv(variable);
    print_line(variable, value == nullptr ? "unset" : value);
  }
}

}  // namespace

void add_info(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("info",
                         "Prints the features of this build and this machine. "
                         "PLASTICITY_VERBOSE=info|dispatch|profile: every command also prints "
                         "its device, its plans or its calls on stderr");
  command->callback([&exit_code] {
    print_info();
    exit_code = 0;
  });
}

}  // namespace plasticity::cli
