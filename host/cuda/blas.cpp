#include "cuda/blas.hpp"

#include <algorithm>
#include <map>

#include "base/throw_error.hpp"
#include "common/check.hpp"

namespace plasticity::cuda {
namespace {

void check_blas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  cudaGetLastError();  // the exception is the report
  const bool no_memory = status == CUBLAS_STATUS_ALLOC_FAILED;
  throw_error(no_memory ? ErrorCode::out_of_memory : ErrorCode::device_unavailable, what, "success",
              cublasGetStatusString(status));
}

}  // namespace

BlasHandle::BlasHandle() { check_blas(cublasCreate(&handle_), "cublasCreate"); }

BlasHandle& BlasHandle::of(int index) {
  // Never destroyed: the driver may be gone when static objects are destroyed.
  static std::mutex& mutex = *new std::mutex;
  static std::map<int, BlasHandle*>& devices = *new std::map<int, BlasHandle*>;
  const std::lock_guard lock(mutex);
  BlasHandle*& handle = devices[index];
  if (handle == nullptr) handle = new BlasHandle;
  return *handle;
}

std::size_t BlasWorkspace::bytes_for(std::int64_t elements) {
  constexpr std::size_t min_bytes = 256 << 10, max_bytes = 32 << 20, splits = 8;
  return std::clamp(static_cast<std::size_t>(elements) * sizeof(float) * splits, min_bytes, max_bytes);
}

BlasWorkspace BlasWorkspace::take(Arena& arena, std::int64_t elements) {
  const std::size_t bytes = bytes_for(elements);
  auto address =
      reinterpret_cast<std::uintptr_t>(arena.take<std::byte>(static_cast<std::int64_t>(bytes + alignment)));
  return {reinterpret_cast<void*>((address + alignment - 1) / alignment * alignment), bytes};
}

Blas::Blas(BlasHandle& handle, cudaStream_t stream, BlasWorkspace workspace) : loan_(handle) {
  check_blas(cublasSetStream(loan_.blas, stream), "cublasSetStream");
  check_blas(cublasSetWorkspace(loan_.blas, workspace.data, workspace.bytes), "cublasSetWorkspace");
  check_blas(cublasSetMathMode(loan_.blas, CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
}

Blas::Loan::~Loan() {
  // This also resets the workspace to the handle's own.
  if (cublasSetStream(blas, nullptr) != CUBLAS_STATUS_SUCCESS) cudaGetLastError();
}

void Blas::add_product(const Product& p) const {
  if (p.rows == 0 || p.columns == 0 || p.depth == 0) return;
  // cuBLAS reads the row-major matrices as their column-major transposes: Cᵀ += Bᵀ A.
  const float one = 1;
  check_blas(cublasSgemm_64(loan_.blas, CUBLAS_OP_N, CUBLAS_OP_T, p.columns, p.rows, p.depth, &one, p.b,
                            p.b_stride, p.a, p.rows, &one, p.c, p.c_stride),
             "cublasSgemm");
}

}  // namespace plasticity::cuda
