// The cost of exchanging values between blocks, by each way that a resident kernel could use, and of starting
// the next kernel of a graph early: device_ceilings --exchange. Every wait is bounded, so a mistake ends with
// a reason.
#include <cooperative_groups.h>

#include <cstdint>

#include "device.cuh"

namespace plasticity::ceilings {
namespace {

namespace cg = cooperative_groups;

constexpr int max_polls = 1 << 20;  // of a value in memory; it takes a microsecond, about ten polls
[[maybe_unused]] constexpr int max_waits = 1 << 12;  // of a barrier; each may sleep for a while
constexpr int pair_blocks = 128;                     // that exchange a pair each

// Reads the same memory again and again, past L1.
__global__ void read_kernel(const uint4* data, std::int64_t vectors, int rounds, unsigned* sink) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  unsigned sum = 0;
  for (int round = 0; round < rounds; ++round) {
#pragma unroll 4
    for (std::int64_t k = first; k < vectors; k += stride) {
      uint4 v;
      asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];"
                   : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                   : "l"(data + k));
      sum ^= v.x ^ v.y ^ v.z ^ v.w;
    }
  }
  if (sum == 0x9e3779b9u) *sink = sum;  // never, but the loads are needed
}

// Lets the next kernel start at once, and waits for the one before.
__global__ void dependent_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
  cudaGridDependencySynchronize();
#endif
}

// A barrier of the cluster, with two stores of every thread under way.
__global__ void storing_cluster_kernel(int barriers, float* out) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const cg::cluster_group cluster = cg::this_cluster();
  float* const mine = out + 2 * (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x);
  for (int k = 0; k < barriers; ++k) {
    asm volatile("st.global.f32 [%0], %1;" ::"l"(mine), "f"(static_cast<float>(k)) : "memory");
    asm volatile("st.global.f32 [%0], %1;" ::"l"(mine + 1), "f"(static_cast<float>(k)) : "memory");
    cluster.sync();
  }
#else
  (void)barriers, (void)out;
#endif
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
/// Waits for a phase of the block's own barrier; false if it does not come.
__device__ bool wait_for(std::uint32_t barrier, unsigned parity) {
  for (int poll = 0; poll < max_waits; ++poll) {
    unsigned done = 0;
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
    if (done != 0) return true;
  }
  return false;
}

__device__ std::uint32_t in_block(std::uint32_t address, unsigned rank) {
  std::uint32_t there = 0;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
  return there;
}
#endif

// Two blocks of a cluster send a word back and forth with st.async, which also counts the bytes at the
// receiver's barrier.
__global__ void async_kernel(int rounds, unsigned* failed) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  __shared__ alignas(8) std::uint64_t barrier_word;
  __shared__ std::uint32_t inbox;
  const cg::cluster_group cluster = cg::this_cluster();
  const unsigned rank = cluster.block_rank();
  const auto barrier = static_cast<std::uint32_t>(__cvta_generic_to_shared(&barrier_word));
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  cluster.sync();
  if (threadIdx.x == 0) {
    const std::uint32_t their_inbox =
        in_block(static_cast<std::uint32_t>(__cvta_generic_to_shared(&inbox)), rank ^ 1u);
    const std::uint32_t their_barrier = in_block(barrier, rank ^ 1u);
    const auto send = [&](unsigned value) {
      asm volatile(
          "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(their_inbox),
          "r"(value), "r"(their_barrier)
          : "memory");
    };
    for (int k = 0; k < rounds; ++k) {
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 4;" ::"r"(barrier) : "memory");
      if (rank == 0) send(static_cast<unsigned>(k));
      if (!wait_for(barrier, static_cast<unsigned>(k) & 1u)) {
        *failed = 1;
        break;
      }
      if (rank != 0) send(static_cast<unsigned>(k));
    }
  }
  cluster.sync();
#else
  (void)rounds, (void)failed;
#endif
}

