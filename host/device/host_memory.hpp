#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include "base/throw_error.hpp"

namespace plasticity {

/// Throws Error(out_of_memory) for an allocation of `bytes` bytes of host memory.
[[noreturn, gnu::cold]] inline void throw_out_of_host_memory(std::size_t bytes) {
  throw_error(ErrorCode::out_of_memory, "host memory", str_cat(bytes, " bytes"), "none");
}

/// Resizes a vector of outputs. Throws Error(out_of_memory), as DeviceMemory does.
template <class Real>
void resize_host(std::vector<Real>& values, std::int64_t elements) {
  try {
    values.resize(static_cast<std::size_t>(elements));
  } catch (const std::exception&) {  // bad_alloc, or length_error for a size that no memory has
    throw_out_of_host_memory(static_cast<std::size_t>(elements) * sizeof(Real));
  }
}

}  // namespace plasticity
