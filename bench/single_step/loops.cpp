#include "loops.hpp"

#include <cmath>

// Compiled with -O3 -march=native -ffast-math. The local `restrict` pointers are those of a careful user.
namespace plasticity::bench {

void run_loops(const LoopsNetwork& network, const float* u) {
  const std::int64_t N = network.N;
  const float* __restrict w = network.w;
  const float* __restrict alpha = network.alpha;
  float* __restrict hebb = network.hebb;
  float* __restrict y = network.y;
  float* __restrict current = network.current;
  const float eta = network.eta;
  for (std::int64_t j = 0; j < N; ++j) current[j] = u[j];
  for (std::int64_t i = 0; i < N; ++i) {
    const float x = y[i];
    for (std::int64_t j = 0; j < N; ++j)
      current[j] += x * (w[i * N + j] + alpha[i * N + j] * hebb[i * N + j]);
  }
  for (std::int64_t j = 0; j < N; ++j) current[j] = std::tanh(current[j]);
  for (std::int64_t i = 0; i < N; ++i) {
    const float x = y[i];
    for (std::int64_t j = 0; j < N; ++j) {
      hebb[i * N + j] = (1 - eta) * hebb[i * N + j] + eta * x * current[j];
    }
  }
  for (std::int64_t j = 0; j < N; ++j) y[j] = current[j];
}

float run_pass(const LoopsNetwork& network, bool reverse) {
  const std::int64_t N = network.N;
  const float* __restrict w = network.w;
  const float* __restrict alpha = network.alpha;
  float* __restrict hebb = network.hebb;
  const float kept = 1 - network.eta;
  float sum = 0;
  for (std::int64_t row = 0; row < N; ++row) {
    const std::int64_t first = (reverse ? N - 1 - row : row) * N;
    for (std::int64_t j = first; j < first + N; ++j) {
      hebb[j] = kept * hebb[j] + network.eta;
      sum += w[j] + alpha[j] * hebb[j];
    }
  }
  return sum;
}

}  // namespace plasticity::bench
