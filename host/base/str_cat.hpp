#pragma once

#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

namespace plasticity {

/// Appends a printable value as a stream of the classic locale prints it: without digit grouping, and with a
/// decimal point. Text and integers do not need a stream, which is slow.
template <class Part>
void append_printed(std::string& text, const Part& part) {
  if constexpr (std::is_convertible_v<const Part&, std::string_view>) {
    text.append(std::string_view(part));
  } else if constexpr (std::is_same_v<Part, char>) {
    text.push_back(part);
  } else if constexpr (std::is_integral_v<Part> && sizeof(Part) > 1) {
    text.append(std::to_string(part));
  } else {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << part;
    text.append(out.str());
  }
}

/// Concatenates printable values: `str_cat("got ", 3, " of ", name)`.
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::string text;
  (append_printed(text, parts), ...);
  return text;
}

}  // namespace plasticity
