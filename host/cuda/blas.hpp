#pragma once

#include <cublas_v2.h>

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "base/arena.hpp"

namespace plasticity::cuda {

/// The cuBLAS handle of one device. One call uses it at a time, only while it puts products on its stream, so
/// other calls wait for a few microseconds. It is created with the first plan on the device and exists until
/// the process ends: cublasCreate() is not permitted while a graph is captured, and cublasDestroy()
/// synchronizes the device, which invalidates the captures of all threads.
class BlasHandle {
 public:
  /// The handle of device `index`, which must be the current one. Throws Error(out_of_memory).
  static BlasHandle& of(int index);

  BlasHandle(const BlasHandle&) = delete;
  BlasHandle& operator=(const BlasHandle&) = delete;

 private:
  friend class Blas;
  BlasHandle();
  std::mutex mutex_;
  cublasHandle_t handle_ = nullptr;
};

/// A workspace for cuBLAS in the caller's memory. With it, results have the same bits every time on one kind
/// of device, and a captured graph does not refer to memory of the handle.
struct BlasWorkspace {
  void* data;
  std::size_t bytes;

  static constexpr std::size_t alignment = 256;
  /// The size for a result of that many elements, at most the 32 MiB that NVIDIA recommends for Hopper.
  static std::size_t bytes_for(std::int64_t elements);
  /// Takes a workspace for a result of that many elements, aligned.
  static BlasWorkspace take(Arena& arena, std::int64_t elements);
};

/// cuBLAS on one stream, for a scope, in fp32 without TF32. Afterwards the handle refers neither to the
/// stream nor to the workspace, and the caller may destroy them.
class Blas {
 public:
  Blas(BlasHandle& handle, cudaStream_t stream, BlasWorkspace workspace);
  ~Blas() = default;
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  /// C += Aᵀ B, row-major.
  struct Product {
    std::int64_t rows, columns, depth;
    const float* a;  // [depth,rows]
    const float* b;  // [depth,columns], rows b_stride apart
    std::int64_t b_stride;
    float* c;  // [rows,columns], rows c_stride apart
    std::int64_t c_stride;
  };
  void add_product(const Product& product) const;

 private:
  /// Locks the handle. The destructor resets its stream, even if the constructor of Blas throws.
  struct Loan {
    explicit Loan(BlasHandle& handle) : lock(handle.mutex_), blas(handle.handle_) {}
    ~Loan();
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

    std::lock_guard<std::mutex> lock;
    cublasHandle_t blas;
  };
  Loan loan_;
};

}  // namespace plasticity::cuda
