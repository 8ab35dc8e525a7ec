// The blocks that keep an element's traces on chip, and the layout of their shared memory. The planner
// computes these plain values on the host; the kernels read them.
#pragma once

#include "resident/shape.hpp"

namespace plasticity::cuda {

constexpr int resident_threads = 512;  // per block at most: 128 registers per thread
constexpr int resident_warps = resident_threads / 32;

/// A block has all rows and a range of columns. A warp owns `lanes` neighbouring columns (a tile), one per
/// lane, and works on 32 / lanes rows at a time. A thread owns one column of every row_groups()-th row.
struct OldGroupShape {
  GroupKind kind = GroupKind::cta;
  int blocks = 1;          // G
  int columns = 1;         // C = ceil(N / G); the last blocks have fewer, or none
  int rows = 1;            // ceil(P / G): rows of x̄ that a block adds up in backward
  int lanes = 32;          // per tile: 2, 4, 8, 16 or 32
  int tiles = 1;           // ceil(C / lanes)
  int warp_groups = 1;     // warps that share a tile's rows
  bool w_on_chip = false;  // else read from L2
  bool alpha_on_chip = false;

  PLASTICITY_HOST_DEVICE int threads() const { return 32 * tiles * warp_groups; }
  PLASTICITY_HOST_DEVICE int row_groups() const { return warp_groups * (32 / lanes); }  // R
};

/// The number of sums that a column keeps over all steps of backward.
constexpr int column_sums = 6;

struct BackwardLayout : SharedLayout {
  int G, GE, w, alpha;  // [P,C]
  int x;                // [2,P] of the current step and the step before
  int da;               // [4 or 1,C]
  int carry;            // [P] the trace update's part of x̄ of the next step to be done
  int row_parts;        // [2,tiles,P]
  int parts;            // [4,R,C]
  int inbox;            // [2,G,rows] x̄ of this block's rows, from each block of the group
  int dg;               // [2,N] each column's part of the modulator's gradient
  int inner;            // [N] softmax: ȳ f
  int sums;             // [6,C] over all steps, see ColumnCarry in adjoint.cuh

  BackwardLayout() = default;
  BackwardLayout(const NetworkTraits& network, const OldGroupShape& shape) {
    const std::int64_t C = shape.columns, slice = network.P * C;
    G = take(slice);
    GE = take(network.eligible ? slice : 0);
    w = take(shape.w_on_chip ? slice : 0);
    alpha = take(shape.alpha_on_chip ? slice : 0);
    x = take(2 * network.P);
    da = take((network.lstm ? 4 : 1) * C);
    carry = take(network.P);
    row_parts = take(std::int64_t{2} * shape.tiles * network.P);
    parts = take(4 * shape.row_groups() * C);
    inbox = take(shape.kind == GroupKind::grid ? 0 : std::int64_t{2} * shape.blocks * shape.rows);
    dg = take(network.modulated ? 2 * network.N : 0);
    inner = take(network.softmax ? network.N : 0);
    sums = take(column_sums * C);
  }
};

/// Floats of global memory per group of a cooperative launch, for the exchange between its blocks.
PLASTICITY_HOST_DEVICE inline std::int64_t backward_exchange(const NetworkTraits& network,
                                                             const OldGroupShape& shape) {
  return 2 * std::int64_t{shape.blocks} * shape.blocks * shape.rows + 3 * network.N;
}

}  // namespace plasticity::cuda
