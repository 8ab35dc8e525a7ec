// How a test runs kernels: once, or under many schedules. Free of CUDA headers.
#pragma once

#include <functional>
#include <string>

#include "simt/config.hpp"

namespace simt {

/// Runs `body`, which launches kernels, and waits for them. Throws simt::Error with the executor's message if
/// a kernel broke a rule. Resets the runtime and its controls before and after (runtime::reset()).
void run(const std::function<void()>& body);

/// How many data races ThreadSanitizer has reported so far; 0 without it.
int races();

struct Outcome {
  int runs = 0, failures = 0;
  std::string first_failure;  ///< the message, and how to reproduce it; or empty
};

/// As run(), repeatedly: in forward and reverse order, then `random_runs` times by turns in random and
/// in priority order, each with a seed of its own. A run fails if `body` returns false or throws. `body` must
/// synchronize (cudaDeviceSynchronize) before it compares results.
///
/// Under ThreadSanitizer a data race that it reports is a failure too (it reports each race once).
///
/// With SIMT_ORDER or SIMT_SEED in the environment only that one schedule is run: this is how a failure is
/// replayed.
Outcome try_schedules(int random_runs, const std::function<bool()>& body);

/// Restores config() at the end of a scope.
class KeepConfig {
 public:
  KeepConfig() : kept_(config()) {}
  ~KeepConfig() { config() = kept_; }
  KeepConfig(const KeepConfig&) = delete;
  KeepConfig& operator=(const KeepConfig&) = delete;

 private:
  Config kept_;
};

}  // namespace simt
