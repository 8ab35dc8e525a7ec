#pragma once

#include <cublas_v2.h>

#include <cstddef>
#include <cstdint>
#include <mutex>

namespace plasticity::cuda {

/// The cuBLAS handle of one device, which one call has at a time. It is created with the first plan on the
/// device and kept until the process ends. cublasCreate() may not be called while a graph is captured, and
/// cublasDestroy() waits for the device, which breaks the captures of all threads. A call only has it while
/// it puts products on its stream, so another that waits for it waits for a few microseconds.
class BlasHandle {
 public:
  /// That of the current device, `index`. Throws Error(out_of_memory).
  static BlasHandle& of(int index);

  BlasHandle(const BlasHandle&) = delete;
  BlasHandle& operator=(const BlasHandle&) = delete;

 private:
  friend class Blas;
  BlasHandle();
  std::mutex mutex_;
  cublasHandle_t handle_ = nullptr;
};

/// Memory that cuBLAS works in, the caller's: with it, its bits are the same every time on one kind of
/// device, and a captured graph holds no memory of the handle's.
struct BlasWorkspace {
  void* data;
  std::size_t bytes;

  static constexpr std::size_t alignment = 256;
  /// Enough for a result of that many elements: up to what NVIDIA recommends for Hopper, 32 MiB.
  static std::size_t bytes_for(std::int64_t elements);
};

/// cuBLAS on one stream, for a scope. fp32 throughout, no TF32. Afterwards the handle names neither the
/// stream nor the workspace, which the caller may destroy.
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
  /// The handle while this has it; gives it back without the stream, if only some of it was set, too.
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
