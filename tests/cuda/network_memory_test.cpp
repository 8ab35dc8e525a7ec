// The memory of a Network on a GPU: it is reused, and a call without memory changes nothing.
#include <functional>
#include <memory>

#include "cuda/observed_network.hpp"
#include "plasticity/error.hpp"
#include "simt/runtime.hpp"

namespace plasticity::testing {
namespace {

class CudaNetworkMemory : public CudaTest {};

/// Makes a call. Returns whether it threw out_of_memory.
bool throws_out_of_memory(const std::function<void()>& call) {
  try {
    call();
    return false;
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(ErrorCode::out_of_memory)) << error.what();
    return true;
  }
}

void train_twice(ObservedNetwork& one, const Window& first, const Window& second) {
  one.take_state(first);
  one.forward(first);
  one.forward(second);
  one.backward(second);
  one.backward(first);
  one.infer(first);
}

TEST_F(CudaNetworkMemory, IsReusedFromCallToCall) {
  const Window first(fanned_out, 3, 6, {.reset = true, .length = true, .clamp = true}),
      second(fanned_out, 2, 7);
  on_device([&] {
    ObservedNetwork one(fanned_out, Device::cuda());
    train_twice(one, first, second);
    const auto before = simt::runtime::calls().acquisitions;
    train_twice(one, first, second);
    EXPECT_EQ(simt::runtime::calls().acquisitions, before);
  });
}

// Each acquisition of memory fails once: the call throws, nothing has changed, and the same call then
// succeeds.
TEST_F(CudaNetworkMemory, RefusalsLeaveTheNetworkUsable) {
  const Window first(fanned_out, 2, 8), second(fanned_out, 3, 9);
  Tensors want;
  on_device([&] {
    ObservedNetwork one(fanned_out, Device::cuda());
    train_twice(one, first, second);
    want = one.snapshot();
  });
  const auto before = simt::runtime::live();  // the cuBLAS handle of the device, which is kept
  std::uint64_t k = 0;
  int refused = 1;
  for (; refused > 0; ++k) {
    refused = 0;
    on_device([&] {
      simt::runtime::fail_acquisition(k);
      std::unique_ptr<ObservedNetwork> one;
      const auto insist = [&](const std::function<void()>& call) {
        const std::int64_t windows = one ? one->network.windows() : 0;
        const bool threw = throws_out_of_memory(call);
        refused += threw;
        if (!threw) return;
        EXPECT_EQ(one ? one->network.windows() : 0, windows);
        call();  // a refused call has changed nothing
      };
      insist([&] { one = std::make_unique<ObservedNetwork>(fanned_out, Device::cuda()); });
      insist([&] { one->take_state(first); });
      insist([&] { one->forward(first); });
      insist([&] { one->forward(second); });
      insist([&] { one->backward(second); });
      insist([&] { one->backward(first); });
      insist([&] { one->infer(first); });
      EXPECT_LE(refused, 1);
      EXPECT_EQ(one->snapshot(), want) << "acquisition " << k;
    });
    EXPECT_EQ(simt::runtime::live(), before) << "acquisition " << k;
  }
  EXPECT_GT(k, 10u);
}

// The same with windows that have no tape.
TEST_F(CudaNetworkMemory, RefusalsInManyWindowsLeaveTheNetworkUsable) {
  const Window window(fanned_out, 1, 8);
  constexpr int windows = 8;
  Tensors want;
  on_device([&] {
    ObservedNetwork one(fanned_out, Device::cuda());
    for (int k = 0; k < windows; ++k) one.forward(window);
    for (int k = 0; k < windows; ++k) one.backward(window);
    want = one.snapshot();
  });
  int refused = 1;
  for (std::uint64_t k = 0; refused > 0 && k < 100; ++k) {
    refused = 0;
    on_device([&] {
      ObservedNetwork one(fanned_out, Device::cuda());
      simt::runtime::fail_acquisition(k);
      const auto insist = [&](const std::function<void()>& call) {
        if (!throws_out_of_memory(call)) return;
        ++refused;
        call();
      };
      for (int w = 0; w < windows; ++w) insist([&] { one.forward(window); });
      for (int w = 0; w < windows; ++w) insist([&] { one.backward(window); });
      EXPECT_EQ(one.snapshot(), want) << "acquisition " << k;
    });
  }
  EXPECT_EQ(refused, 0);
}

// The window before it has its gradient as usual.
TEST_F(CudaNetworkMemory, ARefusedWindowIsAsIfItHadNotBegun) {
  const Window first(fanned_out, 2, 8), second(fanned_out, 5, 9);
  bool refused = true;
  std::uint64_t k = 0;
  for (; refused && k < 100; ++k) {
    on_device([&] {
      CpuAndGpu networks(fanned_out);
      networks.both([&](ObservedNetwork& one) {
        one.take_state(first);
        one.forward(first);
      });
      const std::vector<float> M = copied(networks.gpu.network.modulation());
      simt::runtime::fail_acquisition(k);
      refused = throws_out_of_memory([&] { networks.gpu.network.forward(second.sequence()); });
      if (!refused) return;
      EXPECT_EQ(copied(networks.gpu.network.modulation()), M);
      networks.both([&](ObservedNetwork& one) { one.backward(first); });
      networks.expect_same("after a refused window");
    });
  }
  EXPECT_FALSE(refused);
  EXPECT_GT(k, 3u);  // its tensors, scratch and tape
}

}  // namespace
}  // namespace plasticity::testing
