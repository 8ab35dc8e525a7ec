#include "cuda/graph.hpp"

#include <utility>

#include "common/check.hpp"

namespace plasticity::cuda {
namespace {

bool is_captured(cudaStream_t stream) {
  if (stream == nullptr) return false;  // the legacy stream cannot be
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

/// A captured graph, which is needed until the executable has taken it over.
struct Captured {
  cudaGraph_t graph;
  ~Captured() {
    if (cudaGraphDestroy(graph) != cudaSuccess) cudaGetLastError();
  }
};

}  // namespace

SequenceGraph::~SequenceGraph() {
  bool fine = executable_ == nullptr || cudaGraphExecDestroy(executable_) == cudaSuccess;
  fine = (own_ == nullptr || cudaStreamDestroy(own_) == cudaSuccess) && fine;
  if (!fine) cudaGetLastError();
}

cudaGraph_t SequenceGraph::capture(const std::function<void(cudaStream_t)>& work) {
  if (own_ == nullptr)
    check(cudaStreamCreateWithFlags(&own_, cudaStreamNonBlocking), "a stream to capture a graph on");
  check(cudaStreamBeginCapture(own_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    work(own_);
  } catch (...) {
    if (cudaStreamEndCapture(own_, &graph) != cudaSuccess) cudaGetLastError();
    if (graph != nullptr && cudaGraphDestroy(graph) != cudaSuccess) cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(own_, &graph), "cudaStreamEndCapture");
  return graph;
}

void SequenceGraph::take(cudaGraph_t graph) {
  if (executable_ != nullptr) {
    cudaGraphExecUpdateResultInfo result{};
    const cudaError_t error = cudaGraphExecUpdate(executable_, graph, &result);
    if (error == cudaSuccess) return;
    if (error != cudaErrorGraphExecUpdateFailure) check(error, "cudaGraphExecUpdate");
    cudaGetLastError();  // other launches than before, as where other gradients are wanted: made anew
    check(cudaGraphExecDestroy(std::exchange(executable_, nullptr)), "cudaGraphExecDestroy");
  }
  check(cudaGraphInstantiate(&executable_, graph, 0), "cudaGraphInstantiate");
}

void SequenceGraph::run_bytes(const std::vector<std::byte>& key, cudaStream_t stream,
                              const std::function<void(cudaStream_t)>& work) {
  if (is_captured(stream)) return work(stream);
  const std::lock_guard lock(mutex_);
  if (executable_ == nullptr || key != key_) {
    key_.clear();  // whatever fails from here on, the next call captures again
    const Captured captured{capture(work)};
    take(captured.graph);
    key_ = key;
  }
  check(cudaGraphLaunch(executable_, stream), "cudaGraphLaunch");
}

}  // namespace plasticity::cuda
