#pragma once

#include <cstddef>
#include <cstdint>

namespace plasticity {

/// Allocates arrays one after another from a block of memory. The block and every array are aligned to 64
/// bytes. Without a block (null) every array is null, and bytes() returns the size that a block needs.
class Arena {
 public:
  explicit Arena(void* memory) : memory_(static_cast<std::byte*>(memory)) {}

  /// Returns an array of `count` elements; null if `count` is 0.
  template <class T>
  T* take(std::int64_t count) {
    return count == 0 ? nullptr : place<T>(count);
  }
  /// Returns the size of the block up to the end of the last array.
  std::size_t bytes() const { return bytes_; }

 protected:
  /// Returns an array as take(), but an array of 0 elements is not null: it has the address of the next
  /// array.
  template <class T>
  T* place(std::int64_t count) {
    T* array = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + bytes_);
    bytes_ += rounded<T>(count);
    return array;
  }
  /// Returns the size in bytes of an array, rounded up to 64.
  template <class T>
  static std::size_t rounded(std::int64_t count) {
    return (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
  }
  /// Sets the offset of the next array, at least bytes().
  void move_to(std::size_t offset) { bytes_ = offset; }

 private:
  std::byte* memory_;
  std::size_t bytes_ = 0;
};

}  // namespace plasticity
