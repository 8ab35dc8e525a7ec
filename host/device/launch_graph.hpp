#pragma once

#include <cstring>
#include <functional>
#include <type_traits>
#include <vector>

#include "plasticity/device.hpp"

namespace plasticity {

/// The bytes of all values that a sequence of launches depends on, for example its pointers.
class LaunchKey {
 public:
  template <class T>
  void add(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const std::size_t place = bytes_.size();
    bytes_.resize(place + sizeof(T));
    std::memcpy(bytes_.data() + place, &value, sizeof(T));
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// A sequence of launches that is captured as a CUDA graph at its second run and launched many times.
class LaunchGraph {
 public:
  virtual ~LaunchGraph() = default;
  /// Runs `work(stream)`, which enqueues the launches. The first call runs it on the stream. The second call
  /// captures it in a graph, which later calls launch. If `key` changes, the call captures it again.
  virtual void run(const LaunchKey& key, Stream stream, const std::function<void(Stream)>& work) = 0;
};

}  // namespace plasticity
