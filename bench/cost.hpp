#pragma once

#include "cases.hpp"

// The minimum number of bytes and operations of a call. Computed from the case, not measured.
namespace plasticity::bench {

struct Cost {
  double bytes = 0;  // minimum, read and written
  double flops = 0;  // additions, multiplications, comparisons on entries of [P,N] matrices
  // Bytes that are used repeatedly. The copy bandwidth at this size is the ceiling.
  std::size_t footprint = 0;

  Cost operator+(const Cost& other) const {
    return {bytes + other.bytes, flops + other.flops, std::max(footprint, other.footprint)};
  }
};

/// Cost of `steps` steps forward or backward on `device`. Forward reads and writes a float trace: 8 B P N
/// bytes per step. Backward reads the trace, and reads and writes its gradient: 12 B P N bytes. An
/// eligibility trace costs the same again. w, alpha and an lstm's gate weights are read once per step. Not
/// counted: vectors, gradients of the weights after the loop, and steps recomputed from checkpoints. The time
/// floor is these bytes at the copy bandwidth.
Cost forward_cost(const Case& c, std::int64_t steps, Device device);
Cost backward_cost(const Case& c, std::int64_t steps, Device device);

/// Cost of one Adam step: value and two moments read and written, gradient read.
Cost adam_cost(const Case& c);

}  // namespace plasticity::bench
