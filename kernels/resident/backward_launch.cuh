// The launches of a rule's resident kernels. Included by the instantiation files (resident/instances).
#pragma once

#include "resident/launch.hpp"
#include "resident/old_backward.cuh"
#include "rules/dispatch.hpp"

namespace plasticity::cuda {

/// The launch of `groups` groups of blocks, each block with that many floats of shared memory.
inline LaunchConfig old_group_launch(const OldGroupShape& shape, std::int64_t groups, std::int64_t floats,
                                     cudaStream_t stream) {
  return {.grid = static_cast<unsigned>(groups * shape.blocks),
          .block = static_cast<unsigned>(shape.threads()),
          .shared_bytes = static_cast<std::size_t>(floats) * sizeof(float),
          .stream = stream,
          .cooperative = shape.kind == GroupKind::grid,
          .cluster = static_cast<unsigned>(shape.kind == GroupKind::cluster ? shape.blocks : 1)};
}

template <Rule rule>
auto select_resident_backward(Eligibility eligibility) {
  return dispatch_eligibility(eligibility,
                              [&]<Eligibility kind> { return resident_backward_kernel<rule, kind>; });
}

template <Rule rule>
void ResidentKernels<rule>::launch_backward(const ResidentBackward& run, cudaStream_t stream) {
  ResidentBackward with_layout = run;
  with_layout.layout = BackwardLayout(run.network, run.shape);
  launch(select_resident_backward<rule>(run.step.params.eligibility),
         old_group_launch(run.shape, run.groups, with_layout.layout.floats, stream), with_layout);
}

template <Rule rule>
std::int64_t ResidentKernels<rule>::max_groups(Eligibility eligibility, const NetworkTraits& network,
                                               const OldGroupShape& shape) {
  return groups_at_once(select_resident_backward<rule>(eligibility),
                        old_group_launch(shape, 1, BackwardLayout(network, shape).floats, nullptr));
}

}  // namespace plasticity::cuda
