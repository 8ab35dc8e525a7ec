#pragma once

#include "cuda/blas.hpp"
#include "cuda/cuda_plan.hpp"
#include "cuda/graph.hpp"

namespace plasticity::cuda {

/// A call's launches depend on its arguments, and on the caller's memory.
struct CudaPlan::Graphs {
  template <class Args>
  struct Key {
    Args args;
    void *tape, *scratch;
  };
  SequenceGraph forward, backward;
};

/// The state of a network that is stepped, carved in one place for counting and for use.
struct CudaPlan::StepStateMemory {
  Record record;
  StepStateRecord step_state;

  StepStateMemory(const CudaPlan& plan, Arena& arena);
};

/// The scratch of a forward pass, and where it leaves its record.
struct CudaPlan::ForwardMemory {
  float* currents;  // [T,B,width] input currents
  Record record;    // on the tape, or without one in a ring; resident without one: none
  float* exchange;  // of a cooperative launch

  ForwardMemory(const CudaPlan& plan, Arena& work, Tape tape);
};

/// The scratch of a backward pass.
struct CudaPlan::BackwardMemory {
  float* da;                       // [T,B,width]
  float *G, *GE;                   // [B,P,N]
  float *hebb, *eligibility;       // [K,B,P,N] traces of a segment, where they are replayed
  float* exchange;                 // of a cooperative launch
  Rows<float> rows, rates, dpost;  // see BackwardStep
  float* dc;                       // [B,N]
  float* sums;                     // the sums below, in one piece that is cleared together
  std::size_t sums_bytes;
  float *alpha, *eta, *v, *v0, *fan, *fan_bias;
  float* counted;  // [T,B,max(P,I)] the left side of a weight's product, where masks leave rows out
  float* partial;  // [groups,P,N] of the replay
  std::int64_t groups;
  void* reducing;  // CUB's
  std::size_t reducing_bytes;
  BlasWorkspace blas;

  BackwardMemory(const CudaPlan& plan, Arena& arena);
};

}  // namespace plasticity::cuda
