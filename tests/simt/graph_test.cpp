// Stream capture: recording, replay, and rejected calls.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "common/launch.hpp"
#include "simt/runtime.hpp"
#include "simt/samples/samples.hpp"
#include "simt/schedules.hpp"

namespace simt::runtime {
namespace {

using plasticity::check;

__global__ void use_shared(float* out) {
  PLASTICITY_DYNAMIC_SHARED(float, all);
  out[threadIdx.x] = all[threadIdx.x];
}

class Graph : public ::testing::Test {
 protected:
  void SetUp() override {
    reset();
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    check(cudaMalloc(reinterpret_cast<void**>(&device), 64));
  }
  void TearDown() override {
    reset();
    check(cudaStreamDestroy(stream));
    check(cudaFree(device));
    EXPECT_EQ(live(), Live{});
  }

  void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    check(cudaStreamBeginCapture(stream, mode));
  }
  cudaError_t end() {
    const cudaError_t error = cudaStreamEndCapture(stream, &graph);
    if (graph) check(cudaGraphInstantiate(&executable, graph, 0));
    return error;
  }
  void drop() {
    check(cudaGraphExecDestroy(executable));
    check(cudaGraphDestroy(graph));
  }

  cudaStream_t stream = nullptr;
  float* device = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
};

TEST_F(Graph, RecordsAndReplays) {
  const std::vector<float> x(64, 1.0f);
  float host[2] = {-7, -7};
  begin();
  samples::block_sums(x.data(), device, 64, 2, stream);
  check(cudaMemcpyAsync(host, device, 8, cudaMemcpyDeviceToHost, stream));
  cudaStreamCaptureStatus status;
  check(cudaStreamIsCapturing(stream, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  ASSERT_EQ(end(), cudaSuccess);
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(host[0], -7);  // recorded, not run

  std::size_t count = 0;
  check(cudaGraphGetNodes(graph, nullptr, &count));
  ASSERT_EQ(count, 2u);
  cudaGraphNode_t nodes[2];
  cudaGraphNodeType type;
  check(cudaGraphGetNodes(graph, nodes, &count));
  check(cudaGraphNodeGetType(nodes[0], &type));
  EXPECT_EQ(type, cudaGraphNodeTypeKernel);

  for (int i = 0; i < 2; ++i) {
    host[0] = host[1] = -7;
    check(cudaGraphLaunch(executable, stream));
    EXPECT_EQ(host[0], -7);
    check(cudaStreamSynchronize(stream));
    EXPECT_EQ(host[0] + host[1], 64);
  }
  EXPECT_EQ(calls().graph_launches, 2u);
  EXPECT_EQ(calls().launches, 1u);
  drop();
}

TEST_F(Graph, UnsafeCallsAreRefusedAndBreakTheCapture) {
  void* p = nullptr;
  const auto refused = [&](auto&& call) {
    begin();
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    cudaGetLastError();
  };
  refused([&] { return cudaMalloc(&p, 4); });
  refused([&] { return cudaFree(device); });
  refused([&] { return cudaMallocHost(&p, 4); });
  refused([&] { return cudaStreamSynchronize(stream); });
  refused([&] { return cudaStreamQuery(stream); });
  refused([&] { return cudaDeviceSynchronize(); });
  refused([&] { return cudaMemcpy(device, &p, 4, cudaMemcpyHostToDevice); });
  check(cudaMalloc(&p, 4));  // afterwards all is well
  check(cudaFree(p));
}

TEST_F(Graph, ModesDecideWhoIsConcerned) {
  void* p = nullptr;
  begin(cudaStreamCaptureModeRelaxed);
  check(cudaMalloc(&p, 4));
  check(cudaFree(p));
  ASSERT_EQ(end(), cudaSuccess);
  drop();

  cudaError_t elsewhere = cudaSuccess;
  const auto allocate_elsewhere = [&] {
    std::thread([&] {
      elsewhere = cudaMalloc(&p, 4);
      if (elsewhere == cudaSuccess) cudaFree(p);
    }).join();
  };
  begin(cudaStreamCaptureModeThreadLocal);
  allocate_elsewhere();
  EXPECT_EQ(elsewhere, cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  drop();

  begin(cudaStreamCaptureModeGlobal);
  allocate_elsewhere();
  EXPECT_EQ(elsewhere, cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
  cudaGetLastError();
}

TEST_F(Graph, TheLegacyStreamStaysOut) {
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  cudaStream_t blocking = nullptr;
  check(cudaStreamCreate(&blocking));
  check(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeGlobal));
  EXPECT_EQ(cudaMemsetAsync(device, 0, 4, nullptr), cudaErrorStreamCaptureImplicit);
  EXPECT_EQ(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
  check(cudaStreamDestroy(blocking));
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
  cudaGetLastError();
}

TEST_F(Graph, ForksJoinByEvents) {
  cudaStream_t other = nullptr;
  cudaEvent_t fork = nullptr, join = nullptr;
  check(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  check(cudaEventCreate(&fork));
  check(cudaEventCreate(&join));
  const auto record = [&](bool joined) {
    begin();
    check(cudaMemsetAsync(device, 1, 4, stream));
    check(cudaEventRecord(fork, stream));
    check(cudaStreamWaitEvent(other, fork));
    check(cudaMemsetAsync(device + 1, 2, 4, other));
    check(cudaEventRecord(join, other));
    check(cudaMemsetAsync(device + 2, 3, 4, stream));
    if (joined) check(cudaStreamWaitEvent(stream, join));
    check(cudaMemsetAsync(device + 3, 4, 4, stream));
    return end();
  };
  EXPECT_EQ(record(false), cudaErrorStreamCaptureUnjoined);
  ASSERT_EQ(record(true), cudaSuccess);
  const Outcome outcome = try_schedules(6, [&] {
    int host[4] = {};
    check(cudaGraphLaunch(executable, stream));
    check(cudaMemcpyAsync(host, device, 16, cudaMemcpyDeviceToHost, stream));
    check(cudaStreamSynchronize(stream));
    return host[0] == 0x01010101 && host[1] == 0x02020202 && host[2] == 0x03030303 && host[3] == 0x04040404;
  });
  EXPECT_EQ(outcome.failures, 0) << outcome.first_failure;
  drop();

  EXPECT_EQ(cudaEventQuery(fork), cudaSuccess);  // the capture is over
  begin();
  check(cudaEventRecord(fork, stream));
  EXPECT_EQ(cudaEventSynchronize(fork), cudaErrorCapturedEvent);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
  check(cudaEventRecord(join, other));
  begin();
  EXPECT_EQ(cudaStreamWaitEvent(stream, join), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
  cudaGetLastError();
  check(cudaEventDestroy(fork));
  check(cudaEventDestroy(join));
  check(cudaStreamDestroy(other));
}

TEST_F(Graph, ABranchThatIsNotOrderedShows) {
  cudaStream_t other = nullptr;
  cudaEvent_t fork = nullptr, join = nullptr;
  check(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  check(cudaEventCreate(&fork));
  check(cudaEventCreate(&join));
  begin();
  check(cudaEventRecord(fork, stream));
  check(cudaStreamWaitEvent(other, fork));
  check(cudaMemsetAsync(device, 1, 4, stream));
  check(cudaMemsetAsync(device, 2, 4, other));  // at the same time as the line above
  check(cudaEventRecord(join, other));
  check(cudaStreamWaitEvent(stream, join));
  ASSERT_EQ(end(), cudaSuccess);
  const Outcome outcome = try_schedules(8, [&] {
    int host = 0;
    check(cudaGraphLaunch(executable, stream));
    check(cudaMemcpyAsync(&host, device, 4, cudaMemcpyDeviceToHost, stream));
    check(cudaStreamSynchronize(stream));
    return host == 0x02020202;
  });
  EXPECT_GT(outcome.failures, 0);
  EXPECT_LT(outcome.failures, outcome.runs);
  drop();
  check(cudaEventDestroy(fork));
  check(cudaEventDestroy(join));
  check(cudaStreamDestroy(other));
}

// An executable is updated from a capture of the same form, and rejects one of another form.
TEST_F(Graph, Updates) {
  begin();
  check(cudaMemsetAsync(device, 1, 4, stream));
  ASSERT_EQ(end(), cudaSuccess);
  const auto launched = [&] {
    int host = 0;
    check(cudaGraphLaunch(executable, stream));
    check(cudaMemcpyAsync(&host, device, 4, cudaMemcpyDeviceToHost, stream));
    check(cudaStreamSynchronize(stream));
    return host;
  };
  const auto update = [&](int memsets) {
    cudaGraph_t other = nullptr;
    cudaGraphExecUpdateResultInfo result{};
    begin();
    for (int k = 0; k < memsets; ++k) check(cudaMemsetAsync(device, 5, 4, stream));
    check(cudaStreamEndCapture(stream, &other));
    const cudaError_t error = cudaGraphExecUpdate(executable, other, &result);
    check(cudaGraphDestroy(other));
    EXPECT_EQ(error == cudaSuccess, result.result == cudaGraphExecUpdateSuccess);
    return error;
  };
  EXPECT_EQ(launched(), 0x01010101);
  EXPECT_EQ(update(2), cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(launched(), 0x01010101);
  EXPECT_EQ(update(1), cudaSuccess);
  EXPECT_EQ(launched(), 0x05050505);
  drop();
}

TEST_F(Graph, AnUpdateFailsAtWill) {
  begin();
  check(cudaMemsetAsync(device, 1, 4, stream));
  ASSERT_EQ(end(), cudaSuccess);
  fail_update(1, cudaErrorNotSupported);
  EXPECT_EQ(cudaGraphExecUpdate(executable, graph, nullptr), cudaSuccess);
  EXPECT_EQ(cudaGraphExecUpdate(executable, graph, nullptr), cudaErrorNotSupported);
  EXPECT_EQ(cudaGraphExecUpdate(executable, graph, nullptr), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaErrorNotSupported);
  drop();
}

// The limit of a kernel may have been lowered since it was captured.
TEST_F(Graph, SharedMemoryIsCheckedWhenItIsInstantiated) {
  const auto limit = [](int bytes) {
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(&use_shared),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  };
  begin();
  plasticity::launch(use_shared, {.shared_bytes = 100 * 1024, .stream = stream}, device);
  check(cudaStreamEndCapture(stream, &graph));
  limit(99 * 1024);
  EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaErrorInvalidValue);
  limit(100 * 1024);
  check(cudaGraphInstantiate(&executable, graph, 0));
  limit(99 * 1024);
  EXPECT_EQ(cudaGraphExecUpdate(executable, graph, nullptr), cudaErrorInvalidValue);
  cudaGetLastError();
  drop();
}

TEST_F(Graph, CountsWhatWasNeverLaunchedBefore) {
  const std::vector<float> x(64, 1.0f);
  for (const std::uint64_t cold : {1, 1}) {  // only the first capture is cold
    begin();
    samples::block_sums(x.data(), device, 64, 2, stream);
    ASSERT_EQ(end(), cudaSuccess);
    EXPECT_EQ(calls().cold_captures, cold);
    drop();
  }
  reset();
  samples::block_sums(x.data(), device, 64, 2, stream);
  begin();
  samples::block_sums(x.data(), device, 64, 2, stream);
  ASSERT_EQ(end(), cudaSuccess);
  EXPECT_EQ(calls().cold_captures, 0u);
  drop();
}

}  // namespace
}  // namespace simt::runtime
