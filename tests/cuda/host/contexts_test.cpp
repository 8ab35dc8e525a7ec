// A rank that uses one GPU creates no context on another one.
#include <cuda_runtime_api.h>

#include <thread>

#include "cuda/on_device.hpp"
#include "cuda/runtime.hpp"
#include "simt/runtime.hpp"

namespace plasticity::testing {
namespace {

class CudaContexts : public CudaTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    simt::runtime::reset();
    simt::runtime::set_device_count(2);
    simt::runtime::set_unbinding_resets_device(GetParam());
  }
  void TearDown() override {
    simt::runtime::reset();
    CudaTest::TearDown();
  }

  static int current_device() {
    int device = -1;
    EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
    return device;
  }
};

void train(Device device) {
  Network network({.rule = Rule::hard_clip, .neurons = 5},
                  {.batch = 2, .device = device, .execution = Execution::graph});
  Trainer trainer(network, {.clip_norm = .5});
  const std::vector<float> u(30, .5f), target(30, .25f);
  for (int k = 0; k < 3; ++k) trainer.step({.steps = 3, .u = u}, target);
}

TEST_P(CudaContexts, ATrainerCreatesOneOnItsDevice) {
  train(Device::cuda(1));
  EXPECT_EQ(simt::runtime::contexts(), std::set<int>{1});
}

TEST_P(CudaContexts, ADeviceInUseIsCurrentAgain) {
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  train(Device::cuda(1));
  EXPECT_EQ(current_device(), 0);
  EXPECT_EQ(simt::runtime::contexts(), (std::set<int>{0, 1}));
}

// Another thread has created the context of device 0.
TEST_P(CudaContexts, ADeviceInUseByAnotherThreadIsCurrentAgain) {
  std::thread([] { EXPECT_EQ(cudaSetDevice(0), cudaSuccess); }).join();
  { const cuda::CurrentDevice current(1); }
  EXPECT_EQ(current_device(), 0);
}

TEST_P(CudaContexts, AThreadWithoutAContextHasNoneAfterwards) {
  {
    const cuda::CurrentDevice current(1);
    EXPECT_EQ(current_device(), 1);
  }
  EXPECT_EQ(current_device(), GetParam() ? 0 : 1);
  EXPECT_EQ(simt::runtime::contexts(), std::set<int>{1});
}

INSTANTIATE_TEST_SUITE_P(BothKindsOfUnbinding, CudaContexts, ::testing::Bool());

}  // namespace
}  // namespace plasticity::testing
