// One kernel launch as the executor takes it. Checked and queued by the fake runtime (runtime/launch.cpp).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace simt {

struct Launch {
  dim3 grid{1}, block{1}, cluster{1};
  std::size_t shared_bytes = 0;
  bool cooperative = false;
  void (*invoke)(const void* function, const void* arguments) = nullptr;  // runs the kernel for one thread
  const void* function = nullptr;
  const void* arguments = nullptr;
  std::uint64_t number = 0;  // of earlier launches; part of the seed of its schedule

  std::uint64_t threads_per_block() const { return 1ull * block.x * block.y * block.z; }
  std::uint64_t blocks_per_cluster() const { return 1ull * cluster.x * cluster.y * cluster.z; }
  std::uint64_t blocks() const { return 1ull * grid.x * grid.y * grid.z; }
};

/// Runs a launch to its end on the calling OS thread. Throws simt::Error if the kernel breaks a rule.
void execute(const Launch& launch);

}  // namespace simt
