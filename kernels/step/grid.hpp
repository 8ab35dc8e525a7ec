#pragma once

#include "step/params.hpp"

namespace plasticity::cuda {

/// Blocks of a step kernel: one per tile of columns of each batch element. CudaPlan has checked that a launch
/// can have that many.
inline unsigned step_blocks(const StepParams& p) { return static_cast<unsigned>(p.B * p.tiles); }

}  // namespace plasticity::cuda
