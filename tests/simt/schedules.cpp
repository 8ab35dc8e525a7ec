// Runs a test under one schedule or many, and collects its failures.
#include "simt/schedules.hpp"

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdlib>

#include "simt/runtime.hpp"

namespace simt {
namespace {

std::atomic<int> reported_races = 0;

}  // namespace
}  // namespace simt

#if defined(SIMT_TSAN)
// TSan calls these. Blocks and runs reuse memory, so an address that raced once may race again, elsewhere.
extern "C" void __tsan_on_report(void*) { ++simt::reported_races; }
extern "C" [[gnu::weak]] const char* __tsan_default_options() { return "suppress_equal_addresses=0"; }
#endif

namespace simt {
namespace {

void wait_for_kernels() {
  if (cudaDeviceSynchronize() == cudaSuccess) return;
  const std::string message = runtime::last_message();
  throw Error(message.empty() ? "a CUDA call failed" : message);
}

/// The message of the failure, or an empty string.
std::string failure_of(const std::function<bool()>& body) {
  runtime::reset();
  const int races_before = races();
  std::string failure;
  bool good = false;
  try {
    good = body();
    wait_for_kernels();
  } catch (const std::exception& e) {
    // If the body threw because of a kernel, the executor has the more precise message.
    failure = runtime::last_message().empty() ? e.what() : runtime::last_message();
  }
  if (failure.empty() && !good)
    failure = runtime::last_message().empty() ? "wrong result" : runtime::last_message();
  if (failure.empty() && races() != races_before)
    failure = "a data race, which ThreadSanitizer has reported above";
  runtime::reset();
  return failure;
}

}  // namespace

int races() { return reported_races; }

void run(const std::function<void()>& body) {
  const std::string failure = failure_of([&] {
    body();
    return true;
  });
  if (!failure.empty()) throw Error(failure);
}

Outcome try_schedules(int random_runs, const std::function<bool()>& body) {
  const KeepConfig keep;
  const bool replay = std::getenv("SIMT_ORDER") || std::getenv("SIMT_SEED");
  Outcome outcome;
  for (int i = 0; i < (replay ? 1 : random_runs + 2); ++i) {
    if (!replay) {
      // Seeds by pairs, so that either order meets odd and even ones (which differ in how blocks are run).
      config().order = i == 0   ? Order::forward
                       : i == 1 ? Order::reverse
                       : i % 2  ? Order::priority
                                : Order::random;
      config().seed = std::uint64_t(i / 2);
    }
    ++outcome.runs;
    const std::string failure = failure_of(body);
    if (failure.empty()) continue;
    if (!outcome.failures++)
      outcome.first_failure = failure + "\n  again with SIMT_ORDER=" + order_names[int(config().order)] +
                              " SIMT_SEED=" + std::to_string(config().seed);
  }
  return outcome;
}

}  // namespace simt
