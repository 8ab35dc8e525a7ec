// The sum over a replay's groups, and the sizes of the replay's launches.
#include <algorithm>

#include "replay/rows.cuh"

namespace plasticity::cuda {
namespace {

/// alpha += the sums of the groups, in order. Grid: grid-stride over the connections. Bytes: the groups' sums
/// read once.
__global__ void __launch_bounds__(block_threads)
    add_groups_kernel(const float* partial, std::int64_t groups, std::int64_t size, float* alpha) {
  const std::int64_t stride = std::int64_t{gridDim.x} * block_threads;
  for (std::int64_t k = std::int64_t{blockIdx.x} * block_threads + threadIdx.x; k < size; k += stride) {
    float sum = 0;
    for (std::int64_t group = 0; group < groups; ++group) sum += partial[group * size + k];
    alpha[k] += sum;
  }
}

}  // namespace

void launch_add_groups(const Replay& replay, float* alpha, cudaStream_t stream) {
  const std::int64_t size = replay.params.P * replay.params.N;
  const std::int64_t blocks = (size + block_threads - 1) / block_threads;
  if (blocks == 0) return;
  launch(add_groups_kernel,
         {.grid = static_cast<unsigned>(std::min<std::int64_t>(blocks, 4096)),
          .block = block_threads,
          .stream = stream},
         replay.partial, replay.groups, size, alpha);
}

std::int64_t replay_blocks(std::int64_t groups, std::int64_t N, std::int64_t P) {
  return groups * ((N + tile_columns - 1) / tile_columns) * ((P + replay_tile_rows - 1) / replay_tile_rows);
}

std::int64_t segment_blocks(std::int64_t B, std::int64_t N, std::int64_t P) {
  return B * ((N + tile_columns - 1) / tile_columns) * ((P + replay_tile_rows - 1) / replay_tile_rows);
}

std::int64_t replay_groups(std::int64_t B, std::int64_t N, std::int64_t P) {
  constexpr std::int64_t enough_blocks = 1024, max_groups = 16;
  const std::int64_t blocks = std::max<std::int64_t>(replay_blocks(1, N, P), 1);
  return std::clamp<std::int64_t>(enough_blocks / blocks, 1, std::clamp<std::int64_t>(B, 1, max_groups));
}

}  // namespace plasticity::cuda
