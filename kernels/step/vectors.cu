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

/// Completes a step of Plan::step: the softmax, M = tanh(v . y + v0), and the rate of the pending trace
/// update. Grid: one block per tile of columns of each batch element, as in the step.
__global__ void __launch_bounds__(block_threads)
    finish_step_kernel(const __grid_constant__ ForwardStep step) {
  PLASTICITY_SHARED(float, words, [block_warps]);
  const StepParams& p = step.params;
  const ThreadTile<1> at(p);
  const std::int64_t now = step.step_state.phase[blockIdx.x] % StepStateRecord::pending, j = at.column;
  const Activities y = output_of_step(p, step.record, 0, now, at.b, words);
  const float modulation = modulation_of(p, step.record, y, now, at.b, words);
  store_completed(p, step.record, y, modulation, 0, now, at.b, at.tile, step.y, step.modulation);
  if (at.inside && at.group == 0)
    *step.step_state.rate.at(now, at.b * p.N + j) = rate_of(p, modulation, 0, at.b, j);
}

/// The gradients of y and c before step 0, and in a feedforward cell of x of step 0. Grid: as in a step.
__global__ void __launch_bounds__(block_threads)
    finish_backward_kernel(const __grid_constant__ BackwardStep step) {
  const StepParams& p = step.params;
  const ThreadTile<1> at(p);
  const std::int64_t length = length_of(p, at.b);
  const bool cut = length > 0 && resets(p, 0, at.b), feedforward = p.cell == Cell::feedforward;
  for (std::int64_t i = std::int64_t{at.tile} * block_threads + threadIdx.x; i < p.P;
       i += std::int64_t{p.tiles} * block_threads) {
    const std::int64_t bi = at.b * p.P + i;
    if (feedforward && step.dpre != nullptr && p.T > 0)
      step.dpre[bi] = length > 0 ? dx_total(step, 0, at.b, i) : 0;
    if (feedforward || step.dinitial_y == nullptr) continue;
    if (length > 0) {
      step.dinitial_y[bi] = cut ? 0 : dx_total(step, 0, at.b, i);
    } else {
      step.dinitial_y[bi] = step.dfinal_y == nullptr ? 0 : step.dfinal_y[bi];
    }
  }
  if (step.dinitial_c == nullptr || !at.inside || at.group != 0) return;
  const std::int64_t bj = at.b * p.N + at.column;
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
  launch(finish_step_kernel, {.grid = step_blocks(step.params), .block = block_threads, .stream = stream},
         step);
}

void launch_finish_backward(const BackwardStep& step, cudaStream_t stream) {
  launch(finish_backward_kernel, {.grid = step_blocks(step.params), .block = block_threads, .stream = stream},
         step);
}

}  // namespace plasticity::cuda
