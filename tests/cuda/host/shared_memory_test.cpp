// How much dynamic shared memory a kernel may have is an attribute of the kernel, which all plans share.
#include "cuda/host/two_problems.hpp"
#include "simt/runtime.hpp"
#include "simt/schedules.hpp"

namespace plasticity::testing {
namespace {

// Both need more than 48 KiB of shared memory, the second less than the first. The limit belongs to the
// kernel: were it that of the last launch, the graph could not be instantiated.
TEST(CudaSharedMemory, TwoSizesInOneCapture) {
  simt::run([] {
    TwoProblems two(98, 90, Execution::cta);
    const OwnStream stream;
    const Stream on = stream;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(on.handle, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    for (const auto* each : {&two.first, &two.second}) {
      (*each)->forward(stream);
      (*each)->backward(stream);
    }
    ASSERT_EQ(cudaStreamEndCapture(on.handle, &graph), cudaSuccess);
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    ASSERT_EQ(cudaGraphLaunch(executable, on.handle), cudaSuccess);
    two.expect_answers(stream, stream);
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
  });
}

// The second thread launches between the first's request for shared memory and its launch.
TEST(CudaSharedMemory, TwoSizesOnTwoThreads) {
  simt::run([] {
    TwoProblems two(98, 90, Execution::cta);
    const OwnStream stream, other;
    simt::runtime::before_launch([&] { on_a_thread([&] { two.second->forward(other); }); });
    two.first->forward(stream);
    simt::runtime::before_launch([&] { on_a_thread([&] { two.second->backward(other); }); });
    two.first->backward(stream);
    two.expect_answers(stream, other);
  });
}

}  // namespace
}  // namespace plasticity::testing
