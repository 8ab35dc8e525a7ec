#pragma once

#include <exception>
#include <new>

#include "base/throw_error.hpp"
#include "plasticity/plasticity.h"

// No exception crosses the C interface: each becomes a status, and its text this thread's last error.
namespace plasticity::c {

/// Keeps the text and gives the status back.
plasticity_status remember(plasticity_status status, const char* message) noexcept;

/// The status that stands for a code.
plasticity_status status_of(ErrorCode code) noexcept;

/// Runs what a function of the interface does.
template <class Call>
plasticity_status guarded(Call call) noexcept {
  try {
    call();
    return PLASTICITY_OK;
  } catch (const Error& error) {
    return remember(status_of(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return remember(PLASTICITY_OUT_OF_MEMORY, "host memory: expected enough of it, got none");
  } catch (const std::exception& error) {
    return remember(PLASTICITY_INTERNAL, error.what());
  } catch (...) {
    return remember(PLASTICITY_INTERNAL, "an exception of an unknown type");
  }
}

/// What a pointer argument points to. Throws Error(invalid_argument) for null.
template <class T>
T& not_null(T* pointer, const char* name) {
  if (pointer == nullptr) bad_argument(name, "a pointer", "null");
  return *pointer;
}

}  // namespace plasticity::c
