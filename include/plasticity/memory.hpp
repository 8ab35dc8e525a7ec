#pragma once

#include <cstddef>

namespace plasticity {

/// A block of the caller's memory on the plan's device, aligned to 64 bytes.
struct Memory {
  void* data = nullptr;   ///< first byte
  std::size_t bytes = 0;  ///< size
};
struct Tape : Memory {};  ///< what forward records for backward; must stay unchanged until backward is done
struct Scratch : Memory {};    ///< working memory of one call; its content is undefined afterwards
struct StepState : Memory {};  ///< the state of a network that runs one step at a time (Plan::step)

}  // namespace plasticity
