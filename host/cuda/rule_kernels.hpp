#pragma once

#include "replay/launch.hpp"
#include "resident/launch.hpp"
#include "step/launch.hpp"

namespace plasticity::cuda {

/// The launch functions of one rule's kernels. A plan looks them up once, so that a launch needs no dispatch.
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

RuleKernels kernels_of(Rule rule);

}  // namespace plasticity::cuda
