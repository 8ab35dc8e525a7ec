#include "cuda/rule_kernels.hpp"

#include "rules/columns.hpp"

namespace plasticity::cuda {

RuleKernels kernels_of(Rule rule) {
  return dispatch_rule(rule, []<Rule r> {
    constexpr Form form = TraceRule<r>::form;
    return RuleKernels{.launch_step = ForwardKernels<form>::launch_step,
                       .launch_flush = ForwardKernels<form>::launch_flush,
                       .launch_backward_step = BackwardKernels<form>::launch_step,
                       .launch_segment = ReplayKernels<form>::launch_segment,
                       .launch_replay = ReplayKernels<form>::launch_replay,
                       .launch_resident_forward = ResidentKernels<r>::launch_forward,
                       .launch_resident_backward = ResidentKernels<r>::launch_backward,
                       .max_resident_groups = ResidentKernels<r>::max_groups};
  });
}

}  // namespace plasticity::cuda
