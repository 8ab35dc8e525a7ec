// The operations of the baseline on a GPU. The executor of the tests (tests/simt) compiles this file too, so
// it launches kernels with the helper of kernels/common.
#include "common/launch.hpp"

#include <cublas_v2.h>

#include <algorithm>
#include <vector>

#include "cublas.hpp"
#include "sequence.hpp"

namespace plasticity::bench::baseline {
namespace {

constexpr unsigned most_threads = 256, most_rows = 65535;

/// Calls f(row, column). A block computes part of a row.
template <class F>
__global__ void __launch_bounds__(most_threads) each_kernel(Index rows, Index columns, F f) {
  const Index column = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= columns) return;
  for (Index row = blockIdx.y; row < rows; row += gridDim.y) f(row, column);
}

void check_blas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorCode::device_unavailable,
              std::string(what) + ": expected success, got " + cublasGetStatusString(status));
}

class Cublas {
 public:
  explicit Cublas(Index longest_sum) {
    check_blas(cublasCreate(&handle_), "cublasCreate");
    const std::vector<float> all(static_cast<std::size_t>(longest_sum), 1.0f);
    float* const ones = allocate(longest_sum);
    check(cudaMemcpy(ones, all.data(), all.size() * sizeof(float), cudaMemcpyHostToDevice));
    ones_ = ones;
  }
  ~Cublas() {
    for (void* each : memory_) cudaFree(each);
    cublasDestroy(handle_);
  }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  float* allocate(Index count) {
    void* data = nullptr;
    check(cudaMalloc(&data, static_cast<std::size_t>(std::max<Index>(count, 1)) * sizeof(float)));
    memory_.push_back(data);
    return static_cast<float*>(data);
  }

  template <class F>
  void each(Index rows, Index columns, F f) const {
    if (rows == 0 || columns == 0) return;
    const auto threads = static_cast<unsigned>(std::clamp<Index>((columns + 31) / 32 * 32, 32, most_threads));
    const auto across = static_cast<unsigned>((columns + threads - 1) / threads);
    const auto down = static_cast<unsigned>(std::min<Index>(rows, most_rows));
    launch(each_kernel<F>, {.grid = dim3(across, down), .block = threads}, rows, columns, f);
  }

  // cuBLAS is column-major: a row-major c = a b is cT = bT aT there.
  void product(Index m, Index n, Index k, const float* a, bool a_transposed, const float* b,
               bool b_transposed, float beta, float* c) const {
    const float one = 1;
    check_blas(cublasSgemm_64(handle_, b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                              a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, b,
                              b_transposed ? k : n, a, a_transposed ? m : k, &beta, c, n),
               "cublasSgemm");
  }

  void columns(Index B, Index P, Index N, const float* x, const float* m, float* s) const {
    batched(CUBLAS_OP_N, N, P, B, m, N, P * N, x, s);
  }
  void rows(Index B, Index P, Index N, const float* m, const float* v, float* s) const {
    batched(CUBLAS_OP_T, P, N, B, m, N, P * N, v, s);
  }
  void sum_rows(Index rows, Index columns, const float* a, float beta, float* s) const {
    product(1, columns, rows, ones_, false, a, false, beta, s);
  }

 private:
  /// s = op(m) v for each batch element, with `in` inputs and `out` outputs.
  void batched(cublasOperation_t operation, Index out, Index in, Index batch, const float* m, Index row,
               Index stride, const float* v, float* s) const {
    const auto small = [](Index value) { return static_cast<int>(value); };
    const float one = 1, zero = 0;
    check_blas(cublasSgemmStridedBatched(handle_, operation, CUBLAS_OP_N, small(out), 1, small(in), &one, m,
                                         small(row), stride, v, small(in), in, &zero, s, small(out), out,
                                         small(batch)),
               "cublasSgemmStridedBatched");
  }

  cublasHandle_t handle_ = nullptr;
  std::vector<void*> memory_;
  const float* ones_ = nullptr;
};

}  // namespace

struct CublasSequence::Implementation {
  Implementation(const Spec& spec, Index steps, Index batch)
      : operations(std::max({batch * spec.neurons, steps * batch, spec.neurons})),
        sequence(spec, steps, batch, operations) {}
  Cublas operations;
  Sequence<Cublas> sequence;
};

CublasSequence::CublasSequence(const Spec& spec, std::int64_t steps, std::int64_t batch)
    : implementation_(std::make_unique<Implementation>(spec, steps, batch)) {}
CublasSequence::~CublasSequence() = default;
void CublasSequence::forward(const ForwardArgs<float>& args) { implementation_->sequence.forward(args); }
void CublasSequence::backward(const BackwardArgs<float>& args) { implementation_->sequence.backward(args); }

}  // namespace plasticity::bench::baseline
