// Two ways to learn that a value of another block has arrived, without a barrier of all blocks. In a cluster:
// asynchronous stores, which complete a transaction barrier (mbarrier) in the receiving block. In a grid:
// values with a tag, which the receiver polls. One PTX instruction per function, with a version for the
// executor, as in ptx.cuh.
#pragma once

#include <atomic>
#include <bit>

#include "common/ptx.cuh"

namespace plasticity {

/// A barrier in shared memory. Its phase ends when a number of threads have arrived and the asynchronous
/// stores have brought as many bytes as these threads announced. Phases are counted from 0.
using TransactionBarrier = unsigned long long;

/// A value in global memory with a tag. The two are written and read together.
using TaggedValue = unsigned long long;

#if defined(__CUDACC__)

/// Makes a transaction barrier of `arrivals` threads. One thread calls it.
__device__ __forceinline__ void init_transactions(TransactionBarrier* barrier, int arrivals) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(detail::shared_address(barrier)), "r"(arrivals)
               : "memory");
#endif
}

/// Makes the thread's transaction barriers visible to the cluster, after the next barrier of the cluster.
__device__ __forceinline__ void publish_transactions() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

/// Arrives at a barrier of the own block, and announces that many bytes. The thread's writes before it are
/// visible to the block after the phase.
__device__ __forceinline__ void arrive_transactions(TransactionBarrier* barrier, int bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "{ .reg .b64 state;\n"
      "mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 state, [%0], %1; }" ::"r"(
          detail::shared_address(barrier)),
      "r"(bytes)
      : "memory");
#endif
}

/// Waits until the phase of that parity has ended. The asynchronous stores of the phase are visible after it.
__device__ __forceinline__ void wait_transactions(TransactionBarrier* barrier, int parity) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "{ .reg .pred ended;\n"
      "waiting:\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 ended, [%0], %1;\n"
      "@!ended bra waiting; }" ::"r"(detail::shared_address(barrier)),
      "r"(parity)
      : "memory");
#endif
}

/// Stores a value in the same variable of shared memory in block `rank` of the cluster. The transaction
/// barrier `barrier` of that block counts its four bytes.
__device__ __forceinline__ void store_peer_async(float* shared, int rank, float v,
                                                 TransactionBarrier* barrier) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "{ .reg .u32 there, counter;\n"
      "mapa.shared::cluster.u32 there, %0, %2;\n"
      "mapa.shared::cluster.u32 counter, %1, %2;\n"
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.f32 [there], %3, [counter]; }" ::"r"(
          detail::shared_address(shared)),
      "r"(detail::shared_address(barrier)), "r"(rank), "f"(v)
      : "memory");
#endif
}

/// Stores a value with its tag, for wait_tagged() of another block.
__device__ __forceinline__ void store_tagged(TaggedValue* global, float v, unsigned tag) {
  asm volatile(
      "{ .reg .b64 both;\n"
      "mov.b64 both, {%1, %2};\n"
      "st.relaxed.gpu.global.b64 [%0], both; }" ::"l"(global),
      "r"(__float_as_uint(v)), "r"(tag)
      : "memory");
}

/// Polls a value until it has the tag. No other value is visible by that.
__device__ __forceinline__ float wait_tagged(const TaggedValue* global, unsigned tag) {
  unsigned value, found;
  do {
    asm volatile(
        "{ .reg .b64 both;\n"
        "ld.relaxed.gpu.global.b64 both, [%2];\n"
        "mov.b64 {%0, %1}, both; }"
        : "=r"(value), "=r"(found)
        : "l"(global)
        : "memory");
  } while (found != tag);
  return __uint_as_float(value);
}

#else

inline void init_transactions(TransactionBarrier* barrier, int arrivals, SIMT_HERE) {
  simt::device::transactions_init(barrier, static_cast<unsigned>(arrivals), where);
}
inline void publish_transactions() { simt::device::fence(); }
inline void arrive_transactions(TransactionBarrier* barrier, int bytes, SIMT_HERE) {
  simt::device::transactions_arrive(barrier, static_cast<std::uint32_t>(bytes), where);
}
inline void wait_transactions(TransactionBarrier* barrier, int parity, SIMT_HERE) {
  simt::device::transactions_wait(barrier, parity != 0, where);
}
inline void store_peer_async(float* shared, int rank, float v, TransactionBarrier* barrier, SIMT_HERE) {
  const auto there = [&](void* p) {
    return simt::device::map_shared_rank(p, static_cast<unsigned>(rank), where);
  };
  simt::device::store_async(there(shared), v, there(barrier), where);
}
inline void store_tagged(TaggedValue* global, float v, unsigned tag) {
  const TaggedValue both = TaggedValue{tag} << 32 | std::bit_cast<unsigned>(v);
  std::atomic_ref<TaggedValue>(*global).store(both, std::memory_order_relaxed);
}
inline float wait_tagged(const TaggedValue* global, unsigned tag) {
  const std::atomic_ref<TaggedValue> shared(*const_cast<TaggedValue*>(global));
  while (true) {
    const TaggedValue both = shared.load(std::memory_order_relaxed);
    if (both >> 32 == tag) return std::bit_cast<float>(static_cast<unsigned>(both));
    simt::device::yield();
  }
}

#endif

}  // namespace plasticity
