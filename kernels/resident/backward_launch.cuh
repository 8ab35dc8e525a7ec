// The launches of a form's resident backward kernels. Included by the instantiation files
// (resident/instances).
#pragma once

#include "resident/backward.cuh"
#include "resident/group_launch.cuh"

namespace plasticity::cuda {

/// The kernel. `bf16`: the tape is rounded to bfloat16, which takes_bf16(shape) allows.
template <Form form>
auto select_resident_backward(Eligibility eligibility, ThreadShape shape, bool bf16) {
  return dispatch_eligibility(eligibility, [&]<Eligibility kind> {
    return dispatch_thread_shape(shape, [&]<ThreadShape s> {
      if constexpr (takes_bf16(s))
        if (bf16) return resident_backward_kernel<form, kind, s, true>;
      return resident_backward_kernel<form, kind, s, false>;
    });
  });
}

template <Form form>
void ResidentBackwardKernels<form>::launch(const ResidentBackward& run, cudaStream_t stream) {
  ResidentBackward complete = run;
  complete.layout = BackwardLayout(run.network, run.shape);
  const bool bf16 = run.step.record.hebb16 != nullptr;
  plasticity::launch(select_resident_backward<form>(run.step.params.eligibility, run.shape.thread, bf16),
                     group_launch(run.shape, run.groups, complete.layout.floats, stream), complete);
}

template <Form form>
std::int64_t ResidentBackwardKernels<form>::max_groups(const NetworkTraits& network, Eligibility eligibility,
                                                       bool bf16, const GroupShape& shape) {
  return groups_at_once(select_resident_backward<form>(eligibility, shape.thread, bf16),
                        group_launch(shape, 1, BackwardLayout(network, shape).floats, nullptr));
}

}  // namespace plasticity::cuda
