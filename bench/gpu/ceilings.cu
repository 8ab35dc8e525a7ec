// The best rates of the device, as JSON on stdout, an object a line: copy bandwidth from memory and from
// L2, the cost of a launch, of a graph's node, and of a barrier across the grid or a cluster. The floors of
// bench/gpu/run are made from these numbers. Without a GPU: a line on stderr and exit code 3.
#include <cooperative_groups.h>

#include <cstdint>
#include <cstring>

#include "device.cuh"

namespace plasticity::ceilings {
namespace {

namespace cg = cooperative_groups;

constexpr int in_flight = 4;      // loads that a thread of the copy has under way
constexpr int blocks_per_sm = 4;  // of the copy: all resident at once, so no block waits for another to end

// Copies `vectors` times 16 bytes, `rounds` times over, past L1; round r works on pair r mod `pairs` of the
// pool, whose pairs are a source and a destination side by side. The asm is volatile: no round may be left
// out.
__global__ void copy_kernel(uint4* pool, std::int64_t vectors, std::int64_t pairs, int rounds) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (int round = 0; round < rounds; ++round) {
    const uint4* source = pool + round % pairs * 2 * vectors;
    uint4* destination = pool + (round % pairs * 2 + 1) * vectors;
    for (std::int64_t k = first; k < vectors; k += in_flight * stride) {
      uint4 v[in_flight];
#pragma unroll
      for (int n = 0; n < in_flight; ++n) {
        if (k + n * stride >= vectors) break;
        asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];"
                     : "=r"(v[n].x), "=r"(v[n].y), "=r"(v[n].z), "=r"(v[n].w)
                     : "l"(source + k + n * stride));
      }
#pragma unroll
      for (int n = 0; n < in_flight; ++n) {
        if (k + n * stride >= vectors) break;
        asm volatile("st.global.cg.v4.u32 [%0], {%1,%2,%3,%4};" ::"l"(destination + k + n * stride),
                     "r"(v[n].x), "r"(v[n].y), "r"(v[n].z), "r"(v[n].w)
                     : "memory");
      }
    }
  }
}

__global__ void empty_kernel() {}

__global__ void grid_kernel(int barriers) {
  const cg::grid_group grid = cg::this_grid();
  for (int k = 0; k < barriers; ++k) grid.sync();
}

__global__ void cluster_kernel(int barriers) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const cg::cluster_group cluster = cg::this_cluster();
  for (int k = 0; k < barriers; ++k) cluster.sync();
#else
  (void)barriers;
#endif
}

/// GB/s, read and written, of copies whose source and destination are together `footprint` bytes. Fresh: each
/// round works on memory that L2 has long forgotten. Else always the same memory, which stays in L2 if it
/// fits. No launch and no barrier separates the rounds.
double copy_rate(const Stream& stream, const Buffer& pool, std::size_t footprint, bool fresh, int sms) {
  const std::int64_t vectors = static_cast<std::int64_t>(footprint / (2 * sizeof(uint4)));
  const std::int64_t pairs = fresh ? static_cast<std::int64_t>(pool.bytes / footprint) : 1;
  const int rounds =
      static_cast<int>(std::max<std::size_t>((std::size_t{8} << 30) / footprint, fresh ? 2 : 8));
  const std::int64_t wanted = (vectors + threads - 1) / threads;
  const int blocks = static_cast<int>(std::min<std::int64_t>(wanted, std::int64_t{sms} * blocks_per_sm));
  const double us = microseconds(stream, [&] {
    copy_kernel<<<blocks, threads, 0, stream.handle>>>(static_cast<uint4*>(pool.data), vectors, pairs,
                                                       rounds);
    check(cudaGetLastError());
  });
  const double bytes = 32.0 * static_cast<double>(vectors) * rounds;
  return bytes / us * 1e-3;
}

std::string copies(const Stream& stream, int sms, std::size_t l2) {
  constexpr std::size_t smallest = std::size_t{1} << 20, largest = std::size_t{1} << 30;
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  std::size_t pool_bytes = std::max(2 * largest, 8 * l2);
  while (pool_bytes > free / 2) pool_bytes /= 2;
  const Buffer pool(pool_bytes);
  std::string list;
  for (std::size_t footprint = smallest; footprint <= largest && 2 * footprint <= pool_bytes;
       footprint *= 2) {
    const double fresh = copy_rate(stream, pool, footprint, true, sms);
    const double again = copy_rate(stream, pool, footprint, false, sms);
    list += (list.empty() ? "{" : ", {");
    list += "\"footprint_bytes\": " + std::to_string(footprint) + ", \"fresh_gb_per_s\": " + number(fresh) +
            ", \"again_gb_per_s\": " + number(again) + "}";
  }
  return "[" + list + "]";
}

