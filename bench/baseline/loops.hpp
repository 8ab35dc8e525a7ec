#pragma once

#include <algorithm>
#include <vector>

#include "sequence.hpp"

namespace plasticity::bench::baseline {

/// The operations as plain loops, with OpenMP if the compiler has it.
class Loops {
 public:
  explicit Loops(int threads) : threads_(threads) {}

  float* allocate(Index count) { return memory_.emplace_back(static_cast<std::size_t>(count)).data(); }

  template <class F>
  void each(Index rows, Index columns, F f) const {
    if (rows == 1) {  // parallel within a long row
#pragma omp parallel for num_threads(threads_) if (columns >= worth_sharing)
      for (Index j = 0; j < columns; ++j) f(0, j);
      return;
    }
#pragma omp parallel for num_threads(threads_) if (rows * columns >= worth_sharing)
    for (Index row = 0; row < rows; ++row)
      for (Index j = 0; j < columns; ++j) f(row, j);
  }

  void product(Index m, Index n, Index k, const float* a, bool a_transposed, const float* b,
               bool b_transposed, float beta, float* c) const {
    const Index a_row = a_transposed ? 1 : k, a_column = a_transposed ? m : 1;
#pragma omp parallel for num_threads(threads_) if (m * n * k >= worth_sharing)
    for (Index i = 0; i < m; ++i) {
      float* const row = c + i * n;
      for (Index j = 0; j < n; ++j) row[j] *= beta;
      if (b_transposed) {
        for (Index j = 0; j < n; ++j) {
          float sum = 0;
#pragma omp simd reduction(+ : sum)
          for (Index l = 0; l < k; ++l) sum += a[i * a_row + l * a_column] * b[j * k + l];
          row[j] += sum;
        }
      } else {
        for (Index l = 0; l < k; ++l) {
          const float factor = a[i * a_row + l * a_column];
          for (Index j = 0; j < n; ++j) row[j] += factor * b[l * n + j];
        }
      }
    }
  }

  void columns(Index B, Index P, Index N, const float* x, const float* m, float* s) const {
#pragma omp parallel for num_threads(threads_) if (B * P * N >= worth_sharing)
    for (Index b = 0; b < B; ++b) {
      float* const sum = s + b * N;
      std::fill_n(sum, N, 0.0f);
      for (Index i = 0; i < P; ++i) {
        const float* const row = m + (b * P + i) * N;
        const float factor = x[b * P + i];
        for (Index j = 0; j < N; ++j) sum[j] += factor * row[j];
      }
    }
  }

  void rows(Index B, Index P, Index N, const float* m, const float* v, float* s) const {
#pragma omp parallel for num_threads(threads_) if (B * P * N >= worth_sharing)
    for (Index row = 0; row < B * P; ++row) {
      const float *const entries = m + row * N, *const factors = v + row / P * N;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (Index j = 0; j < N; ++j) sum += entries[j] * factors[j];
      s[row] = sum;
    }
  }

  void sum_rows(Index rows, Index columns, const float* a, float beta, float* s) const {
    constexpr Index block = 1024;
#pragma omp parallel for num_threads(threads_) if (rows * columns >= worth_sharing)
    for (Index first = 0; first < columns; first += block) {
      const Index end = std::min(columns, first + block);
      for (Index j = first; j < end; ++j) s[j] *= beta;
      for (Index row = 0; row < rows; ++row)
        for (Index j = first; j < end; ++j) s[j] += a[row * columns + j];
    }
  }

 private:
  static constexpr Index worth_sharing = 16384;
  int threads_;
  std::vector<std::vector<float>> memory_;
};

}  // namespace plasticity::bench::baseline
