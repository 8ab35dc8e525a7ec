// plasticity::launch and check: rejected launches, their messages, CUDA's last error.
#include "common/launch.hpp"

#include <gtest/gtest.h>

#include <tuple>
#include <typeinfo>

#include "simt/runtime.hpp"
#include "simt/samples/samples.hpp"
#include "simt/schedules.hpp"

namespace plasticity {
namespace {

__global__ void add(int* out, int value, short, double) { atomicAdd(out, value); }
__global__ void use_shared(float* out) {
  PLASTICITY_DYNAMIC_SHARED(float, all);
  all[threadIdx.x] = 1;
  out[threadIdx.x] = all[threadIdx.x];
}

__global__ void use_other_shared(double* out) {
  PLASTICITY_DYNAMIC_SHARED(double, all);
  all[threadIdx.x] = 1;
  out[threadIdx.x] = all[threadIdx.x];
}

class Launch : public ::testing::Test {
 protected:
  void SetUp() override { simt::runtime::reset(); }
  void TearDown() override { simt::runtime::reset(); }
};

ErrorCode refusal(const LaunchConfig& config) {
  float out[32];
  try {
    launch(use_shared, config, out);
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("launch_test.cpp:"), std::string::npos) << e.what();
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
    return e.code();
  }
  ADD_FAILURE() << "was not refused";
  return ErrorCode::io;
}

TEST_F(Launch, ConvertsArgumentsAndRuns) {
  int sum = 0;
  launch(add, {.grid = 2, .block = 3}, &sum, 5u, 1, 2.5f);
  EXPECT_EQ(sum, 0);  // not before a synchronisation
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(sum, 30);
  EXPECT_EQ(simt::runtime::calls().launches, 1u);
}

TEST_F(Launch, NamesALaunchThatTheDeviceRejects) {
  EXPECT_EQ(refusal({.grid = 0}), ErrorCode::unsupported);
  EXPECT_EQ(refusal({.block = 1025}), ErrorCode::unsupported);
  EXPECT_EQ(refusal({.grid = {1, 65536}}), ErrorCode::unsupported);
  EXPECT_EQ(refusal({.block = {1, 1, 65}}), ErrorCode::unsupported);
  EXPECT_EQ(refusal({.shared_bytes = 228 * 1024}), ErrorCode::unsupported);
  EXPECT_EQ(refusal({.grid = 3, .cluster = 2}), ErrorCode::unsupported);
  EXPECT_EQ(refusal({.grid = 132 * 32 + 1, .cooperative = true}), ErrorCode::unsupported);
  simt::runtime::set_device(8, 0, 108);
  EXPECT_EQ(refusal({.grid = 2, .cluster = 2}), ErrorCode::unsupported);
  simt::runtime::set_device_count(0, cudaErrorInsufficientDriver);
  EXPECT_EQ(refusal({}), ErrorCode::device_unavailable);
}

TEST_F(Launch, MessageNamesTheConfiguration) {
  float out[32];
  try {
    launch(use_shared, {.grid = {7, 2}, .block = 2048, .shared_bytes = 64}, out);
    FAIL();
  } catch (const Error& e) {
    const std::string what = e.what();
    EXPECT_NE(what.find("launch of grid (7, 2, 1), block (2048, 1, 1), cluster (1, 1, 1), 64 bytes"),
              std::string::npos)
        << what;
    EXPECT_NE(what.find("cudaErrorInvalidConfiguration"), std::string::npos) << what;
  }
}

TEST_F(Launch, RaisesTheLimitOfSharedMemory) {
  float out[32] = {};
  launch(use_shared, {.block = 32, .shared_bytes = 227 * 1024}, out);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(out[31], 1);
}

// The limit of each device, less the static shared memory of the kernel.
TEST_F(Launch, LimitIsThatOfTheDevice) {
  simt::runtime::set_device_count(2);
  simt::runtime::set_resources(typeid(std::tuple<double*>).name(), {.static_shared_bytes = 3072});
  const auto function = reinterpret_cast<const void*>(&use_other_shared);
  double out[32] = {};
  for (const int device : {0, 1}) {
    check(cudaSetDevice(device));
    launch(use_other_shared, {.block = 32, .shared_bytes = 50 * 1024}, out);
    cudaFuncAttributes attributes;
    check(cudaFuncGetAttributes(&attributes, function));
    EXPECT_EQ(attributes.sharedSizeBytes, 3072u);
    EXPECT_EQ(attributes.maxDynamicSharedSizeBytes, 224 * 1024);
  }
  launch(use_other_shared, {.block = 32, .shared_bytes = 224 * 1024}, out);
  EXPECT_THROW(launch(use_other_shared, {.block = 32, .shared_bytes = 224 * 1024 + 1}, out), Error);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST_F(Launch, RegistersLimitALaunch) {
  const auto resources = [](int registers) {
    simt::runtime::set_resources(typeid(std::tuple<float*>).name(), {.registers = registers});
  };
  const auto blocks = [](unsigned threads) {
    return groups_at_once(use_shared, {.block = threads, .shared_bytes = 16});
  };
  EXPECT_EQ(blocks(512), 132 * 4);
  resources(64);
  EXPECT_EQ(blocks(512), 132 * 2);
  resources(128);
  EXPECT_EQ(blocks(512), 132);
  EXPECT_EQ(blocks(1024), 0);
  EXPECT_EQ(refusal({.block = 1024}), ErrorCode::unsupported);
  resources(129);  // in units of 8
  EXPECT_EQ(blocks(512), 0);
  EXPECT_EQ(blocks(384), 132);
}

// A device reports "no room" by 0 or by an error. The caller gets 0.
TEST_F(Launch, NoRoomReturnsZero) {
  const auto clusters = [](unsigned blocks) {
    return groups_at_once(use_shared, {.grid = blocks, .block = 32, .cluster = blocks});
  };
  EXPECT_GT(clusters(16), 0);
  EXPECT_EQ(clusters(32), 0);
  for (const cudaError_t error : {cudaSuccess, cudaErrorInvalidClusterSize, cudaErrorInvalidConfiguration}) {
    simt::runtime::refuse_clusters_above(8, error);
    EXPECT_GT(clusters(8), 0);
    EXPECT_EQ(clusters(16), 0);
    EXPECT_EQ(refusal({.grid = 16, .cluster = 16}), ErrorCode::unsupported);
  }
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  simt::runtime::refuse_clusters_above(8, cudaErrorLaunchFailure);
  EXPECT_THROW(clusters(16), Error);
  EXPECT_EQ(groups_at_once(use_shared, {.block = 2048}), 0);
  EXPECT_EQ(groups_at_once(use_shared, {.shared_bytes = 228 * 1024}), 0);
}

TEST_F(Launch, RawLaunchOverTheLimitIsRejected) {  // launch() raises the limit first
  float* out = nullptr;
  void* arguments[] = {&out};
  cudaLaunchConfig_t config{};
  config.gridDim = config.blockDim = dim3(1);
  config.dynamicSmemBytes = 64 * 1024;
  const auto other = reinterpret_cast<const void*>(&add);
  simt::register_kernel(add);
  EXPECT_EQ(cudaLaunchKernelExC(&config, other, arguments), cudaErrorInvalidValue);
  EXPECT_EQ(cudaLaunchKernelExC(&config, &config, arguments), cudaErrorInvalidDeviceFunction);
}

TEST_F(Launch, CallersOwnErrorIsUnchanged) {
  EXPECT_EQ(cudaSetDevice(7), cudaErrorInvalidDevice);  // the caller did not look
  int sum = 0;
  launch(add, {}, &sum, 1, 1, 1.0);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(sum, 1);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
}

TEST_F(Launch, CheckGivesCodes) {
  EXPECT_NO_THROW(check(cudaSuccess));
  const auto code = [](cudaError_t error) {
    try {
      check(error, "cudaMalloc");
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("cudaMalloc: expected cudaSuccess, got cudaError"),
                std::string::npos);
      return e.code();
    }
    return ErrorCode::io;
  };
  EXPECT_EQ(code(cudaErrorMemoryAllocation), ErrorCode::out_of_memory);
  EXPECT_EQ(code(cudaErrorNoDevice), ErrorCode::device_unavailable);
  EXPECT_EQ(code(cudaErrorLaunchFailure), ErrorCode::device_unavailable);
}

}  // namespace
}  // namespace plasticity
