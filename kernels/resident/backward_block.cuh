// The state of a block in a resident backward pass: its shared memory, its place in the group, and the values
// that the owners of its columns carry from step to step.
#pragma once

#include "resident/exchange.cuh"
#include "resident/factors.cuh"
#include "resident/sums.cuh"
#include "resident/traces.cuh"
#include "rules/connection.hpp"
#include "step/adjoint.cuh"

namespace plasticity::cuda {

/// The values that an owner loads during a barrier.
struct Prefetched {
  float post, M, dy, read;
};

/// The state. The first threads of a block own one column each: they finish its sums and compute its ā. The
/// values that an owner needs later are in shared memory and take no register during the pass.
template <Form form, Eligibility kind, ThreadShape shape>
struct BackwardBlock {
  static constexpr int V = Place<shape>::V;
  const ResidentBackward& run;
  const BackwardStep& step;
  const StepParams& p;
  const BackwardLayout& layout;
  float* memory;
  Exchange exchange;
  Place<shape> at;
  ThreadTraces<kind, shape> gradients;  // G and GE
  int N, width;                         // width: columns of the slice
  int group;

  __device__ BackwardBlock(const ResidentBackward& backward, float* shared)
      : run(backward),
        step(backward.step),
        p(backward.step.params),
        layout(backward.layout),
        memory(shared),
        exchange(Exchange::of(backward.shape, shared, backward.exchange, backward.layout.exchange,
                              backward.layout.transactions)),
        at(backward.shape, backward.layout.chunks, exchange.rank, static_cast<int>(backward.step.params.N)),
        N(static_cast<int>(backward.step.params.N)),
        width(backward.shape.columns),
        group(static_cast<int>(blockIdx.x / static_cast<unsigned>(backward.shape.blocks))) {}

  /// The column that the thread owns, and whether it does.
  __device__ int own_column() const { return exchange.rank * width + static_cast<int>(threadIdx.x); }
  __device__ bool owns() const { return static_cast<int>(threadIdx.x) < width && own_column() < N; }
  /// Warps whose threads may own a column.
  __device__ bool in_owner_warp() const { return warp_id() * 32 < width; }

  __device__ float* x(int t) const { return memory + layout.x + (t & 1) * layout.x_order.size; }
  __device__ float* zero() const { return memory + layout.zero; }
  __device__ float* factors(int which) const { return memory + layout.factors + which * width; }
  __device__ float* replayed_x(int s) const { return memory + layout.replayed_x + s * layout.x_order.size; }
  __device__ float* replayed_factors(int s, int which) const {
    return memory + layout.replayed_factors + (3 * s + which) * width;
  }
  __device__ float* da(int gate) const { return memory + layout.da + gate * width; }
  __device__ float* parts(ColumnSum which) const {
    return memory + layout.parts + which * Place<shape>::warps * width;
  }
  __device__ float* gates(int tile) const { return memory + layout.gates + tile * layout.x_order.size; }
  /// The thread's sums over rows that are in shared memory, one chunk per class. 0: of its columns' part of
  /// ᾱ, which most networks do not use; 1: of the retention's gradient, see shares_retention_sums.
  __device__ float* class_sums(int which) const {
    constexpr int own_classes = Place<shape>::traits.classes;
    const int warp = warp_again(), warps = static_cast<int>(blockDim.x / 32);
    return memory + layout.class_sums + (which * warps + warp) * own_classes * chunk_stride + lane_id() * 4;
  }
  __device__ float* carry() const { return memory + layout.carry; }
  __device__ float* dg(int t) const { return memory + dg_place(t, 0); }
  __device__ float* fan() const { return memory + layout.fan; }
  __device__ float* inner() const { return memory + layout.inner; }
  __device__ float& own(OwnValue which) const {
    return memory[layout.own + which * width + static_cast<int>(threadIdx.x)];
  }
  __device__ float& total(CarriedSum which) const {
    return memory[layout.sums + which * width + static_cast<int>(threadIdx.x)];
  }
  __device__ float& eta() const { return memory[layout.scalars]; }
  /// The group's elements are below this. (In shared memory it takes no register.)
  __device__ volatile int& end() const { return reinterpret_cast<volatile int&>(memory[layout.scalars + 1]); }
  /// The place of column j in dg(t).
  __device__ int dg_place(int t, int j) const {
    return layout.dg + (t & 1) * layout.y_order.size + place_of<shape>(j, layout.y_order.stride);
  }
  __device__ int x_place(int i) const { return place_of<shape>(i, layout.x_order.stride); }
  /// The thread's rows in a vector like x.
  __device__ const float* own_rows(const float* vector) const {
    return vector + group_place<shape>(at.row, layout.x_order.stride);
  }

  /// The index of a row's sum in the inbox of step t, in floats. `piece`: the tile of the group that sent it;
  /// `row`: among the block's rows; `update`: 0 for the part of the read, 1 for that of the update.
  __device__ int inbox_index(int t, int piece, int row, int update) const {
    return ((((t & 1) * layout.pieces + piece) << run.shape.share_bits) + row) * 2 + update;
  }
  /// The same in the global memory of a grid, for block `to`.
  __device__ int global_inbox_index(int t, int to, int piece, int row, int update) const {
    const int slot = (t & 1) * run.shape.blocks + to;
    return (((slot * layout.pieces + piece) << run.shape.share_bits) + row) * 2 + update;
  }
  __device__ int global_inner() const { return 4 * run.shape.blocks * layout.pieces * run.shape.share(); }
  __device__ int global_dg(int t) const { return global_inner() + N + (t & 1) * N; }
};

/// Loads the constants of a launch into shared memory, and clears the rest. A barrier must follow.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ void load_parameters(const BackwardBlock<form, kind, shape>& block) {
  const StepParams& p = block.p;
  const BackwardLayout& layout = block.layout;
  float* memory = block.memory;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  load_matrices(block.at, p, layout, memory);
  if (p.rate == Rate::fan_out && block.owns()) {
    block.own(own_fan) = p.fan_out_weight[block.own_column()];
    block.own(own_bias) = p.fan_out_bias[block.own_column()];
  }
  if (block.run.network.modulated) {
    for (int j = thread; j < block.N; j += threads)
      block.fan()[place_of<shape>(j, layout.y_order.stride)] =
          p.rate == Rate::fan_out ? p.fan_out_weight[j] : 1;
  }
  if (block.run.network.modulated && block.owns()) block.own(own_v) = p.modulator_weight[block.own_column()];
  if (thread == 0 && p.eta != nullptr) block.eta() = *p.eta;
  // All groups of a grid do the same number of elements: they synchronize together.
  if (thread == 0)
    block.end() = static_cast<int>(p.B) + (block.exchange.kind == GroupKind::grid ? block.group : 0);
}

}  // namespace plasticity::cuda