// Every block publishes a value with the number of its step, 8 bytes at once, and polls those of all blocks.
// A slot is used again two steps later: by then every block has seen all of the step between, so no block
// still polls it.
__global__ void pairs_kernel(int steps, unsigned long long* slots, unsigned* failed) {
  for (int step = 1; step <= steps; ++step) {
    unsigned long long* const now = slots + (step & 1) * pair_blocks;
    if (threadIdx.x == 0) {
      const unsigned long long pair =
          static_cast<unsigned long long>(step) << 32 | static_cast<unsigned long long>(blockIdx.x);
      asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(now + blockIdx.x), "l"(pair) : "memory");
    }
    bool seen = threadIdx.x >= pair_blocks;
    for (int poll = 0; !seen && poll < max_polls; ++poll) {
      unsigned long long pair = 0;
      asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(pair) : "l"(now + threadIdx.x) : "memory");
      seen = static_cast<int>(pair >> 32) == step;
    }
    if (!seen) *failed = 1;
    if (__syncthreads_or(seen ? 0 : 1) != 0) return;
  }
}

double read_rate(const Stream& stream, int sms) {
  constexpr std::size_t bytes = std::size_t{16} << 20;
  constexpr int rounds = 256;
  const Buffer data(bytes), sink(sizeof(unsigned));
  const double us = microseconds(stream, [&] {
    read_kernel<<<8 * sms, threads, 0, stream.handle>>>(static_cast<const uint4*>(data.data),
                                                        bytes / sizeof(uint4), rounds,
                                                        static_cast<unsigned*>(sink.data));
    check(cudaGetLastError());
  });
  return static_cast<double>(bytes) * rounds / us * 1e-3;
}

/// A node of a graph in which each kernel may start before the one before it has ended.
double dependent_node_cost(const Stream& stream, int blocks) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t launch{};
  launch.gridDim = dim3(static_cast<unsigned>(blocks));
  launch.blockDim = dim3(threads);
  launch.stream = stream.handle;
  launch.attrs = &early;
  launch.numAttrs = 1;
  return node_microseconds(stream, [&] { check(cudaLaunchKernelEx(&launch, dependent_kernel)); });
}

/// Prints a number unless a wait of its kernel did not end.
void print_unless(const Buffer& failed, const std::string& key, double value) {
  unsigned flag = 0;
  check(cudaMemcpy(&flag, failed.data, sizeof flag, cudaMemcpyDeviceToHost));
  if (flag != 0) return print_skipped(key, "a wait of its kernel did not end");
  print_member(key, number(value));
}

}  // namespace

void measure_exchange(const Stream& stream, int sms) {
  print_member("l2_read_gb_per_s", number(read_rate(stream, sms)));
  const Buffer failed(sizeof(unsigned));
  const auto clear = [&] { check(cudaMemset(failed.data, 0, sizeof(unsigned))); };
  if (sms >= pair_blocks && attribute(cudaDevAttrCooperativeLaunch) != 0) {
    const Buffer slots(2 * pair_blocks * sizeof(unsigned long long));
    clear();
    const double us = barrier_cost(stream, [&](int steps) {
      check(cudaMemsetAsync(slots.data, 0, 2 * pair_blocks * sizeof(unsigned long long), stream.handle));
      auto* slot = static_cast<unsigned long long*>(slots.data);
      auto* flag = static_cast<unsigned*>(failed.data);
      void* arguments[] = {&steps, &slot, &flag};
      check(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(pairs_kernel), dim3(pair_blocks),
                                        dim3(threads), arguments, 0, stream.handle));
    });
    print_unless(failed, "exchange_pairs_128_us", us);
  } else {
    print_skipped("exchange_pairs_128_us",
                  "the device has fewer than 128 multiprocessors or no cooperative launch");
  }
  cudaFuncAttributes compiled{};
  check(cudaFuncGetAttributes(&compiled, async_kernel));
  if (attribute(cudaDevAttrComputeCapabilityMajor) < 9 || compiled.binaryVersion < 90) {
    for (const char* key : {"graph_node_dependent_us", "cluster_sync_8_storing_us", "st_async_round_trip_us"})
      print_skipped(key, "the device, or the code of this program, is older than sm_90");
    return;
  }
  print_member("graph_node_dependent_us", number(dependent_node_cost(stream, sms)));
  const unsigned clusters = static_cast<unsigned>(std::max(sms / 2 / 8, 1));
  const Buffer out(2 * sizeof(float) * threads * 8 * clusters);
  print_member(
      "cluster_sync_8_storing_us",
      number(cluster_cost(stream, 8, 8 * clusters, storing_cluster_kernel, static_cast<float*>(out.data))));
  clear();
  const double us = cluster_cost(stream, 2, 2, async_kernel, static_cast<unsigned*>(failed.data));
  print_unless(failed, "st_async_round_trip_us", us);
}

}  // namespace plasticity::ceilings
