#pragma once

#include <cstddef>

namespace plasticity {

/// A block of the caller's memory on the plan's device, aligned to 64 bytes.
struct Memory {
  void* data = nullptr;   ///< first byte
  std::size_t bytes = 0;  ///< size in bytes
};
/// Records a forward pass for backward. Must stay unchanged until backward is done.
struct Tape : Memory {};
/// Working memory of one call. Its content is undefined after the call.
struct Scratch : Memory {};
/// The state between calls of Plan::step.
struct StepState : Memory {};

}  // namespace plasticity
