// Streams and events: work runs when a call synchronizes with it, and only ordered work runs in order.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "common/check.hpp"
#include "simt/runtime.hpp"
#include "simt/samples/samples.hpp"
#include "simt/schedules.hpp"

namespace simt::runtime {
namespace {

using plasticity::check;

class Stream : public ::testing::Test {
 protected:
  void SetUp() override {
    reset();
    check(cudaMalloc(reinterpret_cast<void**>(&device), 1024));
    check(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    check(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    check(cudaEventCreate(&event));
  }
  void TearDown() override {
    reset();
    check(cudaEventDestroy(event));
    check(cudaStreamDestroy(b));
    check(cudaStreamDestroy(a));
    check(cudaFree(device));
    EXPECT_EQ(live(), Live{});
  }

  void set(int value, cudaStream_t stream) { check(cudaMemsetAsync(device, value, 4, stream)); }
  void read(int* to, cudaStream_t stream) {
    check(cudaMemcpyAsync(to, device, 4, cudaMemcpyDeviceToHost, stream));
  }

  int* device = nullptr;
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
};

TEST_F(Stream, NothingHappensBeforeSomeoneWaits) {
  int host = -7;
  set(1, a);
  read(&host, a);
  EXPECT_EQ(host, -7);
  EXPECT_EQ(cudaStreamQuery(a), cudaErrorNotReady);
  check(cudaStreamSynchronize(a));
  EXPECT_EQ(host, 0x01010101);
  EXPECT_EQ(cudaStreamQuery(a), cudaSuccess);
  EXPECT_EQ(calls().synchronisations, 1u);
  EXPECT_EQ(calls().copies, 2u);
}

TEST_F(Stream, UnorderedStreamsShowUnderSomeSchedule) {
  const Outcome outcome = try_schedules(6, [&] {
    int host = 0;
    set(1, a);
    check(cudaStreamSynchronize(a));
    set(2, a);
    read(&host, b);  // a wait is missing
    check(cudaDeviceSynchronize());
    return host == 0x02020202;
  });
  EXPECT_GT(outcome.failures, 0);
  EXPECT_LT(outcome.failures, outcome.runs);
}

TEST_F(Stream, AnEventOrdersThem) {
  const Outcome outcome = try_schedules(6, [&] {
    int host = 0;
    set(1, a);
    check(cudaEventRecord(event, a));
    check(cudaStreamWaitEvent(b, event));
    read(&host, b);
    check(cudaStreamSynchronize(b));
    return host == 0x01010101;
  });
  EXPECT_EQ(outcome.failures, 0) << outcome.first_failure;
}

TEST_F(Stream, EventsAreWaitedFor) {
  set(1, a);
  check(cudaEventRecord(event, a));
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  check(cudaEventSynchronize(event));
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  cudaEvent_t later = nullptr;
  check(cudaEventCreate(&later));
  set(2, a);
  check(cudaEventRecord(later, a));
  check(cudaEventSynchronize(later));
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, event, later));
  EXPECT_GT(milliseconds, 0);
  check(cudaEventDestroy(later));
  EXPECT_EQ(cudaEventDestroy(later), cudaErrorInvalidResourceHandle);
}

TEST_F(Stream, TheLegacyStreamIsOrderedWithBlockingOnesOnly) {
  cudaStream_t blocking = nullptr;
  check(cudaStreamCreate(&blocking));
  const Outcome ordered = try_schedules(6, [&] {
    int host[2] = {};
    set(1, blocking);
    read(&host[0], nullptr);
    check(cudaMemsetAsync(device, 2, 4, nullptr));
    read(&host[1], blocking);
    check(cudaDeviceSynchronize());
    return host[0] == 0x01010101 && host[1] == 0x02020202;
  });
  EXPECT_EQ(ordered.failures, 0) << ordered.first_failure;
  const Outcome unordered = try_schedules(6, [&] {
    int host = 0;
    set(1, nullptr);
    check(cudaStreamSynchronize(nullptr));
    set(2, a);
    read(&host, nullptr);
    check(cudaDeviceSynchronize());
    return host == 0x02020202;
  });
  EXPECT_GT(unordered.failures, 0);
  check(cudaStreamDestroy(blocking));
}

TEST_F(Stream, DestroyDoesNotWait) {
  cudaStream_t brief = nullptr;
  check(cudaStreamCreateWithFlags(&brief, cudaStreamNonBlocking));
  int host = -7;
  set(3, brief);
  read(&host, brief);
  check(cudaStreamDestroy(brief));
  EXPECT_EQ(host, -7);
  EXPECT_EQ(cudaStreamSynchronize(brief), cudaErrorInvalidResourceHandle);
  cudaGetLastError();
  check(cudaDeviceSynchronize());
  EXPECT_EQ(host, 0x03030303);
}

TEST_F(Stream, ErrorsBelongToTheirThread) {
  EXPECT_EQ(cudaSetDevice(9), cudaErrorInvalidDevice);
  cudaError_t elsewhere = cudaErrorUnknown;
  std::thread([&] { elsewhere = cudaGetLastError(); }).join();
  EXPECT_EQ(elsewhere, cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
}

TEST_F(Stream, ThreadsMayUseTheirOwnStreams) {
  const std::vector<float> x(256, 1.0f);
  std::vector<float> sums(4, 0.0f);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 5; ++k) {
        samples::block_sums(x.data(), &sums[i], 64 * int(i + 1), 1, cudaStreamPerThread);
        check(cudaStreamSynchronize(cudaStreamPerThread));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(sums[i], 64.0f * float(i + 1));
}

}  // namespace
}  // namespace simt::runtime
