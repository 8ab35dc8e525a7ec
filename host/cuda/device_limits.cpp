// The limits of a device, as its driver reports them.
#include "cuda/cost_model.hpp"
#include "cuda/rule_kernels.hpp"
#include "cuda/runtime.hpp"

namespace plasticity::cuda {
namespace {

/// Clusters of that many blocks that the current device can run at once, if a block fills a multiprocessor.
/// The kernel of 256 threads and 16 rows does: its block has 128 KiB of weights, and all registers.
int clusters_at_once(int blocks) {
  constexpr NetworkTraits network{.N = 512,
                                  .P = 512,
                                  .rule = Rule::hard_clip,
                                  .has_retention = false,
                                  .feedforward = false,
                                  .lstm = false,
                                  .eligible = false,
                                  .softmax = false,
                                  .modulated = false,
                                  .reads_cell = false};
  GroupShape shape;
  shape.kind = GroupKind::cluster;
  shape.blocks = blocks;
  shape.thread = ThreadShape::rows_16x4;
  shape.rows = 16;
  shape.share_bits = 5;
  return static_cast<int>(kernels_of({.cell = Cell::rnn, .rule = Rule::hard_clip, .neurons = 512})
                              .max_forward_groups(network, Eligibility::none, shape));
}

}  // namespace

DeviceLimits DeviceLimits::of_device(int index) {
  const auto attribute = [&](cudaDeviceAttr which) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, index), "cudaDeviceGetAttribute");
    return value;
  };
  constexpr int max_cluster_blocks = 16;  // more than 8 need an attribute, and the device may have no room
  DeviceLimits limits;
  limits.multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  limits.shared_bytes = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  limits.cluster_blocks = attribute(cudaDevAttrClusterLaunch) != 0 ? max_cluster_blocks : 0;
  limits.cooperative = attribute(cudaDevAttrCooperativeLaunch) != 0;
  limits.l2_bytes = attribute(cudaDevAttrL2CacheSize);
  std::size_t free_bytes = 0, total = 0;
  check(cudaMemGetInfo(&free_bytes, &total), "cudaMemGetInfo");
  limits.memory_bytes = static_cast<std::int64_t>(total);
  // kHz, and bits that move twice per clock.
  const double rate =
      attribute(cudaDevAttrMemoryClockRate) * 1e-3 * attribute(cudaDevAttrGlobalMemoryBusWidth) / 4;
  if (rate > 0) limits.memory_rate = rate;
  for (std::size_t k = 0; k < limits.clusters.size() && (2 << k) <= limits.cluster_blocks; ++k)
    limits.clusters[k] = clusters_at_once(2 << k);
  return limits;
}

}  // namespace plasticity::cuda
