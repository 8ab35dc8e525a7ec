#include <cstdio>
#include <span>

#include "base/throw_error.hpp"
#include "device/cuda_api.hpp"
#include "io/atomic_file.hpp"
#include "tool/cli/commands.hpp"

namespace plasticity::cli {
namespace {

Tuning tuning_of(const std::string& measured, double seconds) {
  if (measured.empty()) {
    const Device device = Device::cuda();
    return cuda_api()->tune(device.index(), seconds);
  }
  if (cuda_api() == nullptr)
    throw_error(ErrorCode::unsupported, "--fit", "a build with the CUDA library", "one without");
  return cuda_api()->fit(measured);
}

void write_tuning(const std::string& path, const Tuning& tuning) {
  io::AtomicFile file(path);
  file.write(std::as_bytes(std::span(tuning.file)));
  file.commit();
  std::printf("%s%s: set PLASTICITY_TUNING_FILE=%s to use it\n", tuning.lines.c_str(), path.c_str(),
              path.c_str());
}

}  // namespace

void add_tune(CLI::App& app, int& exit_code) {
  const auto path = std::make_shared<std::string>();
  const auto measured = std::make_shared<std::string>();
  const auto seconds = std::make_shared<double>(40);
  CLI::App* command = app.add_subcommand("tune",
                                         "Times the library on this machine's GPU and writes the constants "
                                         "with which a plan chooses its kernels (PLASTICITY_TUNING_FILE)");
  command->add_option("FILE", *path, "File to write, JSON")->required();
  add_seconds(*command, *seconds, 1, "Time spent on measurements");
  command->add_option("--fit", *measured,
                      "Fits the constants to the times in this file of an earlier run instead; needs no GPU");
  command->callback([path, measured, seconds, &exit_code] {
    write_tuning(*path, tuning_of(*measured, *seconds));
    exit_code = 0;
  });
}

}  // namespace plasticity::cli
