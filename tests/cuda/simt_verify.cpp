// simt_verify [--precision f32|bf16] [--execution step|graph|cta|cluster|grid] FILE…: the CUDA kernels, on
// the CPU, on parity cases. Output and exit codes are those of `plasticity verify`.
#include <cstdio>
#include <string>
#include <vector>

#include "base/throw_error.hpp"
#include "simt/schedules.hpp"
#include "tool/parity/plan_runner.hpp"

int main(int count, char** arguments) {
  using namespace plasticity;
  std::vector<std::string> files(arguments + 1, arguments + count);
  Precision precision = Precision::f32;
  Execution execution = Execution::automatic;
  try {
    while (files.size() >= 2 && files[0].starts_with("--")) {
      if (files[0] == "--precision") {
        precision = parse<Precision>(files[1], "--precision");
        if (precision == Precision::f64) bad_argument("--precision", "f32 or bf16", "f64");
      } else if (files[0] == "--execution" || files[0] == "--path") {
        execution = parse<Execution>(files[1], "--execution");
      } else {
        bad_argument("option", "--precision or --execution", files[0]);
      }
      files.erase(files.begin(), files.begin() + 2);
    }
    if (files.empty()) bad_argument("FILE", "at least one parity case", "none");
    int result = 0;
    simt::run([&] {
      parity::PlanRunner runner(Device::cuda(), precision, execution);
      result = parity::verify(files, precision, runner);
    });
    return result;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simt_verify: %s\n", error.what());
    return 2;
  }
}
