#pragma once

#include <cstring>
#include <functional>
#include <type_traits>
#include <vector>

#include "plasticity/device.hpp"

namespace plasticity {

/// All that a piece of work depends on, as bytes.
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

/// Work that is put on a stream over and over: a GPU captures it once and launches it as one graph, as long
/// as the key is the same; another key is captured anew.
class LaunchGraph {
 public:
  virtual ~LaunchGraph() = default;
  virtual void run(const LaunchKey& key, Stream stream, const std::function<void(Stream)>& work) = 0;
};

}  // namespace plasticity
