// The layouts of a plan's memory: step state, scratch of forward, scratch of backward.
#pragma once

#include "cuda/blas.hpp"
#include "cuda/cuda_plan.hpp"
#include "cuda/graph.hpp"

namespace plasticity::cuda {

/// The graphs of a plan under Execution::graph. The launches of a call depend on its arguments and its
/// memory.
struct CudaPlan::Graphs {
  template <class Args>
  struct Key {
    Args args;
    void *tape, *scratch;
  };
  SequenceGraph forward, backward;
};

/// The state of a network that Plan::step advances.
struct CudaPlan::StepStateMemory {
  Record record;
  StepStateRecord step_state;

  StepStateMemory(const CudaPlan& plan, Arena& arena);
  static std::size_t bytes(const CudaPlan& plan);
};

/// The scratch of a forward pass, and its record: on the tape if it records, else in a ring in the scratch. A
/// resident execution that does not record has no record.
struct CudaPlan::ForwardMemory {
  float* currents;  // [T,B,width] input currents
  Record record;
  float* exchange;  // of a cooperative launch

  /// `tape`: null if the pass does not record.
  ForwardMemory(const CudaPlan& plan, Scratch scratch, Tape tape);
  /// The bytes of scratch of a pass that records, or does not.
  static std::size_t bytes(const CudaPlan& plan, bool recording);

 private:
  ForwardMemory(const CudaPlan& plan, Arena& scratch, bool recording, void* tape);
};

/// The scratch of a backward pass.
struct CudaPlan::BackwardMemory {
  float* da;                                       // [T,B,width]
  float *G, *GE;                                   // [B,P,N]
  float *hebb, *eligibility;                       // [K,B,P,N] the traces of a replayed segment
  float* segment;                                  // the same of a resident execution
  float* exchange;                                 // of a cooperative launch
  TimeSlots<float> dx_read, dx_update, dg, dpost;  // see BackwardStep
  std::size_t updates_bytes;                       // of dx_update, dg and dpost, which are neighbours
  float* dc;                                       // [B,N]
  float* sums;                                     // the first of the sums below, which are cleared together
  std::size_t sums_bytes;
  float *alpha, *eta, *v, *v0, *fan, *fan_bias;
  float* masked_lhs;  // [T,B,max(P,I)] the left operand of a weight's product, with masked rows set to zero
  float* partial;     // [groups,P,N] of the replay
  std::int64_t groups;
  bool alpha_is_summed;  // a resident execution stores `partial` per element, and no replay is needed
  BlasWorkspace blas;

  BackwardMemory(const CudaPlan& plan, Arena& arena);
  static std::size_t bytes(const CudaPlan& plan);
};

}  // namespace plasticity::cuda
