#include "cuda/graph.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
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

/// What decides which kernels a call launches, of its key: each pointer is null, aligned to 16 bytes, or
/// neither. (Where the key holds a size in place of a pointer, two calls may differ in form for nothing.)
std::vector<std::byte> form_of(const std::vector<std::byte>& key) {
  std::vector<std::byte> form;
  for (std::size_t place = 0; place < key.size(); place += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, key.data() + place, std::min(sizeof word, key.size() - place));
    form.push_back(word == 0 ? std::byte{0} : word % 16 == 0 ? std::byte{1} : std::byte{2});
  }
  return form;
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
    if (cudaGraphExecUpdate(executable_, graph, &result) == cudaSuccess) return;
    // Other launches than before, or whatever else an update cannot do. If the device has a fault,
    // instantiating reports it.
    cudaGetLastError();
    check(cudaGraphExecDestroy(std::exchange(executable_, nullptr)), "cudaGraphExecDestroy");
  }
  check(cudaGraphInstantiate(&executable_, graph, 0), "cudaGraphInstantiate");
}

void SequenceGraph::run_bytes(const std::vector<std::byte>& key, cudaStream_t stream,
                              const std::function<void(cudaStream_t)>& work) {
  if (is_captured(stream)) return work(stream);
  const std::lock_guard lock(mutex_);
  if (executable_ == nullptr || key != key_) {
    std::vector<std::byte> form = form_of(key);
    if (!ran_.contains(form)) {
      work(stream);
      ran_.insert(std::move(form));
      return;
    }
    key_.clear();  // whatever fails from here on, the next call captures again
    const Captured captured{capture(work)};
    take(captured.graph);
    key_ = key;
  }
  check(cudaGraphLaunch(executable_, stream), "cudaGraphLaunch");
}

}  // namespace plasticity::cuda
