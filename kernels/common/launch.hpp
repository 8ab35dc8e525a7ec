// Launching kernels. Include this header first in every file that nvcc compiles. The executor of the tests
// (tests/simt) compiles the same files with g++, so a kernel declares shared memory through two macros
// (device_language.hpp):
//
//   template <int Threads>
//   __global__ void __launch_bounds__(Threads) kernel(const float* x, float* y) {
//     PLASTICITY_SHARED(float, part, [Threads / 32]);      // __shared__ float part[Threads / 32];
//     PLASTICITY_DYNAMIC_SHARED(float, row);               // extern __shared__ float row[];
//     ...
//   }
//   launch(kernel<256>, {.grid = 7, .block = 256, .shared_bytes = 1024, .stream = stream}, x, y);
//
// A type with a comma in it needs an alias first. There is one dynamic array a kernel.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <mutex>
#include <set>
#include <source_location>
#include <string>
#include <utility>

#include "common/check.hpp"
#include "common/device_language.hpp"

namespace plasticity {

struct LaunchConfig {
  dim3 grid{1};
  dim3 block{1};
  std::size_t shared_bytes = 0;  ///< of dynamic shared memory, each block
  cudaStream_t stream = nullptr;
  bool cooperative = false;  ///< all blocks resident at once, so that grid.sync() is allowed
  dim3 cluster{1};           ///< blocks a cluster; the grid is a multiple of it
  std::source_location where = std::source_location::current();  ///< of the braces it is written in
};

namespace detail {

constexpr std::size_t shared_bytes_without_asking = 48 * 1024;
constexpr unsigned cluster_size_without_asking = 8;

inline std::string text(const dim3& d) {
  return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
}

/// Says what was asked for, once it is clear that it failed.
inline void check_launch(cudaError_t error, const LaunchConfig& c) {
  if (error == cudaSuccess) return;
  check(error,
        "launch of grid " + text(c.grid) + ", block " + text(c.block) + ", cluster " + text(c.cluster) +
            ", " + std::to_string(c.shared_bytes) + " bytes of shared memory" +
            (c.cooperative ? ", cooperative" : ""),
        c.where);
}

/// The attributes that functions have been given, by function and device.
class GrantedAttributes {
 public:
  /// Calls set(device), once for each function and device: it is called again only if it failed. From
  /// several threads one after the other.
  template <class Set>
  cudaError_t once(const void* function, Set set) {
    int device = 0;
    if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
    const std::lock_guard lock(mutex_);
    if (granted_.count({function, device}) != 0) return cudaSuccess;
    const cudaError_t error = set(device);
    if (error == cudaSuccess) granted_.insert({function, device});
    return error;
  }

 private:
  std::mutex mutex_;
  std::set<std::pair<const void*, int>> granted_;
};

/// Lets every launch of `function` have as much dynamic shared memory as a block of the device can. The limit
/// belongs to the function: were it that of one launch, it would refuse larger ones of other threads, and
/// those that are captured already.
inline cudaError_t allow_shared_bytes(const void* function, const LaunchConfig& config) {
  static GrantedAttributes granted;
  if (config.shared_bytes <= shared_bytes_without_asking) return cudaSuccess;
  return granted.once(function, [&](int device) {
    int most = 0;
    cudaError_t error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    cudaFuncAttributes attributes{};
    if (error == cudaSuccess) error = cudaFuncGetAttributes(&attributes, function);
    if (error != cudaSuccess) return error;
    return cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                most - static_cast<int>(attributes.sharedSizeBytes));
  });
}

/// Lets `function` be launched in clusters of more blocks than every device with clusters takes.
inline cudaError_t allow_large_clusters(const void* function, const LaunchConfig& config) {
  static GrantedAttributes granted;
  if (config.cluster.x * config.cluster.y * config.cluster.z <= cluster_size_without_asking)
    return cudaSuccess;
  return granted.once(function, [&](int) {
    return cudaFuncSetAttribute(function, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
  });
}

inline cudaError_t allow(const void* function, const LaunchConfig& config) {
  const cudaError_t error = allow_shared_bytes(function, config);
  return error == cudaSuccess ? allow_large_clusters(function, config) : error;
}

/// What CUDA wants beside the sizes of a launch, in memory that lives as long as this.
class Attributes {
 public:
  explicit Attributes(const LaunchConfig& config) {
    if (config.cooperative) {
      values_[count_].id = cudaLaunchAttributeCooperative;
      values_[count_++].val.cooperative = 1;
    }
    const unsigned cluster_size = config.cluster.x * config.cluster.y * config.cluster.z;
    if (cluster_size == 1) return;
    values_[count_].id = cudaLaunchAttributeClusterDimension;
    values_[count_].val.clusterDim.x = config.cluster.x;
    values_[count_].val.clusterDim.y = config.cluster.y;
    values_[count_++].val.clusterDim.z = config.cluster.z;
  }
  cudaLaunchConfig_t fill(const LaunchConfig& config) {
    cudaLaunchConfig_t result{};
    result.gridDim = config.grid;
    result.blockDim = config.block;
    result.dynamicSmemBytes = config.shared_bytes;
    result.stream = config.stream;
    result.attrs = values_;
    result.numAttrs = count_;
    return result;
  }

 private:
  cudaLaunchAttribute values_[2];
  unsigned count_ = 0;
};

/// The number of blocks per multiprocessor, or of clusters on the device.
inline cudaError_t occupancy(int& count, const void* function, const LaunchConfig& config) {
  if (const cudaError_t error = allow(function, config); error != cudaSuccess) return error;
  if (config.cluster.x * config.cluster.y * config.cluster.z == 1) {
    const int threads = static_cast<int>(config.block.x * config.block.y * config.block.z);
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, function, threads, config.shared_bytes);
  }
  Attributes attributes(config);
  cudaLaunchConfig_t cuda_config = attributes.fill(config);
  return cudaOccupancyMaxActiveClusters(&count, function, &cuda_config);
}

}  // namespace detail

/// How many groups of blocks that need each other the current device holds at once: clusters, or the blocks
/// of a cooperative or plain launch. `config` is that of one group. 0 if the device has no room for one; some
/// devices say so by an error.
template <class... Parameters>
std::int64_t groups_at_once(void (*kernel)(Parameters...), const LaunchConfig& config) {
  const auto function = reinterpret_cast<const void*>(kernel);
  register_kernel(kernel);
  int count = 0;
  const cudaError_t error = detail::occupancy(count, function, config);
  if (error != cudaSuccess && error_code(error) == ErrorCode::unsupported) {
    cudaGetLastError();  // 0 is the report
    return 0;
  }
  detail::check_launch(error, config);
  if (config.cluster.x * config.cluster.y * config.cluster.z > 1) return count;
  int device = 0, multiprocessors = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  const std::int64_t size = std::int64_t{config.grid.x} * config.grid.y * config.grid.z;
  return std::int64_t{count} * multiprocessors / size;
}

/// Puts one kernel on a stream. Throws plasticity::Error if CUDA refuses it; what goes wrong while it runs
/// shows at the next synchronisation. Legal while the stream is captured.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchConfig& config, Arguments&&... arguments) {
  const auto function = reinterpret_cast<const void*>(kernel);
  register_kernel(kernel);
  detail::check_launch(detail::allow(function, config), config);
  detail::Attributes attributes(config);
  const cudaLaunchConfig_t cuda_config = attributes.fill(config);
  detail::check_launch(cudaLaunchKernelEx(&cuda_config, kernel, std::forward<Arguments>(arguments)...),
                       config);
}

}  // namespace plasticity
