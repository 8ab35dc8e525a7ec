// plasticity::launch and check: what is refused, how it is said, what happens to CUDA's last error.
#include "common/launch.hpp"

#include <gtest/gtest.h>

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
  EXPECT_EQ(sum, 0);  // not before someone waits
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(sum, 30);
  EXPECT_EQ(simt::runtime::calls().launches, 1u);
}

TEST_F(Launch, WhatADeviceDoesNotTakeIsSaid) {
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

TEST_F(Launch, TheMessageNamesTheConfiguration) {
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

TEST_F(Launch, MuchSharedMemoryIsAskedFor) {
  float out[32] = {};
  launch(use_shared, {.block = 32, .shared_bytes = 227 * 1024}, out);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(out[31], 1);
}

TEST_F(Launch, ARawLaunchOverTheLimitIsRefused) {  // what launch() saves a caller from
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

TEST_F(Launch, TheCallersOwnErrorIsLeftAlone) {
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
