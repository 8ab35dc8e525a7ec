#pragma once

#include <cublas_v2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace plasticity::cuda {

/// The cuBLAS handles of one device. A call borrows one, sets it to its own stream and workspace, and gives
/// it back: a handle is made when a plan is, and otherwise only where more calls run at once than ever
/// before.
class BlasHandles {
 public:
  /// The handles of the current device, `index`, with one ready; shared by all plans on it.
  static std::shared_ptr<BlasHandles> of(int index);

  ~BlasHandles();
  BlasHandles(const BlasHandles&) = delete;
  BlasHandles& operator=(const BlasHandles&) = delete;

  cublasHandle_t take();
  void give_back(cublasHandle_t handle) noexcept;

 private:
  BlasHandles() = default;
  std::mutex mutex_;
  std::vector<cublasHandle_t> free_;
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

/// cuBLAS on one stream, for a scope. fp32 throughout, no TF32.
class Blas {
 public:
  Blas(BlasHandles& handles, cudaStream_t stream, BlasWorkspace workspace);
  ~Blas() { handles_.give_back(handle_); }
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
  BlasHandles& handles_;
  cublasHandle_t handle_;
};

}  // namespace plasticity::cuda
