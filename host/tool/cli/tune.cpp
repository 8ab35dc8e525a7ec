#include <cstdio>
#include <span>

#include "device/cuda_api.hpp"
#include "io/atomic_file.hpp"
#include "tool/cli/commands.hpp"

namespace plasticity::cli {
namespace {

void write_tuning(const std::string& path, double seconds) {
  const Device device = Device::cuda();
  const Tuning tuning = cuda_api()->tune(device.index(), seconds);
  io::AtomicFile file(path);
  file.write(std::as_bytes(std::span(tuning.file)));
  file.commit();
  std::printf("%s%s: set PLASTICITY_TUNING=%s to use it\n", tuning.lines.c_str(), path.c_str(), path.c_str());
}

}  // namespace

void add_tune(CLI::App& app, int& exit_code) {
  const auto path = std::make_shared<std::string>();
  const auto seconds = std::make_shared<double>(60);
  CLI::App* command = app.add_subcommand("tune",
                                         "Times the library on this machine's GPU and writes the constants "
                                         "with which a plan chooses its kernels (PLASTICITY_TUNING)");
  command->add_option("FILE", *path, "File to write, JSON")->required();
  command->add_option("--seconds", *seconds, "Time spent on measurements")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  command->callback([path, seconds, &exit_code] {
    write_tuning(*path, *seconds);
    exit_code = 0;
  });
}

}  // namespace plasticity::cli
