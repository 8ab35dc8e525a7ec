// Barriers of a cluster and of a grid, and access to the shared memory of other blocks of a cluster.
#pragma once

#include "common/launch.hpp"
// after launch.hpp
#include <cooperative_groups.h>

namespace plasticity {

#if defined(__CUDACC__) && (!defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900)
#define PLASTICITY_HAS_CLUSTERS 1
#elif !defined(__CUDACC__)
#define PLASTICITY_HAS_CLUSTERS 1
#else
#define PLASTICITY_HAS_CLUSTERS 0  // an architecture without clusters: no launch uses them
#endif

/// A barrier for all threads of the cluster. Writes before it are visible after it.
__device__ inline void sync_cluster() {
#if PLASTICITY_HAS_CLUSTERS
  cooperative_groups::this_cluster().sync();
#endif
}

/// The two halves of sync_cluster(). Writes before the arrival are visible to the other threads after their
/// wait. Writes between the two are not, and the barrier does not wait for them.
__device__ inline void arrive_cluster() {
#if PLASTICITY_HAS_CLUSTERS
  cooperative_groups::this_cluster().barrier_arrive();
#endif
}
__device__ inline void wait_cluster() {
#if PLASTICITY_HAS_CLUSTERS
  cooperative_groups::this_cluster().barrier_wait({});
#endif
}

/// The same variable of shared memory in block `rank` of the cluster.
template <class T>
__device__ T* of_peer(T* shared, int rank) {
#if PLASTICITY_HAS_CLUSTERS
  return cooperative_groups::this_cluster().map_shared_rank(shared, rank);
#else
  return shared;
#endif
}

/// A barrier for all threads of a cooperative launch.
__device__ inline void sync_grid() { cooperative_groups::this_grid().sync(); }

#undef PLASTICITY_HAS_CLUSTERS

}  // namespace plasticity
