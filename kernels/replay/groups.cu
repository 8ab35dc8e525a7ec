#include <algorithm>

#include "replay/replay.cuh"

namespace plasticity::cuda {

std::int64_t replay_blocks(std::int64_t groups, std::int64_t N, std::int64_t P) {
  return groups * ((N + tile_columns - 1) / tile_columns) * ((P + replay_tile_rows - 1) / replay_tile_rows);
}

std::int64_t replay_groups(std::int64_t B, std::int64_t N, std::int64_t P) {
  constexpr std::int64_t enough_blocks = 1024, most = 16;
  const std::int64_t blocks = std::max<std::int64_t>(replay_blocks(1, N, P), 1);
  return std::clamp<std::int64_t>(enough_blocks / blocks, 1, std::clamp<std::int64_t>(B, 1, most));
}

}  // namespace plasticity::cuda
