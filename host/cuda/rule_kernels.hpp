#pragma once

#include "nonplastic/launch.hpp"
#include "replay/launch.hpp"
#include "resident/launch.hpp"
#include "step/launch.hpp"

namespace plasticity::cuda {

/// The launch functions of the kernels of a spec. A plan looks them up once, so that a launch needs no
/// dispatch.
struct RuleKernels {
  void (*launch_step)(const ForwardStep&, bool wide, cudaStream_t);
  void (*launch_flush)(const Flush&, cudaStream_t);
  void (*launch_backward_step)(const BackwardStep&, Variant, cudaStream_t);
  void (*launch_segment)(const Segment&, bool wide, cudaStream_t);
  void (*launch_replay)(const Replay&, Variant, cudaStream_t);
  void (*launch_resident_forward)(const ResidentForward&, cudaStream_t);
  void (*launch_resident_backward)(const ResidentBackward&, cudaStream_t);
  std::int64_t (*max_forward_groups)(const NetworkTraits&, Eligibility, const GroupShape&);
  std::int64_t (*max_backward_groups)(const NetworkTraits&, Eligibility, bool bf16, const GroupShape&);
};

/// Returns the kernels of a spec. Those of a cell without a plastic part are null, except those of a step.
RuleKernels kernels_of(const Spec& spec);

}  // namespace plasticity::cuda
