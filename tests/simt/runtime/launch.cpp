// Kernels: their attributes, the limits of a launch, occupancy.
#include <algorithm>
#include <string_view>
#include <utility>

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

KernelResources resources_of(const void* function) {
  const auto signature = signatures().find(function);
  if (signature == signatures().end()) return {};
  const std::string_view parameters = signature->second.parameters;
  for (const auto& [name, resources] : state().kernel_resources)
    if (parameters.find(name) != std::string_view::npos) return resources;
  return {};
}

/// The resident warps of a multiprocessor of an H100: each of its four parts allocates registers per warp in
/// units of 256.
std::uint64_t warps_by_registers(int registers) {
  const int of_a_warp = (registers * 32 + 255) / 256 * 256;
  return 4 * std::uint64_t(registers_per_multiprocessor / 4 / of_a_warp);
}

/// The registers of a thread in a block of that many warps.
int registers_of(const KernelResources& resources, std::uint64_t warps) {
  constexpr int unit = 8;
  int registers = resources.registers;
  while (resources.one_block_fits && registers > unit && warps_by_registers(registers) < warps)
    registers -= unit;
  return registers;
}

int blocks_per_multiprocessor_at_once(const void* function, std::uint64_t threads, std::size_t shared_bytes) {
  const KernelResources resources = resources_of(function);
  const std::uint64_t warps = (threads + 31) / 32;
  const std::uint64_t by_threads = threads_per_multiprocessor / 32 / warps;
  const std::uint64_t by_registers = warps_by_registers(registers_of(resources, warps)) / warps;
  const std::uint64_t by_shared = shared_bytes_per_multiprocessor /
                                  (shared_bytes + resources.static_shared_bytes + reserved_shared_bytes);
  return int(std::min({by_threads, by_registers, by_shared, std::uint64_t(blocks_per_multiprocessor)}));
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

/// The error of an H100 for this launch.
cudaError_t refuse(const Launch& l, const void* function) {
  const DeviceModel& model = state().model;
  const KernelAttributes& kernel = state().kernel_attributes[{function, current_device}];
  if (!l.blocks() || !l.threads_per_block() || !l.blocks_per_cluster()) return cudaErrorInvalidConfiguration;
  if (l.threads_per_block() > max_threads_per_block || l.block.z > 64) return cudaErrorInvalidConfiguration;
  if (l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535) return cudaErrorInvalidConfiguration;
  if (l.grid.x % l.cluster.x || l.grid.y % l.cluster.y || l.grid.z % l.cluster.z)
    return cudaErrorInvalidConfiguration;
  if (l.blocks_per_cluster() > 1 && model.major < 9) return cudaErrorNotSupported;
  if (l.blocks_per_cluster() > (kernel.large_clusters ? 16 : 8)) return cudaErrorInvalidClusterSize;
  if (l.shared_bytes > std::size_t(kernel.shared_bytes)) return cudaErrorInvalidValue;
  const std::uint64_t warps = (l.threads_per_block() + 31) / 32;
  if (warps_by_registers(registers_of(resources_of(function), warps)) < warps)
    return cudaErrorLaunchOutOfResources;
  const std::uint64_t resident =
      std::uint64_t(model.multiprocessors) *
      blocks_per_multiprocessor_at_once(function, l.threads_per_block(), l.shared_bytes);
  if (l.cooperative && l.blocks() > resident) return cudaErrorCooperativeLaunchTooLarge;
  return cudaSuccess;
}

}  // namespace

void runtime::load(const CUstream_st& stream, const Loadable& used) {
  if (state().loaded.insert(used).second && stream.capture) ++state().calls.cold_captures;
}

cudaError_t runtime::check_shared_bytes(const CUgraph_st& graph, int device) {
  for (const auto& node : graph.nodes) {
    const KernelUse& kernel = node->kernel;
    if (!kernel.function) continue;
    if (kernel.shared_bytes > std::size_t(state().kernel_attributes[{kernel.function, device}].shared_bytes))
      return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}

void register_kernel(const void* function, const KernelSignature& signature) {
  auto guard = runtime::lock();
  signatures().insert_or_assign(function, signature);
}

}  // namespace simt

using namespace simt;
using namespace simt::runtime;

extern "C" {

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  call_once(&State::before_launch);
  auto guard = lock();
  State& s = state();
  if (const cudaError_t error = broken()) return done(error);
  const auto signature = signatures().find(function);
  if (signature == signatures().end()) return done(cudaErrorInvalidDeviceFunction);
  Launch launch{config->gridDim, config->blockDim};
  launch.shared_bytes = config->dynamicSmemBytes;
  if (const cudaError_t error = read_attributes(*config, launch)) return done(error);
  if (const cudaError_t error = refuse(launch, function)) return done(error);
  const auto stream = find_stream(config->stream);
  if (!stream || stream->device != current_device) return done(cudaErrorInvalidResourceHandle);

  if (launch.blocks_per_cluster() > s.most_cluster_blocks) return done(cudaErrorInvalidClusterSize);
  ++s.calls.launches;
  load(*stream, {function, current_device});
  const std::shared_ptr<void> copy = signature->second.copy(arguments);
  launch.function = function;
  launch.invoke = signature->second.invoke;
  launch.arguments = copy.get();
  const auto run = [launch, copy]() mutable {
    State& now = state();
    if (std::exchange(now.fail_next_kernel, false)) throw Error("a test asked for this fault");
    launch.number = now.kernels_run++;
    execute(launch);
  };
  return done(
      enqueue(config->stream, cudaGraphNodeTypeKernel, run, KernelUse{function, launch.shared_bytes}));
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  KernelAttributes& kernel = state().kernel_attributes[{function, current_device}];
  switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
      if (value < 0 || std::size_t(value) + resources_of(function).static_shared_bytes >
                           std::size_t(shared_bytes_per_block))
        return done(cudaErrorInvalidValue);
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
  const KernelAttributes& kernel = state().kernel_attributes[{function, current_device}];
  const KernelResources resources = resources_of(function);
  *attributes = {};
  attributes->maxThreadsPerBlock =
      std::min(max_threads_per_block, int(warps_by_registers(resources.registers)) * 32);
  attributes->numRegs = resources.registers;
  attributes->sharedSizeBytes = resources.static_shared_bytes;
  attributes->maxDynamicSharedSizeBytes = kernel.shared_bytes;
  attributes->nonPortableClusterSizeAllowed = kernel.large_clusters;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int threads,
                                                          size_t shared_bytes) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (threads < 1) return done(cudaErrorInvalidValue);
  *blocks = threads > max_threads_per_block
                ? 0
                : blocks_per_multiprocessor_at_once(function, std::uint64_t(threads), shared_bytes);
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
  if (const cudaError_t error = refuse(launch, function)) return done(error);
  if (launch.blocks_per_cluster() > state().most_cluster_blocks) {
    *clusters = 0;
    return done(state().cluster_refusal);
  }
  const int blocks =
      state().model.multiprocessors *
      blocks_per_multiprocessor_at_once(function, launch.threads_per_block(), launch.shared_bytes);
  *clusters = blocks / int(launch.blocks_per_cluster());
  return cudaSuccess;
}
}
