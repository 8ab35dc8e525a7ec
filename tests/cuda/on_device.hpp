#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "plasticity/device_memory.hpp"
#include "problems/random_problem.hpp"

// Tests of the CUDA part. The same sources are built twice: for the executor, where "the device" is the CPU,
// and for the real one (label gpu), where they skip if there is none.
namespace plasticity::testing {

/// Runs a test's body where kernels run; under the executor, in a clean runtime.
void on_device(const std::function<void()>& body);

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = cuda_unavailable_reason();
    if (!reason.empty()) GTEST_SKIP() << "no CUDA device: " << reason;
  }
};

struct DeviceOptions {
  Precision precision = Precision::f32;
  std::size_t offset = 0;  ///< bytes by which every tensor is shifted off its alignment; a multiple of 4
  bool live = false;       ///< forward by Plan::step, one call a step; no gradients then
};

/// Runs a problem forward and backward on CUDA device 0. Outputs, scratch and tape begin as NaN patterns;
/// gives whether the bytes around every one of them are as they were.
bool run_cuda(const Problem& problem, Buffers<float>& buffers, const DeviceOptions& options = {});

}  // namespace plasticity::testing
