// A step of a cell without a plastic part:
//   s_j = Σ_i x_i w_ij,  y_j = f(u_j + s_j), the clamp, the LSTM cell          forward
//   x̄_i = Σ_j w_ij ā_j                                                        backward
// Grid: that of the step kernels, one block of 256 threads per tile of 32 postsynaptic columns and per one or
// two batch elements. Bytes: W once per block, 4 P N, from L2, and in an LSTM the gate weights, 12 N N.
#include "nonplastic/launch.hpp"

#include "step/backward.cuh"
#include "step/flush.cuh"
#include "step/forward.cuh"
#include "step/grid.hpp"

namespace plasticity::cuda {
namespace {

template <int V>
__global__ void __launch_bounds__(block_threads, forward_blocks)
    nonplastic_forward_kernel(const __grid_constant__ ForwardStep step) {
  PLASTICITY_SHARED(TileSums, parts, [max_elements]);
  const BlockTile block(step.params, step.elements, step.t);
  const ThreadTile<V> at(step.params, block.tile);
  const float current = own_current(step, block);
  sum_matrix(step, block, at, step.params.w, step.params.N, parts);
  __syncthreads();
  finish_block(step, block, at, current, parts);
}

__global__ void __launch_bounds__(block_threads)
    nonplastic_flush_kernel(const __grid_constant__ Flush flush) {
  const BlockTile block(flush.params, 1, 0);
  flush_vectors(flush, FlushSlots(flush, block.first), ThreadTile<1>(flush.params, block.tile), block.first);
}

template <int V>
__global__ void __launch_bounds__(block_threads, backward_blocks)
    nonplastic_backward_kernel(const __grid_constant__ BackwardStep step) {
  PLASTICITY_SHARED(TileGradients, da, [max_elements]);
  const StepParams& p = step.params;
  const BlockTile block(p, step.elements, step.t);
  const ThreadTile<V> at(p, block.tile);
  begin_block(step, block, da);
  sum_row_products<false>(step, block, at, [&](std::int64_t i, bool exists, float(&leaf)[max_elements][V]) {
    add_row_products(p.w + i * p.N, exists, true, p.lstm ? 2 : 0, at, da, leaf);
  });
  if (p.lstm) add_gate_rows(step, block, at, da);
}

}  // namespace

void NonplasticKernels::launch_step(const ForwardStep& step, bool wide, cudaStream_t stream) {
  launch(wide ? nonplastic_forward_kernel<wide_columns> : nonplastic_forward_kernel<1>,
         {.grid = step_blocks(step.params, step.elements), .block = block_threads, .stream = stream},
         with_places(step));
}

void NonplasticKernels::launch_flush(const Flush& flush, cudaStream_t stream) {
  launch(nonplastic_flush_kernel,
         {.grid = step_blocks(flush.params, 1), .block = block_threads, .stream = stream}, flush);
}

void NonplasticKernels::launch_backward_step(const BackwardStep& step, Variant variant, cudaStream_t stream) {
  launch(variant.wide ? nonplastic_backward_kernel<wide_columns> : nonplastic_backward_kernel<1>,
         {.grid = step_blocks(step.params, step.elements), .block = block_threads, .stream = stream}, step);
}

}  // namespace plasticity::cuda
