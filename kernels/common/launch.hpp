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
// A type that contains a comma needs an alias. A kernel has at most one dynamic array.
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
  std::size_t shared_bytes = 0;  ///< dynamic shared memory per block
  cudaStream_t stream = nullptr;
  bool cooperative = false;  ///< all blocks are resident at once, as grid.sync() requires
  dim3 cluster{1};           ///< blocks per cluster; the grid is a multiple of it
  std::source_location where = std::source_location::current();  ///< for the error message
};

namespace detail {

constexpr std::size_t default_shared_bytes = 48 * 1024;
constexpr unsigned portable_cluster_size = 8;

inline std::string describe(const dim3& d) {
  return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
}

/// Throws plasticity::Error that names the launch if `error` is one.
inline void check_launch(cudaError_t error, const LaunchConfig& c) {
  if (error == cudaSuccess) return;
  check(error,
        "launch of grid " + describe(c.grid) + ", block " + describe(c.block) + ", cluster " +
            describe(c.cluster) + ", " + std::to_string(c.shared_bytes) + " bytes of shared memory" +
            (c.cooperative ? ", cooperative" : ""),
        c.where);
}

/// The pairs of function and device whose limit has been raised.
class RaisedLimits {
 public:
  /// Calls set(device) once per function and device, and again only if it failed. Threads call it one at a
  /// time.
  template <class Set>
  cudaError_t once(const void* function, Set set) {
    int device = 0;
    if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
    const std::lock_guard lock(mutex_);
    if (raised_.count({function, device}) != 0) return cudaSuccess;
    const cudaError_t error = set(device);
    if (error == cudaSuccess) raised_.insert({function, device});
    return error;
  }

 private:
  std::mutex mutex_;
  std::set<std::pair<const void*, int>> raised_;
};

/// Raises the function's limit of dynamic shared memory to the maximum of the device. All launches of a
/// function share one limit, so the limit of one launch would reject larger launches of other threads, and
/// captured ones.
inline cudaError_t raise_shared_limit(const void* function, const LaunchConfig& config) {
  static RaisedLimits limits;
  if (config.shared_bytes <= default_shared_bytes) return cudaSuccess;
  return limits.once(function, [&](int device) {
    int max_bytes = 0;
    cudaError_t error = cudaDeviceGetAttribute(&max_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    cudaFuncAttributes attributes{};
    if (error == cudaSuccess) error = cudaFuncGetAttributes(&attributes, function);
    if (error != cudaSuccess) return error;
    return cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                max_bytes - static_cast<int>(attributes.sharedSizeBytes));
  });
}

/// Permits launches in clusters larger than the portable size.
inline cudaError_t raise_cluster_limit(const void* function, const LaunchConfig& config) {
  static RaisedLimits limits;
  if (config.cluster.x * config.cluster.y * config.cluster.z <= portable_cluster_size) return cudaSuccess;
  return limits.once(function, [&](int) {
    return cudaFuncSetAttribute(function, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
  });
}

inline cudaError_t raise_limits(const void* function, const LaunchConfig& config) {
  const cudaError_t error = raise_shared_limit(function, config);
  return error == cudaSuccess ? raise_cluster_limit(function, config) : error;
}

/// The attributes of a launch. Owns the memory to which the result of config_of() points.
class LaunchAttributes {
 public:
  explicit LaunchAttributes(const LaunchConfig& config) {
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
  cudaLaunchConfig_t config_of(const LaunchConfig& config) {
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

/// Sets `count` to the number of resident blocks per multiprocessor, or of resident clusters on the device.
inline cudaError_t occupancy(int& count, const void* function, const LaunchConfig& config) {
  if (const cudaError_t error = raise_limits(function, config); error != cudaSuccess) return error;
  if (config.cluster.x * config.cluster.y * config.cluster.z == 1) {
    const int threads = static_cast<int>(config.block.x * config.block.y * config.block.z);
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, function, threads, config.shared_bytes);
  }
  LaunchAttributes attributes(config);
  cudaLaunchConfig_t cuda_config = attributes.config_of(config);
  return cudaOccupancyMaxActiveClusters(&count, function, &cuda_config);
}

}  // namespace detail

/// Returns how many groups of blocks the current device can hold at once: clusters, or all blocks of a
/// cooperative or plain launch. `config`: the launch of one group. 0 if the device cannot hold one (some
/// devices report that by an error).
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

/// Puts one kernel on a stream. Throws plasticity::Error if CUDA rejects the launch. An error while the
/// kernel runs is reported by the next synchronisation. Permitted while the stream is captured.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchConfig& config, Arguments&&... arguments) {
  const auto function = reinterpret_cast<const void*>(kernel);
  register_kernel(kernel);
  detail::check_launch(detail::raise_limits(function, config), config);
  detail::LaunchAttributes attributes(config);
  const cudaLaunchConfig_t cuda_config = attributes.config_of(config);
  detail::check_launch(cudaLaunchKernelEx(&cuda_config, kernel, std::forward<Arguments>(arguments)...),
                       config);
}

}  // namespace plasticity
