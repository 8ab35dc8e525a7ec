#pragma once

#include <cuda_runtime_api.h>

#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

namespace plasticity::cuda {

/// The bytes of a value without padding, as a key.
template <class Key>
std::vector<std::byte> key_bytes(const Key& key) {
  static_assert(std::has_unique_object_representations_v<Key>);
  std::vector<std::byte> bytes(sizeof(Key));
  std::memcpy(bytes.data(), &key, sizeof(Key));
  return bytes;
}

/// The launches of a call as a CUDA graph. The first call goes to the stream directly: CUDA loads a kernel at
/// its first launch and cuBLAS at its first product, and neither should happen in a capture. The second call
/// is captured. Later calls launch the graph as long as their key is unchanged. If the key changes, the call
/// is captured again and the graph is updated. Several threads may call; CUDA runs the launches of one graph
/// one after another.
class SequenceGraph {
 public:
  SequenceGraph() = default;
  ~SequenceGraph();
  SequenceGraph(const SequenceGraph&) = delete;
  SequenceGraph& operator=(const SequenceGraph&) = delete;

  /// One call. `key`: the bytes of everything that the launches depend on.
  ///   SequenceGraph::Call call(graph, key, stream);
  ///   if (call.needs_launches()) ...;  // put the launches on call.stream()
  ///   call.finish();
  class Call {
   public:
    Call(SequenceGraph& graph, const std::vector<std::byte>& key, cudaStream_t stream);
    /// Discards the capture if the call has not finished.
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    bool needs_launches() const { return mode_ != Mode::replay; }
    cudaStream_t stream() const { return mode_ == Mode::capture ? graph_.own_ : stream_; }
    /// Ends the capture if there is one, and launches the graph if there is one.
    void finish();

   private:
    enum class Mode {
      nested,   // the caller captures the stream: the launches become part of that capture
      direct,   // the first call of its form
      capture,  // the launches are captured
      replay    // the graph has the launches
    };
    Mode choose_mode();

    SequenceGraph& graph_;
    const std::vector<std::byte>& key_;
    cudaStream_t stream_;
    std::unique_lock<std::mutex> lock_;
    Mode mode_;
    bool capturing_ = false;
  };

 private:
  void begin_capture();
  void instantiate(cudaGraph_t graph);

  std::mutex mutex_;
  cudaStream_t own_ = nullptr;  // captured; nothing runs on it
  int index_ = 0;               // the device of own_
  cudaGraphExec_t executable_ = nullptr;
  std::vector<std::byte> key_;  // of the last capture
  std::set<std::string> ran_;   // the forms of the calls that went to a stream directly
};

}  // namespace plasticity::cuda
