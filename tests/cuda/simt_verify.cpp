// simt_verify [--precision f32|bf16] FILE…: the CUDA kernels, on the CPU, on parity cases. Output and exit
// codes are those of `plasticity verify`.
#include <cstdio>
#include <string>
#include <vector>

#include "fail.hpp"
#include "parity/plan_runner.hpp"
#include "simt/schedules.hpp"

int main(int count, char** arguments) {
  using namespace plasticity;
  std::vector<std::string> files(arguments + 1, arguments + count);
  Precision precision = Precision::f32;
  try {
    if (files.size() >= 2 && files[0] == "--precision") {
      precision = parse<Precision>(files[1], "--precision");
      if (precision == Precision::f64) bad_argument("--precision", "f32 or bf16", "f64");
      files.erase(files.begin(), files.begin() + 2);
    }
    if (files.empty()) bad_argument("FILE", "at least one parity case", "none");
    int result = 0;
    simt::run([&] {
      parity::PlanRunner runner(Device::cuda(), precision);
      result = parity::verify(files, precision, runner);
    });
    return result;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simt_verify: %s\n", error.what());
    return 2;
  }
}
