// The state of a block in a resident forward pass: its shared memory, its place in the group, and the values
// that the owners of its columns carry from step to step.
#pragma once

#include "resident/exchange.cuh"
#include "resident/factors.cuh"
#include "resident/forward_pass.cuh"
#include "resident/sums.cuh"
#include "step/cell.cuh"

namespace plasticity::cuda {

/// The first threads of a block own one column each: they finish its sums, and store its outputs.
struct ForwardOwner {
  bool exists;       // whether the thread owns a column
  int column;        // within the network
  float c = 0;       // LSTM: the cell
  float rate = 0;    // external: of the next step
  float current[4];  // of the next step; in an LSTM in the order i f g o
  CellStep cell;     // of this step
};

/// The slots of the exchanged vectors before step t − 1, before step t, and after it.
struct ForwardSlots {
  int before = 2, now = 0, next = 1;

  __device__ void advance() {
    const int free = before;
    before = now;
    now = next;
    next = free;
  }
};

template <Eligibility kind, ThreadShape shape>
struct ForwardBlock {
  static constexpr int V = Place<shape>::V;
  const ResidentForward& run;
  const StepParams& p;
  const ForwardLayout& layout;
  float* memory;
  Exchange exchange;
  Place<shape> at;
  Weights weights;
  ThreadTraces<kind, shape> traces;
  ForwardOwner owner;
  ForwardSlots slots;
  bool zeroed = false;         // by a reset before this step
  bool zeroed_before = false;  // by a reset before the step before
  int steps_to_checkpoint = 0, checkpoint = 0;
  int N, width;  // width: columns of the slice

  __device__ ForwardBlock(const ResidentForward& forward, float* shared)
      : run(forward),
        p(forward.params),
        layout(forward.layout),
        memory(shared),
        exchange(Exchange::of(forward.shape, shared, forward.exchange,
                              forward_exchange(forward.network, forward.shape), forward.layout.transactions)),
        at(forward.shape, forward.layout.chunks, exchange.rank, static_cast<int>(forward.params.N)),
        N(static_cast<int>(forward.params.N)),
        width(forward.shape.columns) {
    owner.column = exchange.rank * run.shape.columns + static_cast<int>(threadIdx.x);
    owner.exists = static_cast<int>(threadIdx.x) < width && owner.column < p.N;
    weights = {memory + layout.w + at.chunk, memory + layout.alpha + at.chunk};
  }

  /// Warps whose threads may own a column.
  __device__ bool in_owner_warp() const { return warp_id() * 32 < width; }

  __device__ float* y(int slot) const { return memory + layout.y + slot * layout.y_order.size; }
  __device__ float* x(int slot) const { return memory + layout.x + slot * layout.x_order.size; }
  __device__ float* c(int slot) const { return memory + layout.c + slot * layout.y_order.size; }
  __device__ float* zero() const { return memory + layout.zero; }
  __device__ float* parts(int gate) const {
    return memory + layout.parts + gate * Place<shape>::warps * width;
  }
  /// Post and an external rate of each column, of the last step.
  __device__ float* posts() const { return memory + layout.columns; }
  __device__ float* rates() const { return memory + layout.columns + width; }
  /// 0: weight, 1: bias of each column's rate.
  __device__ float* fan(int which) const { return memory + layout.fan + which * width; }
  __device__ float& eta() const { return memory[layout.scalars]; }
  __device__ float& modulator_bias() const { return memory[layout.scalars + 1]; }
  __device__ int y_place(int j) const { return place_of<shape>(j, layout.y_order.stride); }
  __device__ int x_place(int i) const { return place_of<shape>(i, layout.x_order.stride); }
  /// The thread's rows in a vector like x.
  __device__ const float* own_rows(const float* vector) const {
    return vector + group_place<shape>(at.row, layout.x_order.stride);
  }
  /// The offset of a slot in a grid's global memory.
  __device__ int global_slot(int slot) const { return slot * run.network.channels() * N; }
};

/// Loads the constants of a launch into shared memory, and clears the rest that is read before it is
/// written. A barrier must follow.
template <Eligibility kind, ThreadShape shape>
__device__ void load_parameters(const ForwardBlock<kind, shape>& block) {
  const StepParams& p = block.p;
  const ForwardLayout& layout = block.layout;
  float* memory = block.memory;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  load_matrices(block.at, p, layout, memory);
  if (block.run.network.modulated) {
    for (int j = thread; j < block.N; j += threads)
      memory[layout.modulator + block.y_place(j)] = p.modulator_weight[j];
    if (thread == 0) block.modulator_bias() = *p.modulator_bias;
  }
  if (thread == 0 && p.eta != nullptr) block.eta() = *p.eta;
  if (block.owner.exists && p.rate == Rate::fan_out) {
    block.fan(0)[thread] = p.fan_out_weight[block.owner.column];
    block.fan(1)[thread] = p.fan_out_bias[block.owner.column];
  }
}

}  // namespace plasticity::cuda
