#pragma once

#include <cstddef>
#include <utility>

#include "plasticity/device.hpp"

namespace plasticity {

/// Memory of the host that a GPU copies from on its own, while the host goes on. On the CPU there is none.
class PageLocked {
 public:
  PageLocked() = default;
  /// Throws Error(out_of_memory).
  PageLocked(Device device, std::size_t bytes);
  ~PageLocked();
  PageLocked(PageLocked&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PageLocked& operator=(PageLocked&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Puts a copy out of page-locked memory on the stream, and does not wait for it.
void copy_from(const PageLocked& memory, Device device, Stream stream, void* to, std::size_t bytes);

}  // namespace plasticity
