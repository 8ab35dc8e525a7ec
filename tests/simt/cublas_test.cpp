// The fake cuBLAS against a naive product.
#include <cublas_v2.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <vector>

#include "common/check.hpp"
#include "simt/runtime.hpp"
#include "simt/testing.hpp"

namespace simt::runtime {
namespace {

using plasticity::check;

class Cublas : public ::testing::Test {
 protected:
  void SetUp() override {
    reset();
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    ASSERT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasSetStream(handle, stream), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasSetMathMode(handle, CUBLAS_PEDANTIC_MATH), CUBLAS_STATUS_SUCCESS);
  }
  void TearDown() override {
    reset();
    EXPECT_EQ(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS);
    check(cudaStreamDestroy(stream));
    EXPECT_EQ(live(), Live{});
  }
  cudaStream_t stream = nullptr;
  cublasHandle_t handle = nullptr;
};

TEST_F(Cublas, SgemmTransposedAndBatched) {
  const int m = 3, n = 4, k = 5, lda = 7, ldb = 6, ldc = 4, batch = 2;
  const auto a = random_values(7 * 7 * batch, 1), b = random_values(7 * 6 * batch, 2);
  for (auto ta : {CUBLAS_OP_N, CUBLAS_OP_T}) {
    for (auto tb : {CUBLAS_OP_N, CUBLAS_OP_T}) {
      const auto before = random_values(ldc * n * batch, 3);
      auto c = before;
      const float alpha = 2, beta = 0.5f;
      ASSERT_EQ(cublasSgemmStridedBatched(handle, ta, tb, m, n, k, &alpha, a.data(), lda, 49, b.data(), ldb,
                                          42, &beta, c.data(), ldc, ldc * n, batch),
                CUBLAS_STATUS_SUCCESS);
      EXPECT_EQ(c, before);  // work on a stream
      check(cudaStreamSynchronize(stream));
      for (int i = 0; i < batch; ++i) {
        for (int col = 0; col < n; ++col) {
          for (int row = 0; row < m; ++row) {
            double sum = 0;
            for (int j = 0; j < k; ++j)
              sum += double(a[std::size_t(49 * i + (ta == CUBLAS_OP_N ? row + j * lda : j + row * lda))]) *
                     b[std::size_t(42 * i + (tb == CUBLAS_OP_N ? j + col * ldb : col + j * ldb))];
            const auto at = std::size_t(i * ldc * n + row + col * ldc);
            EXPECT_NEAR(c[at], 2 * sum + 0.5 * before[at], 1e-5);
          }
          EXPECT_EQ(c[std::size_t(i * ldc * n + 3 + col * ldc)],
                    before[std::size_t(i * ldc * n + 3 + col * ldc)]);
        }
      }
    }
  }
}

TEST_F(Cublas, BetaZeroDoesNotReadTheResult) {
  const float a = 3, b = 4, one = 1, zero = 0;
  float c = nan;
  ASSERT_EQ(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, &a, 1, &b, 1, &zero, &c, 1),
            CUBLAS_STATUS_SUCCESS);
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(c, 12);
  c = 5;
  ASSERT_EQ(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 0, &one, &a, 1, &b, 1, &zero, &c, 1),
            CUBLAS_STATUS_SUCCESS);
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(c, 0);
}

TEST_F(Cublas, ScalarsAreReadAtTheCall) {
  const float a = 3, b = 4;
  float alpha = 1, beta = 0, c = nan;
  ASSERT_EQ(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &alpha, &a, 1, &b, 1, &beta, &c, 1),
            CUBLAS_STATUS_SUCCESS);
  alpha = 10;
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(c, 12);
}

TEST_F(Cublas, Refusals) {
  float x[4] = {}, one = 1;
  EXPECT_EQ(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 1, 1, &one, x, 1, x, 1, &one, x, 2),
            CUBLAS_STATUS_INVALID_VALUE);  // lda < m
  EXPECT_EQ(cublasSetWorkspace(handle, x, sizeof x), CUBLAS_STATUS_INVALID_VALUE);
  void* workspace = nullptr;
  check(cudaMalloc(&workspace, 1024));
  EXPECT_EQ(cublasSetWorkspace(handle, workspace, 1024), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasSetWorkspace(handle, workspace, 1025), CUBLAS_STATUS_INVALID_VALUE);
  check(cudaFree(workspace));
  cublasHandle_t other = nullptr;
  fail_acquisition(0);
  EXPECT_EQ(cublasCreate(&other), CUBLAS_STATUS_ALLOC_FAILED);
}

TEST_F(Cublas, InAGraph) {
  const float a = 3, b = 4, one = 1;
  float c = 0;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  ASSERT_EQ(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, &a, 1, &b, 1, &one, &c, 1),
            CUBLAS_STATUS_SUCCESS);
  check(cudaStreamEndCapture(stream, &graph));
  check(cudaGraphInstantiate(&executable, graph, 0));
  for (int i = 0; i < 3; ++i) check(cudaGraphLaunch(executable, stream));
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(c, 36);
  check(cudaGraphExecDestroy(executable));
  check(cudaGraphDestroy(graph));
}

// As the real one, which waits for the device: it breaks the captures of all threads.
TEST_F(Cublas, NoHandleIsMadeOrDestroyedInACapture) {
  cudaGraph_t graph = nullptr;
  cublasHandle_t other = nullptr;
  for (const cudaStreamCaptureMode mode :
       {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeRelaxed}) {
    check(cudaStreamBeginCapture(stream, mode));
    EXPECT_EQ(cublasCreate(&other), CUBLAS_STATUS_NOT_INITIALIZED);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    ASSERT_EQ(cublasCreate(&other), CUBLAS_STATUS_SUCCESS);
    check(cudaStreamBeginCapture(stream, mode));
    std::thread([&] { EXPECT_EQ(cublasDestroy(other), CUBLAS_STATUS_SUCCESS); }).join();
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  }
  ASSERT_EQ(cublasCreate(&other), CUBLAS_STATUS_SUCCESS);
  const auto before = calls().synchronisations;
  EXPECT_EQ(cublasDestroy(other), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(calls().synchronisations, before + 1);
  EXPECT_EQ(cublasDestroy(other), CUBLAS_STATUS_NOT_INITIALIZED);
  cudaGetLastError();
}

TEST_F(Cublas, ADestroyedHandleIsRejected) {
  cublasHandle_t other = nullptr;
  ASSERT_EQ(cublasCreate(&other), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasDestroy(other), CUBLAS_STATUS_SUCCESS);
  float x = 1;
  EXPECT_EQ(cublasSgemm(other, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &x, &x, 1, &x, 1, &x, &x, 1),
            CUBLAS_STATUS_NOT_INITIALIZED);
  EXPECT_EQ(cublasSetWorkspace(other, nullptr, 0), CUBLAS_STATUS_NOT_INITIALIZED);
  EXPECT_EQ(live().blas_handles, 1u);
}

TEST_F(Cublas, AHandleOfADestroyedStreamIsUseless) {
  cudaStream_t other = nullptr;
  check(cudaStreamCreate(&other));
  ASSERT_EQ(cublasSetStream(handle, other), CUBLAS_STATUS_SUCCESS);
  check(cudaStreamDestroy(other));
  const float a = 3, b = 4, one = 1;
  float c = 0;
  EXPECT_EQ(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, &a, 1, &b, 1, &one, &c, 1),
            CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_EQ(cublasSetStream(handle, stream), CUBLAS_STATUS_EXECUTION_FAILED);
}

}  // namespace
}  // namespace simt::runtime
