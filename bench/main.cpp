// Google Benchmark's main, and: --cases prints the cases as JSON for bench/run; a failed check makes the exit
// code 1 (Google Benchmark itself would end with 0).
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <exception>

#include "harness.hpp"

namespace {

void add_context() {
  using namespace plasticity;
  benchmark::AddCustomContext("plasticity", version());
  benchmark::AddCustomContext("device", Device::cpu().name());
  benchmark::AddCustomContext("compiler", __VERSION__);
  const std::string reason = cuda_unavailable_reason();
  benchmark::AddCustomContext("cuda", reason.empty() ? Device::cuda().name() : "not measured: " + reason);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--cases") == 0) {
    std::printf("%s\n", plasticity::bench::cases_as_json().c_str());
    return 0;
  }
  try {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    add_context();
    plasticity::bench::register_copies();
    plasticity::bench::register_operations();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "plasticity_bench: %s\n", error.what());
    return 1;
  }
  if (plasticity::bench::failures()) {
    std::fprintf(stderr, "plasticity_bench: a result differs from the reference, see above\n");
    return 1;
  }
  return 0;
}
