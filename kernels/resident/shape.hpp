// The blocks that keep an element's traces on chip, the part of one thread, and the layout of shared memory.
// The planner computes these plain values on the host; the kernels read them.
//
// A block has all P rows of a slice of columns. The slice consists of tiles, as wide as eight threads: of 32
// columns, or one of 8. The rows are divided among row groups by their class, i mod 32: a row group has one
// or two of the 32 classes, so it adds up whole branches of the tree of a column's sum. A thread has the rows
// of one row group, and one or four neighbouring columns. Eight threads have a row of a tile, and a warp has
// four row groups.
#pragma once

#include "rules/form.hpp"
#include "step/params.hpp"

namespace plasticity::cuda {

/// How the blocks that work on one element are connected.
enum class GroupKind {
  cta,      ///< one block
  cluster,  ///< a cluster of blocks, which write into each other's shared memory
  grid,     ///< the blocks of a cooperative launch, which exchange values through global memory
};

/// How a block learns that the values of the other blocks have arrived. Only a build with alternatives
/// (common/alternatives.hpp) has the second.
enum class Arrival {
  barrier,  ///< by a barrier of the group
  counted,  ///< cluster: stores are asynchronous, and a transaction barrier of the block counts their bytes;
            ///< grid: every value has a tag, which the block polls
};

/// The part of a thread: rows x columns. Each is compiled into kernels of its own.
enum class ThreadShape {
  rows_8x4,       ///< up to 8 rows, 4 columns
  rows_8x4_half,  ///< as above with half as many threads: up to 8 rows of two classes
  rows_16x4,      ///< up to 16 rows, 4 columns
  rows_32x1,      ///< up to 32 rows, one column
};

/// The constants of a ThreadShape.
struct ThreadTraits {
  int columns;      ///< V, per thread
  int max_rows;     ///< R, per thread
  int classes;      ///< of rows per thread: 1 or 2
  int max_threads;  ///< per block

  PLASTICITY_HOST_DEVICE constexpr int row_groups() const { return 32 / classes; }
  PLASTICITY_HOST_DEVICE constexpr int warps_per_tile() const { return 8 / classes; }
  /// Accesses of 16 bytes that cover the thread's part: 4 columns of a row, or 4 rows of a column.
  PLASTICITY_HOST_DEVICE constexpr int chunks(int rows) const { return columns == 4 ? rows : (rows + 3) / 4; }
};

PLASTICITY_HOST_DEVICE constexpr ThreadTraits traits_of(ThreadShape shape) {
  switch (shape) {
    case ThreadShape::rows_8x4: return {4, 8, 1, 512};
    case ThreadShape::rows_8x4_half: return {4, 8, 2, 512};
    case ThreadShape::rows_16x4: return {4, 16, 1, 256};
    case ThreadShape::rows_32x1: break;
  }
  return {1, 32, 1, 256};
}

/// Whether the kernels of a shape write and read a bfloat16 tape.
PLASTICITY_HOST_DEVICE constexpr bool takes_bf16(ThreadShape shape) {
  return shape == ThreadShape::rows_8x4_half || shape == ThreadShape::rows_32x1;
}

/// Per block. An eligibility trace, and a bfloat16 tape, take registers: each of 256 threads has up to 255.
/// The adjoint of the form soft needs one register more than 512 threads have.
PLASTICITY_HOST_DEVICE constexpr int max_threads(ThreadShape shape, Form form, bool eligible,
                                                 bool bf16 = false) {
  const ThreadTraits traits = traits_of(shape);
  if (form == Form::soft && shape == ThreadShape::rows_8x4 && !eligible && !bf16) return 384;
  return eligible || bf16 ? 256 : traits.max_threads;
}

/// Threads of a warp that share a row of a tile.
constexpr int row_lanes = 8;

/// The blocks of a group, and the threads of a block.
struct GroupShape {
  GroupKind kind = GroupKind::cta;
  Arrival arrival = Arrival::barrier;
  int blocks = 1;    // G
  int columns = 32;  // C: whole tiles; with several blocks a power of two
  ThreadShape thread = ThreadShape::rows_8x4;
  int rows = 1;             // per thread: ceil(P / row_groups)
  bool sums_alpha = false;  // backward adds up the gradient of alpha per connection; else a replay does
  // A block adds up 2^share_bits rows of x̄ in backward: in a recurrent cell with several blocks C.
  int share_bits = 0;

