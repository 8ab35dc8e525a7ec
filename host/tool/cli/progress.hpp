#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace plasticity::cli {

/// "1:05", "12 s", "2:03:04".
std::string duration(double seconds);

/// Shows how far a long run is, and the time left: a bar that is redrawn on a terminal, a plain line every
/// twentieth of the way elsewhere. Writes to stderr.
class Progress {
 public:
  /// `first` is where a resumed run begins.
  Progress(std::int64_t first, std::int64_t total);
  ~Progress();

  /// `done` of the total are done; `status` says how it stands.
  void show(std::int64_t done, const std::string& status);

  /// Ends the bar's line, so that other text can follow.
  void end_line();

 private:
  using Clock = std::chrono::steady_clock;
  std::int64_t first_, total_;
  bool terminal_;
  bool line_open_ = false;
  std::int64_t shown_ = -1;  // twentieths, of the last plain line
  Clock::time_point start_ = Clock::now(), drawn_{};
};

}  // namespace plasticity::cli
