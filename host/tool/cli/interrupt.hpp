#pragma once

namespace plasticity::cli {

/// While one lives, Ctrl-C (SIGINT) and SIGTERM only set a flag, for a loop to end where nothing is half
/// done. A second one ends the program at once.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  bool interrupted() const;
};

}  // namespace plasticity::cli