  /// Floats of shared memory for two transaction barriers, if the shape has them.
  constexpr int transaction_floats() const {
    return kind == GroupKind::cluster && arrival == Arrival::counted ? 4 : 0;
  }
  /// Floats of a value in the exchange of a grid: with a tag two.
  PLASTICITY_HOST_DEVICE constexpr int exchange_floats() const { return arrival == Arrival::counted ? 2 : 1; }
  PLASTICITY_HOST_DEVICE constexpr int share() const { return 1 << share_bits; }

  PLASTICITY_HOST_DEVICE constexpr ThreadTraits traits() const { return traits_of(thread); }
  PLASTICITY_HOST_DEVICE constexpr int tile_columns() const { return row_lanes * traits().columns; }
  PLASTICITY_HOST_DEVICE constexpr int tiles() const { return columns / tile_columns(); }
  /// The group's parts of a sum over a row's columns: one per tile of eight threads.
  PLASTICITY_HOST_DEVICE constexpr int pieces() const { return blocks * tiles(); }
  PLASTICITY_HOST_DEVICE constexpr int threads() const { return 32 * tiles() * traits().warps_per_tile(); }
  /// Chunks of a thread. Backward works on four rows at a time.
  constexpr int forward_chunks() const { return traits().chunks(rows); }
  constexpr int backward_chunks() const { return traits().chunks((rows + 3) / 4 * 4); }
  /// Floats of the slice of a matrix [P,C], padded.
  constexpr std::int64_t slice(int chunks) const { return std::int64_t{4} * threads() * chunks; }
};

/// The properties of a network that determine how much shared memory its blocks need.
struct NetworkTraits {
  std::int64_t N, P;
  Rule rule;
  bool has_retention;  // the retention of a column may differ from 1
  bool feedforward, lstm, eligible, softmax, modulated, reads_cell;

  PLASTICITY_HOST_DEVICE int channels() const { return reads_cell ? 2 : 1; }
};

/// Time slots of the exchanged vectors in forward: a step reads two and writes the third.
constexpr int exchange_slots = 3;

/// The order of a vector over rows in shared memory: the values of a row group are neighbours, so that a
/// thread loads four of its rows by one access. Between the row groups of two lanes of a warp there are four
/// floats more, so that the warp's four accesses are to different banks.
struct RowOrder {
  int stride = 0;  // floats per row group, a multiple of 4
  int size = 0;

  RowOrder() = default;
  /// `odd`: the stride is an odd multiple of 4 floats, so that eight threads with neighbouring row groups
  /// access different banks too.
  RowOrder(const ThreadTraits& traits, std::int64_t count, bool odd = false) {
    const int groups = traits.row_groups();
    std::int64_t accesses = ((count + groups - 1) / groups + 3) / 4;
    if (odd && accesses % 2 == 0) ++accesses;
    stride = static_cast<int>(4 * accesses);
    size = groups * stride + 4 * (groups / traits.warps_per_tile());
  }
};

/// The place of a row group in that order.
template <ThreadShape shape>
PLASTICITY_HOST_DEVICE constexpr int group_place(int group, int stride) {
  constexpr unsigned warps = static_cast<unsigned>(traits_of(shape).warps_per_tile());
  return group * stride + static_cast<int>(static_cast<unsigned>(group) / warps * 4);
}

/// The place of value i in that order.
template <ThreadShape shape>
PLASTICITY_HOST_DEVICE constexpr int place_of(int i, int stride) {
  constexpr unsigned groups = static_cast<unsigned>(traits_of(shape).row_groups());
  return group_place<shape>(static_cast<int>(static_cast<unsigned>(i) % groups), stride) +
         static_cast<int>(static_cast<unsigned>(i) / groups);
}

/// Offsets in shared memory, in floats. Each array begins at a multiple of 16 bytes.
struct SharedLayout {
  std::int64_t floats = 0;  ///< in use

