#pragma once

#include <string>

namespace plasticity {

/// The log level of the environment variable PLASTICITY_VERBOSE. Each level includes the previous ones.
enum class Verbosity { off, info, dispatch, profile };

/// Returns the log level. The variable is read once.
Verbosity verbosity();

/// Writes one line to stderr.
void log_line(const std::string& line);

/// Writes the line that `make_line()` returns if the log level is at least `level`.
template <class MakeLine>
void log(Verbosity level, MakeLine make_line) {
  if (verbosity() >= level) log_line(make_line());
}

}  // namespace plasticity
