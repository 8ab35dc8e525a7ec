// The launches of a form's resident forward kernels. Included by the instantiation files
// (resident/instances).
#pragma once

#include "resident/forward.cuh"
#include "resident/group_launch.cuh"

namespace plasticity::cuda {

template <Form form>
auto select_resident_forward(Eligibility eligibility, ThreadShape shape) {
  return dispatch_eligibility(eligibility, [&]<Eligibility kind> {
    return dispatch_thread_shape(shape,
                                 [&]<ThreadShape s> { return resident_forward_kernel<form, kind, s>; });
  });
}

template <Form form>
void ResidentForwardKernels<form>::launch(const ResidentForward& run, cudaStream_t stream) {
  ResidentForward complete = run;
  complete.layout = ForwardLayout(run.network, run.shape);
  plasticity::launch(select_resident_forward<form>(run.params.eligibility, run.shape.thread),
                     group_launch(run.shape, run.groups, complete.layout.floats, stream), complete);
}

template <Form form>
std::int64_t ResidentForwardKernels<form>::max_groups(const NetworkTraits& network, Eligibility eligibility,
                                                      const GroupShape& shape) {
  return groups_at_once(select_resident_forward<form>(eligibility, shape.thread),
                        group_launch(shape, 1, ForwardLayout(network, shape).floats, nullptr));
}

}  // namespace plasticity::cuda
