// The shape of a step kernel's block. It is the same for every batch size, so a sample's sums have the same
// order alone and in a batch.
#pragma once

#include "plasticity/spec.hpp"

namespace plasticity::cuda {

constexpr int block_threads = 256;

/// Postsynaptic columns per block: 128 bytes of a float row, one cache line. One warp, one column per lane,
/// does the work on vectors.
constexpr int tile_columns = 32;

/// Minimum resident blocks per SM (__launch_bounds__). Two blocks of 256 threads leave 128 registers per
/// thread.
constexpr int forward_blocks = 2;
constexpr int backward_blocks = 2;

/// Columns per thread of a kernel with 16-byte loads.
constexpr int wide_columns = 4;

/// Batch elements per block at most: they share the loads of w and α.
constexpr int max_elements = 2;

/// Batch elements per block of a kernel at most. With eligibility traces the elements' own traces are most of
/// the traffic.
template <Eligibility kind, int V>
constexpr int elements_at_once = kind == Eligibility::none&& V > 1 ? max_elements : 1;

/// Rows that a thread loads before it computes, if it does not copy them ahead: 64 bytes of the trace with
/// 16-byte loads. More rows of two bfloat16 traces would spill.
constexpr int forward_rows = 4;
template <int V>
constexpr int backward_rows = V == 1 ? 4 : 1;

/// The number of matrices of which a thread copies rows ahead (step/ahead.cuh): traces, in backward also
/// gradients, w and α.
constexpr int forward_streams(Eligibility kind, int elements) {
  return elements * (kind == Eligibility::none ? 1 : 2) + 2;
}
constexpr int backward_streams(Eligibility kind, int elements) {
  return elements * (kind == Eligibility::none ? 2 : 4) + 2;
}

/// Rows that a thread has on chip or on their way: the present one, and those that it has asked for. Two
/// blocks with two elements each then wait for 48 KB of traces in forward, and for 64 KB in backward. A
/// memory of 4 TB/s delivers 40 KB to a multiprocessor in the microsecond until a load arrives. A block has
/// at most 99 KB of shared memory, so that every device has it.
constexpr int rows_ahead_forward(Eligibility kind, int elements) {
  return kind == Eligibility::none && elements == 1 ? 6 : 4;
}
constexpr int rows_ahead_backward(Eligibility kind, int elements) {
  return kind == Eligibility::none && elements == 1 ? 4 : 3;
}
template <Eligibility kind, int elements>
constexpr int forward_stages = rows_ahead_forward(kind, elements);
template <Eligibility kind, int elements>
constexpr int backward_stages = rows_ahead_backward(kind, elements);

/// Rows whose loads a thread of a pass has under way at once, for the planner's model.
constexpr int rows_loaded_forward(Eligibility kind, int V, int elements) {
  return V == 1 ? forward_rows : rows_ahead_forward(kind, elements) - 1;
}
constexpr int rows_loaded_backward(Eligibility kind, bool floats, int V, int elements) {
  if (V == 1) return backward_rows<1>;
  return floats ? rows_ahead_backward(kind, elements) - 1 : backward_rows<wide_columns>;
}

}  // namespace plasticity::cuda
