// Arrays of many gigabytes of which a test touches little: offsets beyond 2^31 in milliseconds.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace simt {

/// `size` zeros. Only the pages that are written take memory. Together with Config::only_block, which leaves
/// out the blocks that would touch the rest.
template <class T>
class SparseArray {
 public:
  explicit SparseArray(std::size_t size) : bytes_(size * sizeof(T)) {
    void* p =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(p);
  }
  ~SparseArray() { munmap(data_, bytes_); }
  SparseArray(const SparseArray&) = delete;
  SparseArray& operator=(const SparseArray&) = delete;

  T* data() { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }

 private:
  std::size_t bytes_;
  T* data_;
};

}  // namespace simt