double launch_cost(const Stream& stream, int blocks) {
  constexpr int launches = 2000;
  return microseconds(stream,
                      [&] {
                        for (int k = 0; k < launches; ++k) {
                          empty_kernel<<<blocks, threads, 0, stream.handle>>>();
                        }
                        check(cudaGetLastError());
                      }) /
         launches;
}

/// A node of a graph whose nodes follow one another.
double graph_node_cost(const Stream& stream, int blocks) {
  return node_microseconds(stream, [&] {
    empty_kernel<<<blocks, threads, 0, stream.handle>>>();
    check(cudaGetLastError());
  });
}

void add_grid_sync(const Stream& stream, int sms) {
  const std::string key = "grid_sync_us";
  if (attribute(cudaDevAttrCooperativeLaunch) == 0) {
    return print_skipped(key, "the device has no cooperative launch");
  }
  const double us = barrier_cost(stream, [&](int barriers) {
    void* arguments[] = {&barriers};
    check(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(grid_kernel),
                                      dim3(static_cast<unsigned>(sms)), dim3(threads), arguments, 0,
                                      stream.handle));
  });
  print_member(key, number(us));
}

void add_cluster_sync(const Stream& stream, int sms) {
  for (const unsigned size : {2u, 4u, 8u}) {
    const std::string key = "cluster_sync_" + std::to_string(size) + "_us";
    if (attribute(cudaDevAttrComputeCapabilityMajor) < 9 || attribute(cudaDevAttrClusterLaunch) == 0) {
      print_skipped(key, "the device has no clusters");
      continue;
    }
    cudaFuncAttributes compiled{};
    check(cudaFuncGetAttributes(&compiled, cluster_kernel));
    if (compiled.ptxVersion < 90) {
      print_skipped(key, "this program was not compiled for sm_90 or later");
      continue;
    }
    const unsigned clusters = std::max(static_cast<unsigned>(sms) / 2 / size, 1u);
    print_member(key, number(cluster_cost(stream, size, clusters * size, cluster_kernel)));
  }
}

void print_ceilings() {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0));
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver));
  check(cudaRuntimeGetVersion(&runtime));
  const int sms = properties.multiProcessorCount;
  const std::size_t l2 = static_cast<std::size_t>(properties.l2CacheSize);
  const Stream stream;

  print_member("device", quoted(properties.name));
  print_member("compute_capability",
               quoted(std::to_string(properties.major) + "." + std::to_string(properties.minor)));
  print_member("driver_version", std::to_string(driver));
  print_member("runtime_version", std::to_string(runtime));
  print_member("sms", std::to_string(sms));
  print_member("sm_clock_mhz", number(attribute(cudaDevAttrClockRate) / 1e3));
  print_member("memory_clock_mhz", number(attribute(cudaDevAttrMemoryClockRate) / 1e3));
  print_member("memory_bus_bits", std::to_string(attribute(cudaDevAttrGlobalMemoryBusWidth)));
  print_member("memory_bytes", std::to_string(properties.totalGlobalMem));
  print_member("l2_bytes", std::to_string(l2));
  print_member("shared_bytes_per_sm", std::to_string(properties.sharedMemPerMultiprocessor));
  print_member("registers_per_sm", std::to_string(properties.regsPerMultiprocessor));
  print_member("launch_us", number(launch_cost(stream, sms)));
  print_member("launch_one_block_us", number(launch_cost(stream, 1)));
  print_member("graph_node_us", number(graph_node_cost(stream, sms)));
  print_member("graph_node_one_block_us", number(graph_node_cost(stream, 1)));
  print_member("copy", copies(stream, sms, l2));
  add_grid_sync(stream, sms);
  add_cluster_sync(stream, sms);
}

}  // namespace
}  // namespace plasticity::ceilings

int main(int argc, char** argv) {
  using namespace plasticity::ceilings;
  const bool exchange = argc == 2 && std::strcmp(argv[1], "--exchange") == 0;
  if (argc > 1 && !exchange) {
    std::fprintf(stderr, "device_ceilings: expected --exchange or nothing, got %s\n", argv[1]);
    return 2;
  }
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "device_ceilings: no GPU: %s\n",
                 error == cudaSuccess ? "no device" : cudaGetErrorString(error));
    return 3;
  }
  try {
    if (exchange) {
      measure_exchange(Stream(), attribute(cudaDevAttrMultiProcessorCount));
    } else {
      print_ceilings();
    }
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "device_ceilings: %s\n", failure.what());
    return 1;
  }
  return 0;
}
