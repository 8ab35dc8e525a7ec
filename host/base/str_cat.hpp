#pragma once

#include <sstream>
#include <string>

namespace plasticity {

/// Concatenates printable values: `str_cat("got ", 3, " of ", name)`.
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace plasticity
