// The step kernels that touch no trace twice: loading a state, finishing a step of Plan::step, finishing
// backward.
#include "step/adjoint.cuh"
#include "step/grid.hpp"
#include "step/launch.hpp"

namespace plasticity::cuda {
namespace {

/// Slot 0 ← the given state, or zero. Grid: grid-stride over all elements. Bytes: the trace read once and
/// written once.
__global__ void __launch_bounds__(block_threads) load_kernel(const __grid_constant__ Load load) {
  const std::int64_t first = std::int64_t{blockIdx.x} * block_threads + threadIdx.x,
                     stride = std::int64_t{gridDim.x} * block_threads;
  const std::int64_t BN = load.B * load.N, BPN = BN * load.P;
  for (std::int64_t k = first; k < BN; k += stride) {
    if (load.slot_y != nullptr) load.slot_y[k] = load.y == nullptr ? 0 : load.y[k];
    if (load.slot_c != nullptr) load.slot_c[k] = load.c == nullptr ? 0 : load.c[k];
  }
  for (std::int64_t k = first; k < BPN; k += stride) {
    load.slot_hebb[k] = load.hebb == nullptr ? 0 : load.hebb[k];
    if (load.slot_eligibility != nullptr)
      load.slot_eligibility[k] = load.eligibility == nullptr ? 0 : load.eligibility[k];
  }
  for (std::int64_t k = first; load.phase != nullptr && k < load.B * load.tiles; k += stride)
    load.phase[k] = 0;
}

/// The outputs of a softmax, from the logits of the step: of the columns of one warp.
__device__ void finish_softmax(const ForwardStep& step, std::int64_t slot, std::int64_t b,
                               const OwnColumn& own) {
  const StepParams& p = step.params;
  const float* logits = step.record.logits.at(slot, b * p.N);
  const float largest = fold_columns(
      p.N, -INFINITY, [&](float m, int j) { return Max{}(m, logits[j]); }, Max{});
  const float sum = fold_columns(
      p.N, 0, [&](float s, int j) { return s + expf(logits[j] - largest); }, Add{});
  if (!own.exists) return;
  const std::int64_t bj = b * p.N + own.j, tbj = step.t * p.B * p.N + bj;
  const float unclamped = expf(logits[own.j] - largest) / sum;
  const float y = p.clamp != nullptr && p.clamp[tbj] != 0 ? p.clamp_value[tbj] : unclamped;
  *step.record.output.at(slot, bj) = y;
  if (step.record.unclamped.base != nullptr) *step.record.unclamped.at(slot, bj) = unclamped;
  step.y[tbj] = y;
}

/// Completes a step under softmax. Grid: one warp per tile of columns of each batch element.
__global__ void __launch_bounds__(32) finish_softmax_kernel(const __grid_constant__ ForwardStep step) {
  const StepParams& p = step.params;
  const BlockTile block(p, 1, 0);
  const bool single = step.step_state.phase != nullptr;
  if (!single && step.t >= length_of(p, block.first)) return;
  const std::int64_t slot = single ? step.step_state.phase[blockIdx.x] % StepStateRecord::pending
                                   : slot_before(step.record, step.t + 1);
  finish_softmax(step, slot, block.first, OwnColumn(p, block.tile));
}

/// In Plan::step, after the outputs are complete: M, and the rate of the pending trace update. Grid: one warp
/// per tile of columns of each batch element.
__global__ void __launch_bounds__(32) finish_rate_kernel(const __grid_constant__ ForwardStep step) {
  const StepParams& p = step.params;
  const BlockTile block(p, 1, 0);
  const std::int64_t now = step.step_state.phase[blockIdx.x] % StepStateRecord::pending, b = block.first;
  const float modulation = modulation_of(p, step.record, now, b);
  if (block.tile == 0 && threadIdx.x == 0)
    store_modulation(p, step.record, modulation, 0, now, b, step.modulation);
  const OwnColumn own(p, block.tile);
  if (own.exists) *step.step_state.rate.at(now, b * p.N + own.j) = rate_of(p, modulation, 0, b, own.j);
}

/// The gradients of y and c before step 0, and in a feedforward cell of x of step 0. Grid: as in a step.
__global__ void __launch_bounds__(block_threads)
    finish_backward_kernel(const __grid_constant__ BackwardStep step) {
  const StepParams& p = step.params;
  const BlockTile block(p, 1, 0);
  const std::int64_t b = block.first, length = length_of(p, b);
  const bool cut = length > 0 && resets(p, 0, b), feedforward = p.cell == Cell::feedforward;
  for (std::int64_t i = std::int64_t{block.tile} * block_threads + threadIdx.x; i < p.P;
       i += std::int64_t{p.tiles} * block_threads) {
    const std::int64_t bi = b * p.P + i;
    if (feedforward && step.dpre != nullptr && p.T > 0)
      step.dpre[bi] = length > 0 ? dx_total(step, 0, b, i) : 0;
    if (feedforward || step.dinitial_y == nullptr) continue;
    if (length > 0) {
      step.dinitial_y[bi] = cut ? 0 : dx_total(step, 0, b, i);
    } else {
      step.dinitial_y[bi] = step.dfinal_y == nullptr ? 0 : step.dfinal_y[bi];
    }
  }
  const OwnColumn own(p, block.tile);
  if (step.dinitial_c == nullptr || !own.exists || threadIdx.x >= tile_columns) return;
  const std::int64_t bj = b * p.N + own.j;
  if (length > 0) {
    step.dinitial_c[bj] = cut ? 0 : step.dc[bj];
  } else {
    step.dinitial_c[bj] = step.dfinal_c == nullptr ? 0 : step.dfinal_c[bj];
  }
}

}  // namespace

cudaError_t probe_kernels() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(load_kernel));
}

void launch_load(const Load& load, cudaStream_t stream) {
  const std::int64_t elements = load.B * load.N * (load.P > 1 ? load.P : 1);
  if (elements == 0) return;
  const std::int64_t blocks = (elements + block_threads - 1) / block_threads;
  launch(load_kernel,
         {.grid = static_cast<unsigned>(blocks < 4096 ? blocks : 4096),
          .block = block_threads,
          .stream = stream},
         load);
}

void launch_finish_step(const ForwardStep& step, cudaStream_t stream) {
  const LaunchConfig warps{.grid = step_blocks(step.params, 1), .block = 32, .stream = stream};
  const bool single = step.step_state.phase != nullptr;
  if (step.params.activation == Activation::softmax) launch(finish_softmax_kernel, warps, step);
  if (single && step.params.modulator_weight != nullptr) launch(finish_rate_kernel, warps, step);
}

int elements_per_block(const StepParams& p, bool wide, int multiprocessors) {
  const std::int64_t blocks = (p.B + 1) / 2 * p.tiles;
  const bool shares = wide && p.eligibility == Eligibility::none;
  return shares && p.B > 1 && 2 * blocks >= std::int64_t{3} * multiprocessors ? max_elements : 1;
}

void launch_finish_backward(const BackwardStep& step, cudaStream_t stream) {
  launch(finish_backward_kernel,
         {.grid = step_blocks(step.params, 1), .block = block_threads, .stream = stream}, step);
}

}  // namespace plasticity::cuda
