#include "cuda/rule_kernels.hpp"

#include "rules/dispatch.hpp"

namespace plasticity::cuda {

RuleKernels kernels_of(Rule rule) {
  return dispatch_rule(rule, []<Rule r> {
    return RuleKernels{.launch_step = ForwardKernels<r>::launch_step,
                       .launch_flush = ForwardKernels<r>::launch_flush,
                       .launch_backward_step = BackwardKernels<r>::launch_step,
                       .launch_segment = ReplayKernels<r>::launch_segment,
                       .launch_replay = ReplayKernels<r>::launch_replay,
                       .launch_resident_forward = ResidentKernels<r>::launch_forward,
                       .launch_resident_backward = ResidentKernels<r>::launch_backward,
                       .max_resident_groups = ResidentKernels<r>::max_groups};
  });
}

}  // namespace plasticity::cuda
