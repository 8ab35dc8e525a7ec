#pragma once

#include <cstddef>
#include <cstdint>

namespace plasticity {

/// Hands out pieces of a block of memory, each aligned to 64 bytes, the block's own alignment; with no block
/// it only counts. A piece of no elements is null.
class Arena {
 public:
  explicit Arena(void* memory) : memory_(static_cast<std::byte*>(memory)) {}

  template <class T>
  T* take(std::int64_t count) {
    return count == 0 ? nullptr : place<T>(count);
  }
  /// From the beginning to the end of the last piece.
  std::size_t bytes() const { return bytes_; }

 protected:
  /// As take(), but a piece of no elements has a place, the next one's.
  template <class T>
  T* place(std::int64_t count) {
    T* piece = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + bytes_);
    bytes_ += rounded<T>(count);
    return piece;
  }
  /// Bytes of a piece.
  template <class T>
  static std::size_t rounded(std::int64_t count) {
    return (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
  }
  /// Where the next piece is to begin: not before bytes().
  void move_to(std::size_t place) { bytes_ = place; }

 private:
  std::byte* memory_;
  std::size_t bytes_ = 0;
};

}  // namespace plasticity
