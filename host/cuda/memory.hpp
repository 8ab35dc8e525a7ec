#pragma once

#include "cuda/cuda_plan.hpp"

namespace plasticity::cuda {

/// The state of a network that is stepped, carved in one place for counting and for use.
struct CudaPlan::LiveMemory {
  Record record;
  LiveRecord live;

  LiveMemory(const CudaPlan& plan, Carver& carver);
};

/// The scratch of a backward pass.
struct CudaPlan::BackwardMemory {
  float* da;                       // [T,B,width]
  float *G, *GE;                   // [B,P,N]
  Rows<float> rows, rates, dpost;  // see BackwardStep
  float* dc;                       // [B,N]
  float* sums;                     // the sums below, in one piece that is cleared together
  std::size_t sums_bytes;
  float *alpha, *eta, *v, *v0, *fan, *fan_bias;
  float* parts;  // of products and replays, whichever is at work
  std::int64_t weight_parts, gate_parts, input_parts, groups;

  BackwardMemory(const CudaPlan& plan, Carver& carver);
};

}  // namespace plasticity::cuda
