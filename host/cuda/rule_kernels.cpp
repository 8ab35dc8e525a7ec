#include "cuda/rule_kernels.hpp"

#include "rules/factors.hpp"

namespace plasticity::cuda {
namespace {

/// The form whose resident kernels run a rule: Form::linear is Form::read_clipped with an infinite clip.
template <Rule rule>
constexpr Form resident_form =
    TraceRule<rule>::form == Form::linear ? Form::read_clipped : TraceRule<rule>::form;

}  // namespace

RuleKernels kernels_of(const Spec& spec) {
  if (!spec.is_plastic()) {
    RuleKernels nonplastic{};
    nonplastic.launch_step = NonplasticKernels::launch_step;
    nonplastic.launch_flush = NonplasticKernels::launch_flush;
    nonplastic.launch_backward_step = NonplasticKernels::launch_backward_step;
    return nonplastic;
  }
  return dispatch_rule(spec.rule, []<Rule r> {
    constexpr Form form = TraceRule<r>::form;
    return RuleKernels{.launch_step = ForwardKernels<form>::launch_step,
                       .launch_flush = ForwardKernels<form>::launch_flush,
                       .launch_backward_step = BackwardKernels<form>::launch_step,
                       .launch_segment = ReplayKernels<form>::launch_segment,
                       .launch_replay = ReplayKernels<form>::launch_replay,
                       .launch_resident_forward = ResidentForwardKernels<resident_form<r>>::launch,
                       .launch_resident_backward = ResidentBackwardKernels<resident_form<r>>::launch,
                       .max_forward_groups = ResidentForwardKernels<resident_form<r>>::max_groups,
                       .max_backward_groups = ResidentBackwardKernels<resident_form<r>>::max_groups};
  });
}

}  // namespace plasticity::cuda
