#include "cuda/graph.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cuda/runtime.hpp"

namespace plasticity::cuda {
namespace {

bool is_captured(cudaStream_t stream) {
  if (stream == nullptr) return false;  // the legacy stream cannot be captured
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

/// The part of a key that determines which kernels a call launches: whether each pointer is null, aligned to
/// 16 bytes, or neither. (A word of the key may be a size. Then the signatures of two calls may differ
/// without need.)
std::string launch_signature(const std::vector<std::byte>& key) {
  std::string signature;
  for (std::size_t place = 0; place < key.size(); place += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, key.data() + place, std::min(sizeof word, key.size() - place));
    signature.push_back(word == 0 ? '0' : word % 16 == 0 ? 'a' : 'u');
  }
  return signature;
}

/// Destroys a captured graph at the end of a scope.
struct CapturedGraph {
  cudaGraph_t graph = nullptr;
  ~CapturedGraph() {
    if (graph != nullptr && cudaGraphDestroy(graph) != cudaSuccess) cudaGetLastError();
  }
};

}  // namespace

SequenceGraph::~SequenceGraph() {
  if (own_ == nullptr) return;
  const CurrentDevice current(index_, std::nothrow);
  bool ok = executable_ == nullptr || cudaGraphExecDestroy(executable_) == cudaSuccess;
  ok = cudaStreamDestroy(own_) == cudaSuccess && ok;
  if (!ok) cudaGetLastError();
}

void SequenceGraph::begin_capture() {
  if (own_ == nullptr) {
    check(cudaGetDevice(&index_), "the current CUDA device");
    check(cudaStreamCreateWithFlags(&own_, cudaStreamNonBlocking), "a stream to capture a graph on");
  }
  check(cudaStreamBeginCapture(own_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}

void SequenceGraph::instantiate(cudaGraph_t graph) {
  if (executable_ != nullptr) {
    cudaGraphExecUpdateResultInfo result{};
    if (cudaGraphExecUpdate(executable_, graph, &result) == cudaSuccess) return;
    // The launches differ, or the update is not possible for another reason. If the device has a fault,
    // cudaGraphInstantiate() reports it.
    cudaGetLastError();
    check(cudaGraphExecDestroy(std::exchange(executable_, nullptr)), "cudaGraphExecDestroy");
  }
  check(cudaGraphInstantiate(&executable_, graph, 0), "cudaGraphInstantiate");
}

SequenceGraph::Call::Call(SequenceGraph& graph, const std::vector<std::byte>& key, cudaStream_t stream)
    : graph_(graph), key_(key), stream_(stream), lock_(graph.mutex_, std::defer_lock), mode_(choose_mode()) {
  if (mode_ != Mode::capture) return;
  graph_.key_.clear();  // if this call fails, the next call captures again
  graph_.begin_capture();
  capturing_ = true;
}

SequenceGraph::Call::Mode SequenceGraph::Call::choose_mode() {
  if (is_captured(stream_)) return Mode::nested;
  lock_.lock();
  if (graph_.executable_ != nullptr && key_ == graph_.key_) return Mode::replay;
  return graph_.ran_.contains(launch_signature(key_)) ? Mode::capture : Mode::direct;
}

SequenceGraph::Call::~Call() {
  if (!capturing_) return;
  CapturedGraph discarded;
  if (cudaStreamEndCapture(graph_.own_, &discarded.graph) != cudaSuccess) cudaGetLastError();
}

void SequenceGraph::Call::finish() {
  if (mode_ == Mode::nested) return;
  if (mode_ == Mode::direct) {
    graph_.ran_.insert(launch_signature(key_));
    return;
  }
  if (mode_ == Mode::capture) {
    capturing_ = false;
    CapturedGraph captured;
    check(cudaStreamEndCapture(graph_.own_, &captured.graph), "cudaStreamEndCapture");
    graph_.instantiate(captured.graph);
    graph_.key_ = key_;
  }
  check(cudaGraphLaunch(graph_.executable_, stream_), "cudaGraphLaunch");
}

}  // namespace plasticity::cuda
