#pragma once

namespace plasticity::cli {

/// Lets a loop end between two iterations. While a guard exists, the first SIGINT (Ctrl-C), SIGTERM or
/// SIGHUP (a closed terminal) only is remembered. The second one ends the program. SIGHUP stays ignored if
/// the program was started so, as by nohup.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  int signal() const;  ///< the signal, or 0
};

}  // namespace plasticity::cli
