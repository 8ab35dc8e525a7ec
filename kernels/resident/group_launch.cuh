// The launch of groups of blocks, and the choice of a kernel by the part of a thread.
#pragma once

#include <stdexcept>

#include "common/launch.hpp"
#include "resident/shape.hpp"
#include "rules/dispatch.hpp"

namespace plasticity::cuda {

/// The launch of `groups` groups of blocks, each block with that many floats of shared memory.
inline LaunchConfig group_launch(const GroupShape& shape, std::int64_t groups, std::int64_t floats,
                                 cudaStream_t stream) {
  return {.grid = static_cast<unsigned>(groups * shape.blocks),
          .block = static_cast<unsigned>(shape.threads()),
          .shared_bytes = static_cast<std::size_t>(floats) * sizeof(float),
          .stream = stream,
          .cooperative = shape.kind == GroupKind::grid,
          .cluster = static_cast<unsigned>(shape.kind == GroupKind::cluster ? shape.blocks : 1)};
}

/// Returns run.operator()<shape>().
template <class Run>
auto dispatch_thread_shape(ThreadShape shape, Run run) {
  switch (shape) {
    case ThreadShape::rows_8x4: return run.template operator()<ThreadShape::rows_8x4>();
    case ThreadShape::rows_8x4_half: return run.template operator()<ThreadShape::rows_8x4_half>();
    case ThreadShape::rows_16x4: return run.template operator()<ThreadShape::rows_16x4>();
    case ThreadShape::rows_32x1: return run.template operator()<ThreadShape::rows_32x1>();
  }
  throw std::logic_error("thread shape: expected a value of its enumeration");
}

}  // namespace plasticity::cuda
