#include "base/log.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace plasticity {

Verbosity verbosity() {
  static const Verbosity level = [] {
    const char* value = std::getenv("PLASTICITY_VERBOSE");
    const std::string_view name = value == nullptr ? "" : value;
    if (name.empty() || name == "off" || name == "0") return Verbosity::off;
    if (name == "info") return Verbosity::info;
    if (name == "dispatch") return Verbosity::dispatch;
    if (name == "profile") return Verbosity::profile;
    log_line("PLASTICITY_VERBOSE: expected info, dispatch or profile, got '" + std::string(name) +
             "'; using info");
    return Verbosity::info;
  }();
  return level;
}

void log_line(const std::string& line) { std::fprintf(stderr, "plasticity: %s\n", line.c_str()); }

}  // namespace plasticity
