#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "plasticity/config.h"

namespace plasticity {

/// What kind of thing went wrong. The message of the Error says which argument, what was expected, what came.
enum class ErrorCode {
  invalid_argument,    ///< an argument has the wrong size, value or combination
  invalid_spec,        ///< a Spec asks for a mix that the equations do not define
  unsupported,         ///< a legal request that this build or device cannot serve
  device_unavailable,  ///< the device asked for is not there; the message says why
  out_of_memory,       ///< an allocation failed; nothing was changed
  io,                  ///< a file could not be opened, read or written
  format,              ///< a file's content is not what its format demands
};

/// The name of a code as it stands in the enumeration: "invalid_argument", …
PLASTICITY_API std::string_view to_string(ErrorCode code);

/// The one exception type of the library (beside std::bad_alloc, where the host has no memory left for a few
/// words of its own).
class PLASTICITY_API Error : public std::runtime_error {
 public:
  /// `message`: "argument: expected …, got …".
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }  ///< the kind; what() is the message

 private:
  ErrorCode code_;
};

}  // namespace plasticity
