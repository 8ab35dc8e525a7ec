#pragma once

#include "step/params.hpp"

namespace plasticity::cuda {

/// Blocks of a step kernel: one per tile of columns and per `elements` batch elements. CudaPlan has checked
/// that a launch can have that many.
inline unsigned step_blocks(const StepParams& p, int elements) {
  return static_cast<unsigned>((p.B + elements - 1) / elements * p.tiles);
}

}  // namespace plasticity::cuda
