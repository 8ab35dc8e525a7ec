#pragma once

#include <string>

namespace plasticity {

/// What PLASTICITY_VERBOSE in the environment asks for; each level includes the ones before. Read once.
enum class Verbosity { off, info, dispatch, profile };
Verbosity verbosity();

/// Writes one line to stderr.
void log_line(const std::string& line);

/// Writes the line that `make_line()` gives, if the level is asked for.
template <class MakeLine>
void log(Verbosity level, MakeLine make_line) {
  if (verbosity() >= level) log_line(make_line());
}

}  // namespace plasticity
