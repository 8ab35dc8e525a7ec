#pragma once

#include <cstdint>
#include <exception>
#include <new>

#include "base/throw_error.hpp"
#include "plasticity/plasticity.h"

// Converts exceptions to statuses. No exception leaves the C interface; its message becomes this thread's
// last error.
namespace plasticity::c {

/// Stores the message as this thread's last error and returns `status`.
plasticity_status store_error(plasticity_status status, const char* message) noexcept;

/// Returns the number of errors that this thread has stored.
std::uint64_t stored_errors() noexcept;

/// Returns the status of an error code.
plasticity_status status_of(ErrorCode code) noexcept;

/// Runs the body of an interface function, and returns its status.
template <class Call>
plasticity_status guarded(Call call) noexcept {
  try {
    call();
    return PLASTICITY_OK;
  } catch (const Error& error) {
    return store_error(status_of(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return store_error(PLASTICITY_OUT_OF_MEMORY, "host memory: allocation failed");
  } catch (const std::exception& error) {
    return store_error(PLASTICITY_INTERNAL, error.what());
  } catch (...) {
    return store_error(PLASTICITY_INTERNAL, "unknown exception");
  }
}

/// Dereferences a pointer argument. Throws Error(invalid_argument) for null.
template <class T>
T& not_null(T* pointer, const char* name) {
  if (pointer == nullptr) bad_argument(name, "a pointer", "null");
  return *pointer;
}

}  // namespace plasticity::c
