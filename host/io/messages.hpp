#pragma once

#include <cerrno>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/throw_error.hpp"

namespace plasticity::io {

/// What the system says about an error number. (std::strerror is not thread-safe.)
inline std::string system_message(int error = errno) { return std::generic_category().message(error); }

/// Text from a file made fit for a message: one short line of printable characters.
inline std::string printable(std::string_view text, std::size_t limit = 120) {
  std::string out;
  for (const char c : text.substr(0, limit)) out += (c >= ' ' && c <= '~') ? c : '?';
  if (text.size() > limit) out += "...";
  return out;
}

inline std::string in_quotes(std::string_view name) { return '"' + printable(name) + '"'; }

/// Runs `body`, and turns what the standard library throws into Error, so that a caller meets one type only.
template <class Body>
auto as_errors(const std::string& file, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw_error(ErrorCode::out_of_memory, file, "memory for its content", "none");
  } catch (const std::length_error&) {
    throw_error(ErrorCode::out_of_memory, file, "content that memory can hold", "more");
  } catch (const std::exception& error) {
    throw_error(ErrorCode::io, file, "to read or write it", printable(error.what(), 300));
  }
}

}  // namespace plasticity::io
