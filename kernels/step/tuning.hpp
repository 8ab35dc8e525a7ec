// The shape of a step kernel's block. It is the same for every batch size, so a sample's sums have the same
// order alone and in a batch.
#pragma once

#include "plasticity/spec.hpp"

namespace plasticity::cuda {

constexpr int block_threads = 256;
constexpr int block_warps = block_threads / 32;

/// Postsynaptic columns per block: 128 bytes of a float row, one cache line. One warp, one column per lane,
/// does the work on vectors.
constexpr int tile_columns = 32;

/// Minimum resident blocks per SM (__launch_bounds__). Two blocks of 256 threads leave 128 registers per
/// thread.
constexpr int forward_blocks = 2;
constexpr int backward_blocks = 2;

/// Batch elements per block at most: they share the loads of w and α.
constexpr int max_elements = 2;

/// Whether a pass of a block takes several elements at once. With eligibility traces the elements' own traces
/// are most of the traffic.
template <Eligibility kind, int V>
constexpr bool shares_weights = kind == Eligibility::none&& V > 1;

/// Rows that a thread loads before it computes, V columns each, to keep enough loads in flight: 64 bytes of
/// the trace with 16-byte loads.
constexpr int rows_loaded_forward(Eligibility kind, int V, int elements) {
  return V == 1 ? 4 : (kind == Eligibility::none ? 4 : 2) / elements;
}
/// More rows of two bfloat16 traces would spill. `floats`: the traces on the tape are floats.
constexpr int rows_loaded_backward(Eligibility kind, bool floats, int V, int elements) {
  return V == 1 ? 4 : (kind == Eligibility::none && floats ? 2 : 1) / elements;
}
template <Eligibility kind, int V, int elements>
constexpr int forward_rows = rows_loaded_forward(kind, V, elements);
template <Eligibility kind, class Trace, int V, int elements>
constexpr int backward_rows = rows_loaded_backward(kind, sizeof(Trace) == sizeof(float), V, elements);

/// Columns per thread of a kernel with 16-byte loads.
constexpr int wide_columns = 4;

}  // namespace plasticity::cuda
