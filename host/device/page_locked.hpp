#pragma once

#include <cstddef>
#include <utility>

#include "plasticity/device.hpp"

namespace plasticity {

/// Owns page-locked host memory, from which a GPU copies asynchronously. Empty if the device is the CPU.
class PageLocked {
 public:
  PageLocked() = default;
  /// Throws Error(out_of_memory).
  PageLocked(Device device, std::size_t bytes);
  ~PageLocked();
  PageLocked(PageLocked&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        index_(other.index_) {}
  PageLocked& operator=(PageLocked&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(index_, other.index_);
    return *this;
  }

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  int index_ = 0;  // of the device
};

/// Enqueues a copy of `bytes` bytes from page-locked memory to the device and returns. The memory must stay
/// unchanged until the stream has run the copy.
void copy_from(const PageLocked& memory, Device device, Stream stream, void* to, std::size_t bytes);

}  // namespace plasticity
