#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace plasticity::cli {

/// Formats seconds as "12 s", "1:05" or "2:03:04".
std::string duration(double seconds);

/// Shows the progress of a long run and the time left on stderr: on a terminal as a bar, otherwise as one
/// line per twentieth of the run.
class Progress {
 public:
  /// `first`: iterations done before this run.
  Progress(std::int64_t first, std::int64_t total);
  ~Progress();

  /// Shows that `done` of the total are done, and a status text.
  void show(std::int64_t done, const std::string& status);

  /// Ends the line of the bar, before other output.
  void end_line();

 private:
  using Clock = std::chrono::steady_clock;
  std::int64_t first_, total_;
  bool terminal_;
  bool line_open_ = false;
  std::int64_t printed_ = -1;  // twentieths done at the last plain line
  Clock::time_point start_ = Clock::now(), drawn_{};
};

}  // namespace plasticity::cli
