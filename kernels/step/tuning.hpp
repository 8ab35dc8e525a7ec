#pragma once

// The shape of a step kernel's block. It depends on nothing else, so that a sample's sums are added in the
// same order whatever the batch.
namespace plasticity::cuda {

constexpr int block_threads = 256;
constexpr int block_warps = block_threads / 32;

/// Post columns of a block: 128 bytes of a float row, a whole cache line. One warp then holds a block's
/// columns, one a lane, for all that touches vectors only.
constexpr int tile_columns = 32;

/// Blocks that a multiprocessor holds at once, by the registers that a thread then may use (128).
/// What a bfloat16 tape needs backward, eight columns a thread, would spill at 128.
constexpr int forward_blocks = 2;
template <class Trace, int V>
constexpr int backward_blocks = sizeof(Trace) == sizeof(float) || V == 1 ? 2 : 1;

/// Rows that a thread has under way at once, so that enough loads are in flight: V columns each.
template <int V>
constexpr int forward_rows = V == 1 ? 4 : 2;

/// Columns of a thread of the forward kernels, where they move 16 bytes at a time.
constexpr int forward_columns = 4;

}  // namespace plasticity::cuda
