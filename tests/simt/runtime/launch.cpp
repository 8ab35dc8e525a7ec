// Kernels: their attributes, what a launch may ask for, occupancy.
#include <algorithm>
#include <cstring>

#include "simt/config.hpp"
#include "simt/device/kernel.hpp"
#include "simt/executor/launch.hpp"
#include "simt/runtime/state.hpp"

namespace simt {
namespace {

using namespace runtime;

std::map<const void*, KernelSignature>& signatures() {
  static std::map<const void*, KernelSignature> known;
  return known;
}

int blocks_per_multiprocessor_at_once(std::uint64_t threads, std::size_t shared_bytes) {
  const std::uint64_t whole_warps = (threads + 31) / 32 * 32;
  const std::uint64_t by_threads = threads_per_multiprocessor / whole_warps;
  constexpr std::size_t reserved = 1024;  // of each block, for CUDA itself
  const std::uint64_t by_shared = shared_bytes_per_multiprocessor / (shared_bytes + reserved);
  return int(std::min({by_threads, by_shared, std::uint64_t(blocks_per_multiprocessor)}));
}

cudaError_t read_attributes(const cudaLaunchConfig_t& config, Launch& launch) {
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const cudaLaunchAttribute& attribute = config.attrs[i];
    switch (attribute.id) {
      case cudaLaunchAttributeCooperative: launch.cooperative = attribute.val.cooperative != 0; break;
      case cudaLaunchAttributeClusterDimension:
        launch.cluster = {attribute.val.clusterDim.x, attribute.val.clusterDim.y, attribute.val.clusterDim.z};
        break;
      default: return cudaErrorNotSupported;
    }
  }
  return cudaSuccess;
}

/// What an H100 would say to it.
cudaError_t refuse(const Launch& l, const KernelAttributes& kernel) {
  const DeviceModel& model = state().model;
  if (!l.blocks() || !l.threads_per_block() || !l.blocks_per_cluster()) return cudaErrorInvalidConfiguration;
  if (l.threads_per_block() > 1024 || l.block.z > 64) return cudaErrorInvalidConfiguration;
  if (l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535) return cudaErrorInvalidConfiguration;
  if (l.grid.x % l.cluster.x || l.grid.y % l.cluster.y || l.grid.z % l.cluster.z)
    return cudaErrorInvalidConfiguration;
  if (l.blocks_per_cluster() > 1 && model.major < 9) return cudaErrorNotSupported;
  if (l.blocks_per_cluster() > (kernel.large_clusters ? 16 : 8)) return cudaErrorInvalidClusterSize;
  if (l.shared_bytes > std::size_t(kernel.shared_bytes)) return cudaErrorInvalidValue;
  const std::uint64_t resident = std::uint64_t(model.multiprocessors) *
                                 blocks_per_multiprocessor_at_once(l.threads_per_block(), l.shared_bytes);
  if (l.cooperative && l.blocks() > resident) return cudaErrorCooperativeLaunchTooLarge;
  return cudaSuccess;
}

}  // namespace

void register_kernel(const void* function, const KernelSignature& signature) {
  auto guard = runtime::lock();
  signatures().insert_or_assign(function, signature);
}

}  // namespace simt

using namespace simt;
using namespace simt::runtime;

extern "C" {

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  auto guard = lock();
  State& s = state();
  if (const cudaError_t error = broken()) return done(error);
  const auto signature = signatures().find(function);
  if (signature == signatures().end()) return done(cudaErrorInvalidDeviceFunction);
  Launch launch{config->gridDim, config->blockDim};
  launch.shared_bytes = config->dynamicSmemBytes;
  if (const cudaError_t error = read_attributes(*config, launch)) return done(error);
  if (const cudaError_t error = refuse(launch, s.kernel_attributes[function])) return done(error);
  const auto stream = find_stream(config->stream);
  if (!stream || stream->device != current_device) return done(cudaErrorInvalidResourceHandle);

  ++s.calls.launches;
  const std::shared_ptr<void> copy = signature->second.copy(arguments);
  launch.function = function;
  launch.invoke = signature->second.invoke;
  launch.arguments = copy.get();
  return done(enqueue(config->stream, cudaGraphNodeTypeKernel, [launch, copy]() mutable {
    State& now = state();
    if (std::exchange(now.fail_next_kernel, false)) throw Error("a test asked for this fault");
    launch.number = now.kernels_run++;
    execute(launch);
  }));
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  KernelAttributes& kernel = state().kernel_attributes[function];
  switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
      if (value < 0 || value > shared_bytes_per_block) return done(cudaErrorInvalidValue);
      kernel.shared_bytes = value;
      return cudaSuccess;
    case cudaFuncAttributeNonPortableClusterSizeAllowed:
      kernel.large_clusters = value != 0;
      return cudaSuccess;
    case cudaFuncAttributePreferredSharedMemoryCarveout: return cudaSuccess;  // a hint
    default: return done(cudaErrorInvalidValue);
  }
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->maxDynamicSharedSizeBytes = state().kernel_attributes[function].shared_bytes;
  attributes->nonPortableClusterSizeAllowed = state().kernel_attributes[function].large_clusters;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads,
                                                          size_t shared_bytes) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (threads < 1) return done(cudaErrorInvalidValue);
  *blocks = threads > 1024 ? 0 : blocks_per_multiprocessor_at_once(std::uint64_t(threads), shared_bytes);
  return cudaSuccess;
}

/// As if every multiprocessor could be in any cluster: a little more than a GPU, whose clusters do not cross
/// GPCs.
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* function,
                                           const cudaLaunchConfig_t* config) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  Launch launch{config->gridDim, config->blockDim};
  launch.shared_bytes = config->dynamicSmemBytes;
  if (const cudaError_t error = read_attributes(*config, launch)) return done(error);
  launch.cooperative = false;
  if (const cudaError_t error = refuse(launch, state().kernel_attributes[function])) return done(error);
  const int blocks = state().model.multiprocessors *
                     blocks_per_multiprocessor_at_once(launch.threads_per_block(), launch.shared_bytes);
  *clusters = blocks / int(launch.blocks_per_cluster());
  return cudaSuccess;
}
}
