#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>

#include "plasticity/device_memory.hpp"
#include "plasticity/plan.hpp"
#include "problems/random_problem.hpp"

// Tests of the CUDA part. The same sources are built twice: for the executor, whose device is the CPU, and
// for a real device (label gpu), without which they skip.
namespace plasticity::testing {

/// Runs a test's body on the device; under the executor, in a clean runtime.
void on_device(const std::function<void()>& body);

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = cuda_unavailable_reason();
    if (!reason.empty()) GTEST_SKIP() << "no CUDA device: " << reason;
  }
};

/// A sanitizer makes the executor ten times slower. The tests then do one of that many parts of their work.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int sanitizer_share = 5;
#else
constexpr int sanitizer_share = 1;
#endif

/// The number of trials of a test with random cases: `count`, or its part under a sanitizer.
constexpr int trials(int count) { return (count + sanitizer_share - 1) / sanitizer_share; }

/// All kinds of kernels, automatic excepted.
inline constexpr std::array all_executions{Execution::step, Execution::graph, Execution::cta,
                                           Execution::cluster, Execution::grid};

struct DeviceOptions {
  Precision precision = Precision::f32;
  std::size_t offset = 0;  ///< bytes by which every tensor is shifted off its alignment; a multiple of 4
  std::int64_t checkpoint_interval = 0;
  std::size_t memory_budget = 0;
  Execution execution = Execution::step;
  bool single_steps = false;  ///< forward by Plan::step, one call per step, without gradients
};

/// A problem on CUDA device 0: its plan, and all of its tensors and memory between canary words. Outputs,
/// scratch and tape begin as NaN patterns.
class ProblemOnDevice {
 public:
  ProblemOnDevice(const TestCase& problem, Buffers<float>& buffers, const DeviceOptions& options = {});
  ~ProblemOnDevice();

  /// Copies the initial contents of the buffers to the device again.
  void send();
  void forward(Stream stream) const;
  void backward(Stream stream) const;
  /// Lets forward and backward use each other's scratch.
  void move_scratch();
  /// Plan::load, a Plan::step a step, Plan::store; in place of forward().
  void steps(Stream stream) const;
  /// Waits for the stream and copies the results into the buffers. Returns whether the bytes around every
  /// tensor are unchanged.
  bool fetch(Stream stream) const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// A stream for a scope.
class OwnStream {
 public:
  OwnStream();
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  operator Stream() const { return {stream_}; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Runs a problem forward and backward. Returns whether the bytes around every tensor are unchanged.
bool run_cuda(const TestCase& problem, Buffers<float>& buffers, const DeviceOptions& options = {});

}  // namespace plasticity::testing
