// Google Benchmark's main with three more flags: --cases prints the cases as JSON for bench/run,
// --operation=NAME runs one operation (also "copy"), --tolerance=X overrides the tolerance of the checks. The
// exit code is 1 if a check fails; Google Benchmark itself would exit with 0.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

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

/// Removes `--name=value` from the arguments and returns the value, or null if it is absent.
const char* take(int& argc, char** argv, const char* name) {
  const std::size_t length = std::strlen(name);
  for (int k = 1; k < argc; ++k) {
    if (std::strncmp(argv[k], name, length) != 0 || argv[k][length] != '=') continue;
    const char* value = argv[k] + length + 1;
    for (int rest = k; rest + 1 < argc; ++rest) argv[rest] = argv[rest + 1];
    --argc;
    return value;
  }
  return nullptr;
}

void run(const std::string& operation) {
  using namespace plasticity::bench;
  add_context();
  const bool copies = operation.empty() || operation == "copy";
  if (copies) register_copies();
  const bool others = register_operations(operation);
  if (!copies && !others)
    throw std::invalid_argument("--operation: expected copy, step, forward, backward or training, got " +
                                operation);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--cases") == 0) {
    std::printf("%s\n", plasticity::bench::cases_as_json().c_str());
    return 0;
  }
  const char* operation = take(argc, argv, "--operation");
  const char* tolerance = take(argc, argv, "--tolerance");
  try {
    if (tolerance != nullptr) plasticity::bench::set_tolerance(std::stod(tolerance));
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    run(operation == nullptr ? "" : operation);
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