 protected:
  int take(std::int64_t count) {
    const std::int64_t offset = floats;
    floats += (count + 3) / 4 * 4;
    return static_cast<int>(offset);  // cannot overflow: the planner rejects shapes that exceed shared memory
  }
};

struct ForwardLayout : SharedLayout {
  RowOrder x_order, y_order;  // of x and of the exchanged vectors; equal in a recurrent cell
  int chunks;                 // of a thread
  int w, alpha;               // [slice]
  int zero;                   // [x_order] zeros
  int y, x;          // [3,y_order] the exchange: y (softmax: its logits); x: [3,x_order] feedforward, else y
  int c;             // [3,y_order] if the modulator reads the cell
  int columns;       // [2,C] of the last step, per column: post, and the rate if it is external
  int parts;         // [4 or 1,warps of a tile,C] sums of the columns
  int modulator;     // [y_order] v
  int fan;           // [2,C] weight and bias of the rate
  int scalars;       // [2] eta, bias of the modulator
  int transactions;  // [2] transaction barriers

  ForwardLayout() = default;
  ForwardLayout(const NetworkTraits& network, const GroupShape& shape) {
    const ThreadTraits traits = shape.traits();
    const std::int64_t slice = shape.slice(shape.forward_chunks()), C = shape.columns;
    chunks = shape.forward_chunks();
    x_order = RowOrder(traits, network.P, true);
    y_order = RowOrder(traits, network.N, true);
    w = take(slice);
    alpha = take(slice);
    zero = take(x_order.size);
    y = take(exchange_slots * y_order.size);
    x = network.feedforward ? take(exchange_slots * x_order.size) : y;
    c = take(network.reads_cell ? exchange_slots * y_order.size : 0);
    columns = take(2 * C);
    parts = take((network.lstm ? 4 : 1) * traits.warps_per_tile() * C);
    modulator = take(network.modulated ? y_order.size : 0);
    fan = take(2 * C);
    scalars = take(2);
    transactions = take(shape.transaction_floats());
  }
};

/// Floats of global memory per group of a cooperative launch, for the exchange between its blocks.
inline std::int64_t backward_exchange(const NetworkTraits& network, const GroupShape& shape) {
  const std::int64_t rows = std::int64_t{shape.blocks} * shape.pieces() * shape.share();
  return shape.exchange_floats() * (2 * rows * 2 + 3 * network.N);
}

/// The sums over rows that a column has in a step of backward.
enum ColumnSum : int { sum_gain, sum_retention, sum_alpha, sum_y, sum_eta, column_sums };

/// The sums that a column keeps over all steps of backward.
enum CarriedSum : int { total_alpha, total_eta, total_v, total_v0, total_fan, total_fan_bias, carried_sums };

/// The values that the owner of a column keeps in shared memory.
enum OwnValue : int {
  own_dpost,     ///< the gradient of post from the trace update of the same step
  own_drate,     ///< of the rate of this step
  own_dc,        ///< LSTM: the gradient of c, carried to the step before
  own_rate,      ///< of the update of the step before
  own_y,         ///< its postsynaptic activity
  own_post,      ///< the activity of the step before
  own_M,         ///< M of the step before
  own_dy,        ///< the upstream gradient of this step
  own_post_now,  ///< the activity of this step
  own_M_now,     ///< M of this step
  own_read,      ///< y or c of this step, the modulator's input
  own_v,         ///< the modulator's weight
  own_fan,       ///< the weight of the rate
  own_bias,      ///< its bias
  own_values
};

/// Sums over rows that a thread keeps in shared memory: of the gradient of alpha, and of the
/// retention (shares_retention_sums in backward_pass.cuh).
inline int class_sum_count(const NetworkTraits& network, const GroupShape& shape) {
  if (shape.thread == ThreadShape::rows_8x4_half && network.has_retention && !network.eligible) return 2;
  return shape.sums_alpha ? 0 : 1;
}

/// Steps of a segment that are replayed together.
constexpr int replayed_steps = 4;

struct BackwardLayout : SharedLayout {
  int chunks, slice, tiles, pieces;  // of the shape
  std::int64_t exchange;             // backward_exchange()
  RowOrder x_order, y_order;         // of x, and of vectors over columns
  int w, alpha;                      // [slice]
  int dalpha;                        // [slice] the gradient of alpha per connection, if the shape sums it
  int class_sums;                    // [2,threads,classes,4] sums that are not in registers
  int zero;                          // [x_order] zeros
  int x;                             // [2,x_order] of the current step and the step before
  int factors;                       // [3,C] per column, of the update of the step before: retention, gain, y
  int replayed_x;                    // [replayed_steps,x_order]
  int replayed_factors;              // [replayed_steps,3,C]
  int da;                            // [4 or 1,C]
  int parts;                         // [column_sums, 3 or 2,warps of a tile,C]
  int gates;                         // [tiles,x_order] LSTM: the gates' part of x̄ of each tile
  int inbox;         // [2,pieces,share,2] x̄ of this block's rows: the parts of the read and of the update
  int tile_sums;     // [whole tiles,share,2] if they are not summed in the inbox
  int carry;         // [share] the update's part of x̄ of the next step to be done
  int dg;            // [2,y_order] the gradient of each column's rate
  int fan;           // [y_order] the weights of the rates; without fan_out 1
  int inner;         // [N] softmax: the gradient of the output
  int own;           // [own_values,C] see OwnValue
  int sums;          // [carried_sums,C]
  int scalars;       // [2] eta
  int transactions;  // [2] transaction barriers

