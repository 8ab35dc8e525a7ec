// The launches of the resident kernels: one launch per sequence, with the traces on chip.
#pragma once

#include <cuda_runtime_api.h>

#include "resident/shape.hpp"

namespace plasticity::cuda {

/// A whole sequence forward in one launch.
struct ResidentForward {
  StepParams params;
  NetworkTraits network;
  GroupShape shape;
  std::int64_t groups;   // elements in progress at once; group g does elements g, g + groups, …
  bool on_tape;          // whether there is a record
  Record record;         // as on the tape of the step kernels
  const float* current;  // [T,B,gates N] input currents; null is zero
  const float *initial_y, *initial_c, *initial_hebb, *initial_eligibility;  // null: zero
  float* y;                                                                 // [T,B,N] out
  float* a;                                                                 // [T,B,N] out, or null
  float* modulation;                                                        // [T,B] out, or null
  float *final_y, *final_c, *final_hebb, *final_eligibility;                // out, or null
  float* exchange;       // [groups,forward_exchange()] of a cooperative launch
  ForwardLayout layout;  // set by the launch
};

/// A whole sequence backward in one launch.
struct ResidentBackward {
  BackwardStep step;  // t, G, GE, dx, dg, dpost and dc are not used
  NetworkTraits network;
  GroupShape shape;
  std::int64_t groups;
  float* segment;         // resident_segment() floats: the replayed segments of the groups
  float* partial_alpha;   // [B,P,N] out: the gradient of alpha per element, if shape.sums_alpha
  float* exchange;        // [groups,backward_exchange()] of a cooperative launch
  BackwardLayout layout;  // set by the launch
};

/// The floats of the replayed segments of K steps, for all groups.
inline std::int64_t resident_segment(const NetworkTraits& network, const GroupShape& shape,
                                     std::int64_t groups, std::int64_t K) {
  return groups * shape.blocks * (K + 1) * (network.eligible ? 2 : 1) * shape.slice(shape.backward_chunks());
}

/// The resident forward kernels of a form, instantiated in resident/instances/forward_FORM.cu. Launches throw
/// plasticity::Error if CUDA rejects them. Rules of Form::linear use those of Form::read_clipped, with an
/// infinite clip.
template <Form form>
struct ResidentForwardKernels {
  static void launch(const ResidentForward& run, cudaStream_t stream);
  /// How many groups of this shape the current device can hold at once; 0 if it cannot hold one.
  static std::int64_t max_groups(const NetworkTraits& network, Eligibility eligibility,
                                 const GroupShape& shape);
};

/// The resident backward kernels of a form, instantiated in resident/instances/backward_FORM.cu. As above.
template <Form form>
struct ResidentBackwardKernels {
  static void launch(const ResidentBackward& run, cudaStream_t stream);
  static std::int64_t max_groups(const NetworkTraits& network, Eligibility eligibility, bool bf16,
                                 const GroupShape& shape);
};

}  // namespace plasticity::cuda
