#pragma once

#include "cases.hpp"

// What an operation must move and compute: declared, not measured.
namespace plasticity::bench {

struct Cost {
  double bytes = 0;  // read and written, at least
  double flops = 0;  // additions, multiplications, comparisons on entries of [P,N] matrices
  // Bytes that are worked on again and again: the size whose copy rate is the ceiling.
  std::size_t footprint = 0;

  Cost operator+(const Cost& other) const {
    return {bytes + other.bytes, flops + other.flops, std::max(footprint, other.footprint)};
  }
};

/// Of `steps` steps forward, or backward, on `device`. A trace of floats is read and written, 8 B P N bytes a
/// step; backward reads the trace, and reads and writes its gradient, 12 B P N; an eligibility trace costs as
/// much again. w, alpha and an lstm's gate weights are read once a step. Not counted: vectors, the gradients
/// of the weights after the loop, steps that a checkpointed backward replays. The time that these bytes take
/// at the copy rate is the floor.
Cost forward_cost(const Case& c, std::int64_t steps, Device device);
Cost backward_cost(const Case& c, std::int64_t steps, Device device);

/// Of one update by Adam: value, two moments read and written, the gradient read.
Cost adam_cost(const Case& c);

}  // namespace plasticity::bench
