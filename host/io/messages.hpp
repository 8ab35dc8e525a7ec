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

/// Returns the system's message for an error number. (std::strerror is not thread-safe.)
inline std::string system_message(int error = errno) { return std::generic_category().message(error); }

/// Converts text from a file for a message: one line of printable characters, at most `limit` of them.
inline std::string printable(std::string_view text, std::size_t limit = 120) {
  std::string out;
  for (const char c : text.substr(0, limit)) out += (c >= ' ' && c <= '~') ? c : '?';
  if (text.size() > limit) out += "...";
  return out;
}

inline std::string in_quotes(std::string_view name) { return '"' + printable(name) + '"'; }

/// Throws Error(io) with the message "`file`: cannot `action`: `reason`".
[[noreturn]] inline void throw_io_error(const std::string& file, const std::string& action,
                                        const std::string& reason = system_message()) {
  throw Error(ErrorCode::io, file + ": cannot " + action + ": " + reason);
}

/// Runs `body` and converts exceptions of the standard library to Error.
template <class Body>
auto as_errors(const std::string& file, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, file + ": not enough memory for its content");
  } catch (const std::length_error&) {
    throw Error(ErrorCode::out_of_memory, file + ": not enough memory for its content");
  } catch (const std::exception& error) {
    throw_io_error(file, "read or write it", printable(error.what(), 300));
  }
}

}  // namespace plasticity::io
