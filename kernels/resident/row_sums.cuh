// Sums over the columns of a row. In a tile: a binary tree over the bits of the column, lowest first. The
// lowest two bits are within a thread that has four columns, the others between the eight threads of the row.
// A thread starts with eight values that it shares with the other seven, and ends with the sum of one.
#pragma once

#include "resident/backward_block.cuh"

namespace plasticity::cuda {

/// Adds up `count` values over the eight threads of a row: 8 or 4. The thread returns the sum of value
/// row_sum_of_lane<count>().
template <int count>
__device__ __forceinline__ float share_row_sums(float (&v)[count]) {
  const int lane = static_cast<int>(threadIdx.x);
  int held = count;
#pragma unroll
  for (int distance = 1; distance < row_lanes; distance *= 2) {
    if (held > 1) {
      held /= 2;
      const bool upper = (lane & distance) != 0;
#pragma unroll
      for (int k = 0; k < count / 2; ++k) {
        if (k >= held) continue;
        const float sent = upper ? v[k] : v[k + held], own = upper ? v[k + held] : v[k];
        v[k] = own + __shfl_xor_sync(all_lanes, sent, distance);
      }
    } else {
      v[0] += __shfl_xor_sync(all_lanes, v[0], distance);
    }
  }
  return v[0];
}

/// Which of the values' sums the thread has. With four values, two threads have each.
template <int count>
__device__ __forceinline__ int row_sum_of_lane() {
  const int lane = static_cast<int>(threadIdx.x);
  int value = 0, held = count;
#pragma unroll
  for (int distance = 1; distance < row_lanes; distance *= 2) {
    if (held > 1) {
      held /= 2;
      value += (lane & distance) != 0 ? held : 0;
    }
  }
  return value;
}

/// The sums of x̄ of four rows at a time: of their reads (values 0 to 3) and of their updates (4 to 7). Sends
/// each to the block that adds up the row.
template <Form form, Eligibility kind, ThreadShape shape>
struct RowSender {
  const BackwardBlock<form, kind, shape>& block;
  int first;  // the thread's row of the first four
  int base;   // the place of row 0 in the inbox of block 0; odd for the part of the update

  __device__ RowSender(const BackwardBlock<form, kind, shape>& backward, int t) : block(backward) {
    const int own = row_sum_of_lane<8>(),
              piece = block.exchange.rank * block.layout.tiles + Place<shape>::tile();
    first = block.at.row_of(own % 4);
    base = block.exchange.kind == GroupKind::grid
               ? block.global_inbox_index(t, 0, piece, 0, own / 4)
               : block.layout.inbox + block.inbox_index(t, piece, 0, own / 4);
  }

  /// `r`: the first of the four rows.
  __device__ __forceinline__ void send(int r, float (&v)[8]) const {
    float sum = share_row_sums(v);
    const int i = first + Place<shape>::row_groups * r;
    if (i >= block.p.P) return;
    const int bits = block.run.shape.share_bits, to = i >> bits, place = base + 2 * (i & ((1 << bits) - 1));
    if (block.p.lstm && (base & 1) == 0) sum += block.gates(Place<shape>::tile())[block.x_place(i)];
    switch (block.exchange.kind) {
      case GroupKind::cta: block.memory[place] = sum; break;
      case GroupKind::cluster: block.exchange.send_to_peer(place, to, sum); break;
      case GroupKind::grid:
        block.exchange.send_to_slot(place + ((to * block.layout.pieces) << (bits + 1)), sum);
        break;
    }
  }
};

/// A row's sum from the pieces of the group, in the inbox of step t. `load(piece)` returns a piece's part.
template <int pieces_per_tile, class Load>
__device__ __forceinline__ float join_tile(int tile, int pieces, Load load) {
  if constexpr (pieces_per_tile == 1) {
    return load(tile);
  } else {
    static_assert(pieces_per_tile == 4);
    float s[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) s[k] = 4 * tile + k < pieces ? load(4 * tile + k) : 0;
    return (s[0] + s[1]) + (s[2] + s[3]);
  }
}

/// Receives the inbox of step t, if its rows cannot be summed there: joins the pieces of each tile. All
/// threads of the block call it.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void receive_rows(const BackwardBlock<form, kind, shape>& block, int t) {
  constexpr int pieces_per_tile = Place<shape>::V == 4 ? 1 : 4;
  const bool grid = block.exchange.kind == GroupKind::grid;
  if (!grid && pieces_per_tile == 1) return;
  const int pieces = block.layout.pieces, bits = block.run.shape.share_bits + 1;
  const int tiles = (pieces + pieces_per_tile - 1) / pieces_per_tile;
  for (int k = static_cast<int>(threadIdx.x); k < tiles << bits; k += static_cast<int>(blockDim.x)) {
    const int tile = k >> bits, row = (k & ((1 << bits) - 1)) >> 1, update = k & 1;
    block.memory[block.layout.tile_sums + k] = join_tile<pieces_per_tile>(tile, pieces, [&](int piece) {
      if (grid) {
        // No block sends a row that does not exist.
        if (block.exchange.counts() && (block.exchange.rank << (bits - 1)) + row >= block.p.P) return 0.0f;
        return block.exchange.receive_from_slot(
            block.global_inbox_index(t, block.exchange.rank, piece, row, update));
      }
      return block.memory[block.layout.inbox + block.inbox_index(t, piece, row, update)];
    });
  }
  __syncthreads();
}

/// x̄ of step t of one of the block's rows: the part of its read, and that of its update, which was received
/// one step earlier. Called once per row and step, after receive_rows().
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ float take_row(const BackwardBlock<form, kind, shape>& block, int t, int row) {
  constexpr int pieces_per_tile = Place<shape>::V == 4 ? 1 : 4;
  const int pieces = block.layout.pieces, tiles = (pieces + pieces_per_tile - 1) / pieces_per_tile;
  const bool received = block.exchange.kind == GroupKind::grid || pieces_per_tile > 1;
  const int stride = 2 << block.run.shape.share_bits;
  const float* sums = block.memory + (received ? block.layout.tile_sums + 2 * row
                                               : block.layout.inbox + block.inbox_index(t, 0, row, 0));
  float read = 0, update = 0;
#pragma unroll 4
  for (int tile = 0; tile < tiles; ++tile) {
    read += sums[tile * stride];
    update += sums[tile * stride + 1];
  }
  const float x = read + block.carry()[row];
  block.carry()[row] = update;
  return x;
}

}  // namespace plasticity::cuda
