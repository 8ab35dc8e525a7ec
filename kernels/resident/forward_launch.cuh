// The launches of a form's resident forward kernels. Included by the instantiation files
// (resident/instances).
#pragma once

#include "resident/forward.cuh"
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
    case ThreadShape::any_rows: return run.template operator()<ThreadShape::any_rows>();
  }
  throw std::logic_error("thread shape: expected a value of its enumeration");
}

template <Form form>
auto select_resident_forward(Eligibility eligibility, ThreadShape shape) {
  return dispatch_eligibility(eligibility, [&]<Eligibility kind> {
    return dispatch_thread_shape(shape, []<ThreadShape s> { return resident_forward_kernel<form, kind, s>; });
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
