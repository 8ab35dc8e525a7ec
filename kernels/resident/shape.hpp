// How a batch element is laid out over the blocks that keep its traces on chip, and what stands where in
// their shared memory. Plain values: the planner works them out on the host, the kernels read them.
#pragma once

#include "rules/rule.hpp"
#include "step/params.hpp"

namespace plasticity::cuda {

/// The blocks that serve one element together, and what they meet at.
enum class GroupKind {
  cta,      ///< one block
  cluster,  ///< a cluster of blocks, which write into each other's shared memory
  grid,     ///< blocks of a cooperative launch, which exchange through global memory
};

constexpr int resident_threads = 512;  // of a block, at most: 128 registers each
constexpr int resident_warps = resident_threads / 32;

/// A block has all rows and a range of columns: those of its threads. A warp owns `lanes` neighbouring
/// columns (a tile), one a lane, of 32 / lanes rows at a time; a thread owns one column of every
/// row_groups()-th row.
struct GroupShape {
  GroupKind kind = GroupKind::cta;
  int blocks = 1;          // G
  int columns = 1;         // C = ceil(N / G); the last blocks have fewer, or none
  int rows = 1;            // ceil(P / G): rows of x̄ that a block adds up, backward
  int lanes = 32;          // of a tile: 2, 4, 8, 16 or 32
  int tiles = 1;           // ceil(C / lanes)
  int warp_groups = 1;     // warps that share a tile's rows
  bool w_on_chip = false;  // else streamed from L2
  bool alpha_on_chip = false;

  PLASTICITY_HOST_DEVICE int threads() const { return 32 * tiles * warp_groups; }
  PLASTICITY_HOST_DEVICE int row_groups() const { return warp_groups * (32 / lanes); }  // R
};

/// What of a network decides how much shared memory its blocks need.
struct Contents {
  std::int64_t N, P;
  bool feedforward, lstm, eligible, softmax, modulated, reads_cell;

  PLASTICITY_HOST_DEVICE int channels() const { return reads_cell ? 2 : 1; }
};

/// Slots of what is exchanged forward: a step reads two and writes the third.
constexpr int exchange_slots = 3;

/// Places in shared memory, counted in floats; each piece begins at 16 bytes.
struct Places {
  std::int64_t floats = 0;  ///< so far

 protected:
  int take(std::int64_t count) {
    const std::int64_t place = floats;
    floats += (count + 3) / 4 * 4;
    return static_cast<int>(place);  // of more than there is room for, nobody asks
  }
};

struct ForwardPlaces : Places {
  int hebb, eligibility, w, alpha;  // [P,C]
  int x;                            // [3,P] feedforward; elsewhere the exchange
  int exchange;                     // [3,channels,N] y (softmax: its current), c
  int post;                         // [C] lstm
  int parts;                        // [4 or 1,R,C]

  ForwardPlaces() = default;
  ForwardPlaces(const Contents& of, const GroupShape& shape) {
    const std::int64_t C = shape.columns, slice = of.P * C;
    hebb = take(slice);
    eligibility = take(of.eligible ? slice : 0);
    w = take(shape.w_on_chip ? slice : 0);
    alpha = take(shape.alpha_on_chip ? slice : 0);
    exchange = take(exchange_slots * of.channels() * of.N);
    x = of.feedforward ? take(exchange_slots * of.P) : exchange;
    post = take(of.lstm ? C : 0);
    parts = take((of.lstm ? 4 : 1) * shape.row_groups() * C);
  }
};

/// What a column adds up over all steps, backward.
constexpr int column_sums = 6;

struct BackwardPlaces : Places {
  int G, GE, w, alpha;  // [P,C]
  int x;                // [2,P] of the step at hand and the one before
  int da;               // [4 or 1,C]
  int carry;            // [P] what the update has added to x̄ of the step to come
  int row_parts;        // [2,tiles,P]
  int parts;            // [4,R,C]
  int inbox;            // [2,G,rows] of x̄, from each block of the group
  int rates;            // [2,N] what the rates' gradients give to the modulator's
  int inner;            // [N] softmax: ȳ f
  int sums;             // [6,C] over all steps, see ColumnCarry in adjoint.cuh

  BackwardPlaces() = default;
  BackwardPlaces(const Contents& of, const GroupShape& shape) {
    const std::int64_t C = shape.columns, slice = of.P * C;
    G = take(slice);
    GE = take(of.eligible ? slice : 0);
    w = take(shape.w_on_chip ? slice : 0);
    alpha = take(shape.alpha_on_chip ? slice : 0);
    x = take(2 * of.P);
    da = take((of.lstm ? 4 : 1) * C);
    carry = take(of.P);
    row_parts = take(std::int64_t{2} * shape.tiles * of.P);
    parts = take(4 * shape.row_groups() * C);
    inbox = take(shape.kind == GroupKind::grid ? 0 : std::int64_t{2} * shape.blocks * shape.rows);
    rates = take(of.modulated ? 2 * of.N : 0);
    inner = take(of.softmax ? of.N : 0);
    sums = take(column_sums * C);
  }
};

/// Floats of global memory that the groups of a cooperative launch exchange through, each.
PLASTICITY_HOST_DEVICE inline std::int64_t forward_exchange(const Contents& of) {
  return exchange_slots * of.channels() * of.N;
}
PLASTICITY_HOST_DEVICE inline std::int64_t backward_exchange(const Contents& of, const GroupShape& shape) {
  return 2 * std::int64_t{shape.blocks} * shape.blocks * shape.rows + 3 * of.N;
}

}  // namespace plasticity::cuda
