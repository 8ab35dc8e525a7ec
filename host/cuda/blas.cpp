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
  const bool memory = status == CUBLAS_STATUS_ALLOC_FAILED;
  throw_error(memory ? ErrorCode::out_of_memory : ErrorCode::device_unavailable, what, "success",
              cublasGetStatusString(status));
}

/// Lets this thread allocate while it captures a graph: what a handle needs is no part of the graph.
class BesideCapture {
 public:
  BesideCapture() { exchange(); }
  ~BesideCapture() { exchange(); }
  BesideCapture(const BesideCapture&) = delete;
  BesideCapture& operator=(const BesideCapture&) = delete;

 private:
  void exchange() noexcept {
    if (cudaThreadExchangeStreamCaptureMode(&mode_) != cudaSuccess) cudaGetLastError();
  }
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

cublasHandle_t create() {
  const BesideCapture beside;
  cublasHandle_t handle = nullptr;
  check_blas(cublasCreate(&handle), "cublasCreate");
  return handle;
}

}  // namespace

std::shared_ptr<BlasHandles> BlasHandles::of(int index) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<BlasHandles>> devices;
  const std::lock_guard lock(mutex);
  std::shared_ptr<BlasHandles> handles = devices[index].lock();
  if (handles == nullptr) {
    handles.reset(new BlasHandles);
    handles->give_back(create());
    devices[index] = handles;
  }
  return handles;
}

BlasHandles::~BlasHandles() {
  for (const cublasHandle_t handle : free_) {
    if (cublasDestroy(handle) != CUBLAS_STATUS_SUCCESS) cudaGetLastError();
  }
}

cublasHandle_t BlasHandles::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      const cublasHandle_t handle = free_.back();
      free_.pop_back();
      return handle;
    }
    free_.reserve(free_.capacity() + 1);  // give_back() must not fail
  }
  return create();
}

void BlasHandles::give_back(cublasHandle_t handle) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(handle);
}

std::size_t BlasWorkspace::bytes_for(std::int64_t elements) {
  constexpr std::size_t least = 256 << 10, most = 32 << 20, splits = 8;
  return std::clamp(static_cast<std::size_t>(elements) * sizeof(float) * splits, least, most);
}

Blas::Blas(BlasHandles& handles, cudaStream_t stream, BlasWorkspace workspace)
    : handles_(handles), handle_(handles.take()) {
  try {
    check_blas(cublasSetStream(handle_, stream), "cublasSetStream");
    check_blas(cublasSetWorkspace(handle_, workspace.data, workspace.bytes), "cublasSetWorkspace");
    check_blas(cublasSetMathMode(handle_, CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
  } catch (...) {
    handles_.give_back(handle_);
    throw;
  }
}

void Blas::add_product(const Product& p) const {
  if (p.rows == 0 || p.columns == 0 || p.depth == 0) return;
  // What is row-major here is column-major and transposed there: Cᵀ += Bᵀ A.
  const float one = 1;
  check_blas(cublasSgemm_64(handle_, CUBLAS_OP_N, CUBLAS_OP_T, p.columns, p.rows, p.depth, &one, p.b,
                            p.b_stride, p.a, p.rows, &one, p.c, p.c_stride),
             "cublasSgemm");
}

}  // namespace plasticity::cuda
