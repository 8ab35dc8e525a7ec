// The kernels around the steps that touch no trace twice: beginning, the end of a live step, the end of
// backward.
#include "step/adjoint.cuh"
#include "step/instantiate.cuh"
#include "step/launch.hpp"

namespace plasticity::cuda {
namespace {

/// Slot 0 ← the given state, or zero. Grid-stride over all elements; bytes: the trace read and written once.
__global__ void __launch_bounds__(block_threads) load_kernel(const __grid_constant__ Load load) {
  const std::int64_t first = std::int64_t{blockIdx.x} * block_threads + threadIdx.x,
                     stride = std::int64_t{gridDim.x} * block_threads;
  const std::int64_t BN = load.B * load.N, BPN = BN * load.P;
  for (std::int64_t k = first; k < BN; k += stride) {
    if (load.shown != nullptr) load.shown[k] = load.y == nullptr ? 0 : load.y[k];
    if (load.cell != nullptr) load.cell[k] = load.c == nullptr ? 0 : load.c[k];
  }
  for (std::int64_t k = first; k < BPN; k += stride) {
    load.trace[k] = load.hebb == nullptr ? 0 : load.hebb[k];
    if (load.eligible != nullptr) load.eligible[k] = load.eligibility == nullptr ? 0 : load.eligibility[k];
  }
  for (std::int64_t k = first; load.phase != nullptr && k < load.B * load.tiles; k += stride)
    load.phase[k] = 0;
}

/// Completes a live step: the softmax, M = tanh(v . y + v0), and the rate that the waiting update will use.
/// One block a tile of columns, as in the step itself.
__global__ void __launch_bounds__(block_threads)
    live_finish_kernel(const __grid_constant__ ForwardStep step) {
  PLASTICITY_SHARED(float, words, [block_warps]);
  const Problem& p = step.problem;
  const Place<1> at(p);
  const std::int64_t now = step.live.phase[blockIdx.x] % StepStateRecord::pending, j = at.column;
  const Activities y = outputs_of(p, step.record, 0, now, at.b, words);
  const float modulation = modulation_of(p, step.record, y, now, at.b, words);
  write_completed(p, step.record, y, modulation, 0, now, at.b, at.tile, step.y, step.modulation);
  if (at.inside && at.group == 0) {
    *row_of(step.live.rate, now, at.b * p.N + j) = rate_of(p, modulation, 0, at.b, j);
  }
}

/// The gradients of the state before step 0, and of x of step 0 in a feedforward cell; vectors only. Grid as
/// a step's.
__global__ void __launch_bounds__(block_threads)
    backward_finish_kernel(const __grid_constant__ BackwardStep step) {
  const Problem& p = step.problem;
  const Place<1> at(p);
  const std::int64_t length = length_of(p, at.b);
  const bool cut = length > 0 && resets(p, 0, at.b), feedforward = p.cell == Cell::feedforward;
  for (std::int64_t i = std::int64_t{at.tile} * block_threads + threadIdx.x; i < p.P;
       i += std::int64_t{p.tiles} * block_threads) {
    const std::int64_t bi = at.b * p.P + i;
    if (feedforward && step.dpre != nullptr && p.T > 0)
      step.dpre[bi] = length > 0 ? row_total(step, 0, at.b, i) : 0;
    if (feedforward || step.dinitial_y == nullptr) continue;
    if (length > 0) {
      step.dinitial_y[bi] = cut ? 0 : row_total(step, 0, at.b, i);
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
  const std::int64_t most = load.B * load.N * (load.P > 1 ? load.P : 1);
  if (most == 0) return;
  const std::int64_t blocks = (most + block_threads - 1) / block_threads;
  launch(load_kernel,
         {.grid = static_cast<unsigned>(blocks < 4096 ? blocks : 4096),
          .block = block_threads,
          .stream = stream},
         load);
}

void launch_live_finish(const ForwardStep& step, cudaStream_t stream) {
  launch(live_finish_kernel, {.grid = blocks_of(step.problem), .block = block_threads, .stream = stream},
         step);
}

void launch_backward_finish(const BackwardStep& step, cudaStream_t stream) {
  launch(backward_finish_kernel, {.grid = blocks_of(step.problem), .block = block_threads, .stream = stream},
         step);
}

}  // namespace plasticity::cuda