  BackwardLayout() = default;
  BackwardLayout(const NetworkTraits& network, const GroupShape& shape) {
    const ThreadTraits traits = shape.traits();
    const std::int64_t C = shape.columns, share = shape.share();
    chunks = shape.backward_chunks();
    slice = static_cast<int>(shape.slice(chunks));
    tiles = shape.tiles();
    pieces = shape.pieces();
    exchange = backward_exchange(network, shape);
    const bool grid = shape.kind == GroupKind::grid;
    x_order = RowOrder(traits, network.P);
    y_order = RowOrder(traits, network.N, true);
    w = take(slice);
    alpha = take(slice);
    dalpha = take(shape.sums_alpha ? slice : 0);
    zero = take(x_order.size);
    class_sums = take(class_sum_count(network, shape) * 4 * shape.threads() * traits.classes);
    x = take(2 * x_order.size);
    factors = take(3 * C);
    replayed_x = take(replayed_steps * x_order.size);
    replayed_factors = take(replayed_steps * 3 * C);
    da = take((network.lstm ? 4 : 1) * C);
    const int summed = network.eligible ? column_sums : shape.sums_alpha ? sum_alpha : sum_alpha + 1;
    parts = take(summed * traits.warps_per_tile() * C);
    gates = take(network.lstm ? std::int64_t{tiles} * x_order.size : 0);
    inbox = take(grid ? 0 : std::int64_t{2} * pieces * share * 2);
    tile_sums = take(grid || traits.columns == 1 ? pieces * share * 2 : 0);
    carry = take(share);
    dg = take(network.modulated ? 2 * y_order.size : 0);
    fan = take(network.modulated ? y_order.size : 0);
    inner = take(network.softmax ? network.N : 0);
    own = take(own_values * C);
    sums = take(carried_sums * C);
    scalars = take(2);
    transactions = take(shape.transaction_floats());
  }
};

/// Floats of global memory per group of a cooperative launch, for the exchange between its blocks.
PLASTICITY_HOST_DEVICE inline std::int64_t forward_exchange(const NetworkTraits& network,
                                                            const GroupShape& shape) {
  return shape.exchange_floats() * exchange_slots * network.channels() * network.N;
}

}  // namespace plasticity::cuda
