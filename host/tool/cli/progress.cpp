#include "tool/cli/progress.hpp"

#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace plasticity::cli {

std::string duration(double seconds) {
  const auto total = std::lround(seconds);
  char text[32];
  if (total < 60) {
    std::snprintf(text, sizeof text, "%ld s", total);
  } else if (total < 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld", total / 60, total % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
  }
  return text;
}

Progress::Progress(std::int64_t first, std::int64_t total)
    : first_(first), total_(total), terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { end_line(); }

void Progress::show(std::int64_t done, const std::string& status) {
  const Clock::time_point now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  std::string left = "?";
  if (done > first_) {
    left = duration(elapsed * static_cast<double>(total_ - done) / static_cast<double>(done - first_));
  }
  const double part = total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1;
  if (!terminal_) {
    const auto twentieth = static_cast<std::int64_t>(part * 20);
    if (twentieth == printed_) return;
    printed_ = twentieth;
    std::fprintf(stderr, "%3.0f %%  %s  %s left\n", 100 * part, status.c_str(), left.c_str());
    return;
  }
  if (done < total_ && now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  constexpr int width = 24;
  const int filled = static_cast<int>(part * width);
  const std::string bar = std::string(static_cast<std::size_t>(filled), '#') +
                          std::string(static_cast<std::size_t>(width - filled), '.');
  std::fprintf(stderr, "\r[%s] %3.0f %%  %s  %s left \x1b[K", bar.c_str(), 100 * part, status.c_str(),
               left.c_str());
  std::fflush(stderr);
  line_open_ = true;
}

void Progress::end_line() {
  if (line_open_) std::fputc('\n', stderr);
  line_open_ = false;
}

}  // namespace plasticity::cli
