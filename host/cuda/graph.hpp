#pragma once

#include <cuda_runtime_api.h>

#include <cstring>
#include <functional>
#include <mutex>
#include <set>
#include <type_traits>
#include <vector>

namespace plasticity::cuda {

/// The launches of a call as a CUDA graph. The first call goes to the stream directly: CUDA loads a kernel at
/// its first launch, and cuBLAS at its first product, and neither should happen in a capture. The second is
/// captured, and launched again as long as the pointers are the same; with other pointers a call is captured
/// again and the graph updated. Calls may come from several threads; CUDA runs the launches of one graph one
/// after another.
class SequenceGraph {
 public:
  SequenceGraph() = default;
  ~SequenceGraph();
  SequenceGraph(const SequenceGraph&) = delete;
  SequenceGraph& operator=(const SequenceGraph&) = delete;

  /// Has `work(stream)` done on `stream`. `key` is all that `work` depends on. While the caller captures
  /// `stream`, the work goes into that capture as it is.
  template <class Key, class Work>
  void run(const Key& key, cudaStream_t stream, const Work& work) {
    static_assert(std::has_unique_object_representations_v<Key>);
    std::vector<std::byte> bytes(sizeof(Key));
    std::memcpy(bytes.data(), &key, sizeof(Key));
    run_bytes(bytes, stream, work);
  }

  /// The same with a key of bytes.
  void run_bytes(const std::vector<std::byte>& key, cudaStream_t stream,
                 const std::function<void(cudaStream_t)>& work);

 private:
  cudaGraph_t capture(const std::function<void(cudaStream_t)>& work);
  void take(cudaGraph_t graph);

  std::mutex mutex_;
  cudaStream_t own_ = nullptr;  // what is captured; nothing ever runs on it
  cudaGraphExec_t executable_ = nullptr;
  std::vector<std::byte> key_;
  std::set<std::vector<std::byte>> ran_;  // the forms of the calls that went to a stream directly
};

}  // namespace plasticity::cuda
