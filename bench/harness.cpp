#include "harness.hpp"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <thread>

#include "copy.hpp"

namespace plasticity::bench {
namespace {

using Clock = std::chrono::steady_clock;

bool failed = false;
std::optional<double> tolerance;

/// Evicts everything from the caches: each hardware thread of a CPU writes more than the caches hold, a GPU
/// more than its L2 cache holds.
class Flush {
 public:
  explicit Flush(Device device) : device_(device), memory_(device, bytes(device)) {}

  void operator()() {
    if (device_.kind() == DeviceKind::cuda) {
      fill_zero(device_, {}, memory_.data(), memory_.bytes());
      synchronize(device_, {});
      return;
    }
    const std::size_t threads = std::max(1u, std::thread::hardware_concurrency());
    const std::size_t share = memory_.bytes() / threads;
    ++value_;
    std::vector<std::jthread> all;
    for (std::size_t k = 0; k < threads; ++k)
      all.emplace_back([&, k] {
        volatile char* bytes = static_cast<char*>(memory_.data()) + k * share;
        for (std::size_t at = 0; at < share; at += 64) bytes[at] = value_;
      });
  }

 private:
  static std::size_t bytes(Device device) {
    constexpr std::size_t min_bytes = 64 << 20, bytes_per_thread = 4 << 20;
    if (device.kind() == DeviceKind::cuda) return 256 << 20;
    long size = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
    size = std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0l);
#endif
    return std::max({min_bytes, bytes_per_thread * std::thread::hardware_concurrency(),
                     2 * static_cast<std::size_t>(size)});
  }
  Device device_;
  DeviceMemory memory_;
  char value_ = 0;
};

const Check& checked(const Operation& operation, const Case& c, Device device) {
  static std::map<std::string, Check> known;
  const std::string key = operation.name + operation.contender + c.group + c.name() + device.name();
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  Check& check = known[key] = operation.check(c, device);
  if (tolerance) check.tolerance = *tolerance;
  return check;
}

void run(benchmark::State& state, const Operation& operation, const Case& c, Device device, bool cold) {
  if (const Check& check = checked(operation, c, device); !check.passed()) {
    failed = true;
    char message[160];
    std::snprintf(message, sizeof message, "differs from the reference: %s by %.1e, expected at most %.0e",
                  check.tensor.c_str(), check.error, check.tolerance);
    state.SkipWithError(message);
    return;
  }
  const Work work = operation.prepare(c, device);
  work();
  const Cost cost = operation.cost(c, device);
  const double rate = copy_rate(device, cost.footprint);
  double seconds = 0;
  if (cold) {
    Flush flush(device);
    for (auto _ : state) {
      flush();
      const Clock::time_point start = Clock::now();
      work();
      const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
      state.SetIterationTime(elapsed);
      seconds += elapsed;
    }
  } else {
    const Clock::time_point start = Clock::now();
    for (auto _ : state) work();
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  const double calls = static_cast<double>(state.iterations());
  const double steps = static_cast<double>(operation.steps(c));
  state.counters["ms_per_step"] = 1e3 * seconds / calls / steps;
  state.counters["floor_ms_per_step"] = 1e3 * cost.bytes / rate / steps;
  state.counters["percent_of_copy"] = 100 * cost.bytes * calls / seconds / rate;
  state.counters["bytes"] = cost.bytes;
  state.counters["flops"] = cost.flops;
  state.counters["gflops_per_second"] = 1e-9 * cost.flops * calls / seconds;
  state.SetBytesProcessed(static_cast<std::int64_t>(cost.bytes * calls));
}

}  // namespace

bool register_operations(const std::string& name) {
  bool any = false;
  for (const Operation& operation : operations()) {
    if (!name.empty() && operation.name != name) continue;
    any = true;
    for (const Case& c : cases()) {
      for (const Device device : devices()) {
        if (!operation.applies(c, device)) continue;
        for (const bool cold : {false, true}) {
          if (cold && (c.group != "experiments" || operation.contender != "plasticity")) continue;
          const std::string full = operation.name + "/" + c.group + "/" + c.name() + "/" +
                                   operation.contender + "/" + to_string(device.kind()) +
                                   (cold ? "/cold" : "/warm");
          auto* one = benchmark::RegisterBenchmark(full.c_str(),
                                                   [&operation, &c, device, cold](benchmark::State& state) {
                                                     run(state, operation, c, device, cold);
                                                   });
          one->Unit(benchmark::kMillisecond);
          if (cold)
            one->UseManualTime();
          else
            one->UseRealTime();
        }
      }
    }
  }
  return any;
}

void set_tolerance(double value) { tolerance = value; }
bool failures() { return failed; }

}  // namespace plasticity::bench
