// The shape of a step kernel's block. It is the same for every batch size, so a sample's sums have the same
// order alone and in a batch.
#pragma once

namespace plasticity::cuda {

constexpr int block_threads = 256;
constexpr int block_warps = block_threads / 32;

/// Postsynaptic columns per block: 128 bytes of a float row, one cache line. One warp, one column per lane,
/// does the work on vectors.
constexpr int tile_columns = 32;

/// Minimum resident blocks per SM (__launch_bounds__). Two blocks of 256 threads leave 128 registers per
/// thread.
constexpr int forward_blocks = 2;
/// One block per SM for a bfloat16 tape with eight columns per thread, which would spill at 128 registers.
template <class Trace, int V>
constexpr int backward_blocks = sizeof(Trace) == sizeof(float) || V == 1 ? 2 : 1;

/// Rows that a thread loads before it computes, V columns each, to keep enough loads in flight.
template <int V>
constexpr int forward_rows = V == 1 ? 4 : 2;

/// Columns per thread of a forward kernel with 16-byte loads.
constexpr int forward_columns = 4;

}  // namespace plasticity::cuda
