#include <cstdio>

#include "cli/commands.hpp"
#include "plasticity/version.hpp"

namespace plasticity::cli {
namespace {

void print_info() {
  const std::string reason = cuda_unavailable_reason();
  std::printf("plasticity %s\n", version());
  std::printf("device     %s\n", Device::cpu().name().c_str());
  std::printf("cuda       %s\n",
              reason.empty() ? Device::cuda().name().c_str() : ("none: " + reason).c_str());
  std::printf("threads    %d\n", Device::cpu().threads());
  std::printf("isa        %s\n", cpu_instruction_set().c_str());
  std::printf("features   cpu f64 f32 bf16, reference, safetensors, png, idx\n");
  std::printf("best       %s\n", Device::best().name().c_str());
}

}  // namespace

void add_info(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("info", "What this build and this machine have");
  command->callback([&exit_code] {
    print_info();
    exit_code = 0;
  });
}

}  // namespace plasticity::cli
