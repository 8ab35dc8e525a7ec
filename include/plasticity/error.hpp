#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "plasticity/config.h"

namespace plasticity {

/// The kind of an error. The message of the Error names the argument, the expected value and the actual
/// value.
enum class ErrorCode {
  invalid_argument,    ///< an argument has the wrong size, value or combination
  invalid_spec,        ///< the equations do not define this combination of Spec fields
  unsupported,         ///< a valid request that this build or device does not support
  device_unavailable,  ///< the device does not exist or cannot be used; the message says why
  out_of_memory,       ///< an allocation failed; nothing was changed
  io,                  ///< a file could not be opened, read or written
  format,              ///< the content of a file does not follow its format
  communication,       ///< a rank of a Communicator has ended, hangs, or made another call
};

/// Returns the name of the enumerator, for example "invalid_argument".
PLASTICITY_API std::string_view to_string(ErrorCode code);

/// The exception type of the library. The only other exception is std::bad_alloc, if a small host allocation
/// fails.
class PLASTICITY_API Error : public std::runtime_error {
 public:
  /// `message` has the form "argument: expected …, got …".
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }  ///< the kind of the error

 private:
  ErrorCode code_;
};

}  // namespace plasticity
