// The fake runtime: memory, copies, errors, devices.
#include "simt/runtime.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "common/check.hpp"
#include "simt/samples/samples.hpp"

namespace simt::runtime {
namespace {

using plasticity::check;

class Runtime : public ::testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override {
    reset();
    EXPECT_EQ(live(), Live{});  // every test releases its resources
  }
};

class Buffer {  // as a library would own memory
 public:
  explicit Buffer(std::size_t size) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(float)));
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer() { cudaFree(data_); }
  float* data() const { return data_; }

 private:
  float* data_ = nullptr;
};

struct ThreeBuffers {
  explicit ThreeBuffers(std::size_t n) : a(n), b(n), c(n), size(n) {}
  Buffer a, b, c;
  std::size_t size;
};

TEST_F(Runtime, EveryAllocationMayFail) {
  ThreeBuffers buffers(100);
  const float* before = buffers.a.data();
  for (std::uint64_t k = 0; k < 3; ++k) {
    fail_acquisition(k);
    EXPECT_THROW(buffers = ThreeBuffers(1000), plasticity::Error);
    EXPECT_EQ(buffers.a.data(), before);
    EXPECT_EQ(live().allocations, 3u);
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  }
  EXPECT_NO_THROW(buffers = ThreeBuffers(1000));  // a retry works: a failure is for once
  EXPECT_EQ(live().bytes, 3u * 4000);
}

TEST_F(Runtime, MemoryIsFiniteAndStartsAsNan) {
  set_memory_limit(1000);
  float* p = nullptr;
  EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&p), 1001), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  ASSERT_EQ(cudaMalloc(reinterpret_cast<void**>(&p), 400), cudaSuccess);
  std::size_t free_bytes = 0, total = 0;
  EXPECT_EQ(cudaMemGetInfo(&free_bytes, &total), cudaSuccess);
  EXPECT_EQ(free_bytes, 600u);
  EXPECT_EQ(total, 1000u);
  set_memory_limit(300);  // less than is in use
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMemGetInfo(&free_bytes, &total), cudaSuccess);
  EXPECT_EQ(free_bytes, 0u);
  float host = 0;
  EXPECT_EQ(cudaMemcpy(&host, p + 99, 4, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_NE(host, host);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  EXPECT_EQ(cudaFree(&host), cudaErrorInvalidValue);
}

TEST_F(Runtime, CopiesKnowTheirSides) {
  const Buffer device(4);
  float host[4] = {1, 2, 3, 4}, back[4] = {};
  EXPECT_EQ(cudaMemcpy(host, host, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(device.data(), host, 20, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);  // 4 too many
  EXPECT_EQ(cudaMemset(host, 0, 16), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(device.data(), host, 16, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(back, device.data(), 16, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(back[3], 4);
  EXPECT_EQ(cudaMemset(device.data() + 1, 0, 4), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(back, device.data(), 12, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(back[0], 1);
  EXPECT_EQ(back[1], 0);
  EXPECT_EQ(back[2], 3);
  cudaGetLastError();
}

TEST_F(Runtime, PointerAttributes) {
  void *device = nullptr, *pinned = nullptr;
  check(cudaMalloc(&device, 64));
  check(cudaMallocHost(&pinned, 64));
  int on_stack = 0;
  cudaPointerAttributes attributes;
  check(cudaPointerGetAttributes(&attributes, static_cast<char*>(device) + 63));
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(attributes.device, 0);
  check(cudaPointerGetAttributes(&attributes, static_cast<char*>(pinned) + 1));
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  check(cudaPointerGetAttributes(&attributes, &on_stack));
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(cudaFree(pinned), cudaErrorInvalidValue);
  cudaGetLastError();
  check(cudaFreeHost(pinned));
  check(cudaFree(device));
}

TEST_F(Runtime, AFaultIsStickyAndShowsAtTheNextSynchronisation) {
  const Buffer buffer(6 * 64);
  int* const out = reinterpret_cast<int*>(buffer.data());
  EXPECT_NO_THROW(samples::misuse(samples::Misuse::divergent_barrier, out, 64));
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  EXPECT_NE(last_message().find("divergent barrier"), std::string::npos);
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);  // no clearing it
  reset();
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);

  fail_next_kernel();
  const auto x = std::vector<float>(8, 1.0f);
  samples::block_sums(x.data(), buffer.data(), 8, 1, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  reset();
  samples::block_sums(x.data(), buffer.data(), 8, 1, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST_F(Runtime, DevicesThatAreNotThere) {
  int count = -1, device = -1;
  void* p = nullptr;
  set_device_count(0, 35);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaDriverGetVersion(&count), cudaSuccess);
  EXPECT_EQ(count, 0);
  set_device_count(2);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 2);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(device, 1);
  check(cudaMalloc(&p, 4));
  cudaPointerAttributes attributes;
  check(cudaPointerGetAttributes(&attributes, p));
  EXPECT_EQ(attributes.device, 1);
  check(cudaFree(p));

  cudaStream_t other = nullptr;
  check(cudaStreamCreate(&other));
  check(cudaSetDevice(0));
  float x = 0;
  EXPECT_THROW(samples::block_sums(&x, &x, 0, 1, other), plasticity::Error);  // a stream of device 1
  check(cudaStreamDestroy(other));
  cudaGetLastError();
}

TEST_F(Runtime, AttributesAndProperties) {
  set_device(8, 6, 84);
  int value = 0;
  check(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
  EXPECT_EQ(value, 8);
  check(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
  EXPECT_EQ(value, 84);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 1), cudaErrorInvalidDevice);
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0));
  EXPECT_EQ(properties.minor, 6);
  EXPECT_EQ(properties.warpSize, 32);

  const auto function = reinterpret_cast<const void*>(&cudaFree);
  EXPECT_EQ(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 * 1024),
            cudaErrorInvalidValue);
  check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024));
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, function));
  EXPECT_EQ(attributes.maxDynamicSharedSizeBytes, 100 * 1024);
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 256, 0));
  EXPECT_EQ(value, 8);
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 256, 100 * 1024));
  EXPECT_EQ(value, 2);
  cudaGetLastError();
}

}  // namespace
}  // namespace simt::runtime
