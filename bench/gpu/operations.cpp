// Checks the operations of bench/ on the GPU against the reference and times them. Prints a line of JSON per
// operation and case at once, so that a run that is cut off keeps them. Google Benchmark is not used:
// distributions have it as a shared library only, and the GPU kit needs no library that a machine may lack.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "../harness.hpp"

namespace plasticity::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr int no_gpu = 3;
constexpr std::size_t min_calls = 5;

struct Options {
  double seconds = 0.1;  // spent on a case
  std::string group;     // of cases; empty: all
  bool list = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int k = 1; k < argc; ++k) {
    const std::string word = argv[k];
    const auto value = [&]() -> std::string {
      if (++k == argc) throw std::invalid_argument(word + ": expected a value");
      return argv[k];
    };
    if (word == "--list") {
      options.list = true;
    } else if (word == "--group") {
      options.group = value();
    } else if (word == "--seconds") {
      const std::string text = value();
      char* end = nullptr;
      options.seconds = std::strtod(text.c_str(), &end);
      if (end == text.c_str() || *end != '\0' || !(options.seconds >= 0 && options.seconds <= 3600))
        throw std::invalid_argument("--seconds: expected 0 to 3600, got " + text);
    } else {
      throw std::invalid_argument("expected --seconds S, --group NAME or --list, got " + word);
    }
  }
  const auto known = [&](const Case& c) { return options.group.empty() || c.group == options.group; };
  if (std::none_of(cases().begin(), cases().end(), known))
    throw std::invalid_argument("--group: expected the group of a case, got " + options.group);
  return options;
}

/// Checks, then times: the median of calls for about `seconds`.
Json measure(const Operation& operation, const Case& c, Device device, double seconds) {
  const Check check = operation.check(c, device);
  if (!check.passed()) {
    char text[200];
    std::snprintf(text, sizeof text, "differs from the reference: %s by %.1e, expected at most %.0e",
                  check.tensor.c_str(), check.error, check.tolerance);
    return {{"error", text}};
  }
  const Work work = operation.prepare(c, device);
  work();  // warms up
  std::vector<double> times;
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point start = Clock::now();
    work();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  } while (times.size() < min_calls || std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  std::sort(times.begin(), times.end());
  const double per_step = 1 / static_cast<double>(operation.steps(c));
  return {{"ms_per_step", times[times.size() / 2] * per_step},
          {"ms_per_step_range", {times.front() * per_step, times.back() * per_step}},
          {"calls", times.size()},
          {"bytes", operation.cost(c, device).bytes}};
}

int run(const Options& options) {
  const std::string reason = cuda_unavailable_reason();
  if (!options.list && !reason.empty()) {
    std::fprintf(stderr, "gpu_operations: no GPU: %s\n", reason.c_str());
    return no_gpu;
  }
  const Device device = options.list ? Device::cpu() : Device::cuda();
  bool failed = false;
  for (const Operation& operation : operations()) {
    for (const Case& c : cases()) {
      if (!options.group.empty() && c.group != options.group) continue;
      if (!options.list && !operation.applies(c, device)) continue;
      Json line = {{"operation", operation.name},
                   {"group", c.group},
                   {"case", c.name()},
                   {"contender", operation.contender}};
      if (!options.list) {
        try {
          line.update(measure(operation, c, device, options.seconds));
        } catch (const std::exception& error) {
          line["error"] = error.what();
        }
        failed = failed || line.contains("error");
      }
      std::printf("%s\n", line.dump().c_str());
      std::fflush(stdout);
    }
  }
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace plasticity::bench

int main(int argc, char** argv) {
  try {
    return plasticity::bench::run(plasticity::bench::parse(argc, argv));
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "gpu_operations: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_operations: %s\n", error.what());
    return 1;
  }
}
