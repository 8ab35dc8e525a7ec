#pragma once

#include "resident/shape.hpp"

namespace plasticity::cuda {

/// A whole sequence forward in one launch.
struct ResidentForward {
  Problem problem;
  Contents contents;
  GroupShape shape;
  std::int64_t groups;   // elements under way at once; group g does elements g, g + groups, …
  bool on_tape;          // whether there is a record
  Record record;         // as on the tape of the step kernels
  const float* current;  // [T,B,gates N] input currents; null is zero
  const float *initial_y, *initial_c, *initial_hebb, *initial_eligibility;  // null: zero
  float* y;                                                                 // [T,B,N] out
  float* modulation;                                                        // [T,B] out, or null
  float *final_y, *final_c, *final_hebb, *final_eligibility;                // out, or null
  float* exchange;       // [groups, forward_exchange()] of a cooperative launch
  ForwardPlaces places;  // the launcher's
};

/// A whole sequence backward in one launch.
struct ResidentBackward {
  BackwardStep step;  // its t, G, GE, rows, rates, dpost and dc are not used
  Contents contents;
  GroupShape shape;
  std::int64_t groups;
  bool replays;               // traces are read from `hebb` below, else from the tape
  float *hebb, *eligibility;  // [K,B,P,N] the segment of each element
  float* exchange;            // [groups, backward_exchange()] of a cooperative launch
  BackwardPlaces places;      // the launcher's
};

}  // namespace plasticity::cuda
