#pragma once

namespace plasticity::cli {

/// Lets a loop end between two iterations. While a guard exists, the first SIGINT (Ctrl-C) or SIGTERM only
/// is remembered. The second one ends the program.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  int signal() const;  ///< the signal, or 0
};

}  // namespace plasticity::cli
