// The little of cuBLAS that the library calls, fp32, as work on a stream. Column-major, like the real one.
#include <cublas_v2.h>

#include <algorithm>
#include <cstdint>

#include "simt/runtime/state.hpp"

struct cublasContext {};

using namespace simt::runtime;

namespace {

struct Gemm {
  cublasOperation_t trans_a, trans_b;
  std::int64_t m, n, k;
  const float* a;
  std::int64_t lda, stride_a;
  const float* b;
  std::int64_t ldb, stride_b;
  float* c;
  std::int64_t ldc, stride_c;
  int batch;

  bool legal() const {
    const std::int64_t rows_a = trans_a == CUBLAS_OP_N ? m : k, rows_b = trans_b == CUBLAS_OP_N ? k : n;
    return m >= 0 && n >= 0 && k >= 0 && batch >= 0 && lda >= std::max<std::int64_t>(1, rows_a) &&
           ldb >= std::max<std::int64_t>(1, rows_b) && ldc >= std::max<std::int64_t>(1, m);
  }

  /// c = alpha op(a) op(b) + beta c. If beta is 0, c is not read and may hold NaN.
  void run(float alpha, float beta) const {
    for (std::int64_t i = 0; i < batch; ++i)
      one(a + i * stride_a, b + i * stride_b, c + i * stride_c, alpha, beta);
  }

 private:
  void one(const float* a_i, const float* b_i, float* c_i, float alpha, float beta) const {
    for (std::int64_t col = 0; col < n; ++col) {
      for (std::int64_t row = 0; row < m; ++row) {
        double sum = 0;
        for (std::int64_t j = 0; j < k; ++j)
          sum += double(trans_a == CUBLAS_OP_N ? a_i[row + j * lda] : a_i[j + row * lda]) *
                 double(trans_b == CUBLAS_OP_N ? b_i[j + col * ldb] : b_i[col + j * ldb]);
        float& out = c_i[row + col * ldc];
        out = beta == 0 ? float(alpha * sum) : float(alpha * sum + double(beta) * out);
      }
    }
  }
};

cublasStatus_t enqueue_gemm(cublasHandle_t handle, const Gemm& gemm, const float* alpha, const float* beta) {
  call_once(&State::before_gemm);
  auto guard = lock();
  const auto found = state().blas_handles.find(handle);
  if (found == state().blas_handles.end()) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!gemm.legal() || !alpha || !beta) return CUBLAS_STATUS_INVALID_VALUE;
  const BlasStream& used = found->second;
  const auto stream = used.gone ? nullptr : find_stream(used.stream);
  if (!stream) return CUBLAS_STATUS_EXECUTION_FAILED;
  ++state().calls.launches;
  load(*stream, {&state(), current_device, {gemm.m, gemm.n, gemm.k}});
  // The scalars are read now, because the caller may reuse them.
  const auto work = [gemm, alpha = *alpha, beta = *beta] { gemm.run(alpha, beta); };
  return enqueue(used.stream, cudaGraphNodeTypeKernel, work) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                                            : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  auto guard = lock();
  // It allocates and may wait for the device: no capture anywhere survives that for certain.
  if (broken() || refuse_during_any_capture()) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (acquire()) return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = new cublasContext;
  state().blas_handles[*handle] = {};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  auto guard = lock();
  if (!state().blas_handles.erase(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  cudaDeviceSynchronize();  // as the real one, which breaks the captures of all threads
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  auto guard = lock();
  const auto used = state().blas_handles.find(handle);
  if (used == state().blas_handles.end()) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (used->second.gone) return CUBLAS_STATUS_EXECUTION_FAILED;  // it may still use its former stream
  used->second = {stream};
  return CUBLAS_STATUS_SUCCESS;
}

/// Checks that it is aligned device memory. The plain loops need no workspace.
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
  auto guard = lock();
  if (!state().blas_handles.contains(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!workspace && !bytes) return CUBLAS_STATUS_SUCCESS;
  const Found found = find_allocation(workspace);
  const auto address = static_cast<const char*>(workspace);
  const bool usable = found.begin && found.allocation.kind == Memory::device &&
                      address + bytes <= found.begin + found.allocation.bytes &&
                      reinterpret_cast<std::uintptr_t>(workspace) % 256 == 0;
  return usable ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

/// Every mode has the same products.
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n,
                              int k, const float* alpha, const float* a, int lda, const float* b, int ldb,
                              const float* beta, float* c, int ldc) {
  return enqueue_gemm(handle, {ta, tb, m, n, k, a, lda, 0, b, ldb, 0, c, ldc, 0, 1}, alpha, beta);
}

cublasStatus_t cublasSgemm_v2_64(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,
                                 std::int64_t m, std::int64_t n, std::int64_t k, const float* alpha,
                                 const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                                 const float* beta, float* c, std::int64_t ldc) {
  return enqueue_gemm(handle, {ta, tb, m, n, k, a, lda, 0, b, ldb, 0, c, ldc, 0, 1}, alpha, beta);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,
                                         int m, int n, int k, const float* alpha, const float* a, int lda,
                                         long long stride_a, const float* b, int ldb, long long stride_b,
                                         const float* beta, float* c, int ldc, long long stride_c,
                                         int batch) {
  return enqueue_gemm(handle, {ta, tb, m, n, k, a, lda, stride_a, b, ldb, stride_b, c, ldc, stride_c, batch},
                      alpha, beta);
}

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "the operation completed successfully";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE: return "an invalid value was given";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the operation failed to launch";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "the operation is not supported";
    default: return "a cuBLAS error";
  }
}
}
