// Kernels of one block at a time: shared memory, barriers, votes, cp.async, 16-byte packs.
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <numeric>

#include "simt/samples/samples.hpp"
#include "simt/testing.hpp"

namespace simt {
namespace {

TEST(Block, SumsAnySize) {
  for (int n : {0, 1, 3, 4, 5, 31, 127, 128, 511, 512, 513, 4099}) {
    const auto x = random_values(std::size_t(n) + 4, unsigned(n));
    const double expected = std::accumulate(x.begin(), x.begin() + n, 0.0);
    expect_good(try_schedules(2, [&] {
      std::vector<float> part(3, nan);
      samples::block_sums(x.data(), part.data(), n, 3, nullptr);
      cudaDeviceSynchronize();
      return close(double(part[0]) + part[1] + part[2], expected, 1e-4);
    }));
  }
}

template <class T>
void check_trace_step(int N, int B, int tile, double tolerance) {
  const auto sN = std::size_t(N), sB = std::size_t(B);
  const auto w = random_values(sN * sN, 1, 0.3f), alpha = random_values(sN * sN, 2, 0.1f),
             x = random_values(sB * sN, 3);
  const auto bias = random_values(sN, 4), h_values = random_values(sB * sN * sN, 5, 0.5f);
  const std::vector<T> h(h_values.begin(), h_values.end());
  const float eta = 0.1f;
  std::vector<double> y(sB * sN), h_out(h.size());
  for (std::size_t b = 0; b < sB; ++b) {
    for (std::size_t i = 0; i < sN; ++i) {
      double sum = bias[i];
      for (std::size_t j = 0; j < sN; ++j)
        sum += (w[i * sN + j] + double(alpha[i * sN + j]) * float(h[(b * sN + i) * sN + j])) * x[b * sN + j];
      y[b * sN + i] = std::tanh(sum);
      for (std::size_t j = 0; j < sN; ++j)
        h_out[(b * sN + i) * sN + j] =
            (1 - eta) * double(float(h[(b * sN + i) * sN + j])) + eta * y[b * sN + i] * x[b * sN + j];
    }
  }
  std::vector<float> first_y;
  expect_good(try_schedules(many, [&] {
    std::vector<float> got_y(y.size(), nan);
    std::vector<T> got_h(h.size(), T(nan));
    samples::trace_step<T>(
        {w.data(), alpha.data(), h.data(), got_h.data(), x.data(), bias.data(), got_y.data(), N, B, eta},
        tile, nullptr);
    cudaDeviceSynchronize();
    if (first_y.empty()) first_y = got_y;
    const bool same_bits = std::memcmp(first_y.data(), got_y.data(), got_y.size() * sizeof(float)) == 0;
    return same_bits && all_close(got_y, y, 1e-5) && all_close(got_h, h_out, tolerance);
  }));
}

TEST(Block, TraceStep) {
  for (int N : {4, 36, 64}) check_trace_step<float>(N, 2, 32, 2e-6);
}
TEST(Block, TraceStepInBfloat16) { check_trace_step<__nv_bfloat16>(68, 2, 32, 4e-3); }

TEST(Block, TraceAdjoint) {
  const int N = 37;
  const auto g = random_values(N * N, 1), x = random_values(N, 2), y = random_values(N, 3);
  const float eta = 0.2f;
  std::vector<double> dh(N * N), dx(N), dy(N);
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < N; ++j) {
      const auto at = std::size_t(i * N + j);
      dh[at] = (1 - eta) * g[at];
      dx[std::size_t(j)] += eta * double(g[at]) * y[std::size_t(i)];
      dy[std::size_t(i)] += eta * double(g[at]) * x[std::size_t(j)];
    }
  }
  expect_good(try_schedules(many, [&] {
    std::vector<float> got_dh(N * N, nan), got_dx(N, nan), got_dy(N, nan);
    samples::trace_adjoint(
        {g.data(), x.data(), y.data(), got_dh.data(), got_dx.data(), got_dy.data(), N, eta}, nullptr);
    cudaDeviceSynchronize();
    return all_close(got_dh, dh, 1e-6) && all_close(got_dx, dx, 1e-5) && all_close(got_dy, dy, 1e-5);
  }));
}

TEST(Block, Votes) {
  const int threads = 70;
  for (int limit : {0, 1, 33, 70}) {
    expect_good(try_schedules(2, [&] {
      std::vector<int> out(3 * threads, -1);
      samples::block_votes(out.data(), threads, limit);
      cudaDeviceSynchronize();
      for (std::size_t t = 0; t < threads; ++t)
        if (out[3 * t] != limit || out[3 * t + 1] != (limit == threads) || out[3 * t + 2] != (limit > 0))
          return false;
      return true;
    }));
  }
}

TEST(Block, SharedMemoryStartsAsNan) {
  std::vector<float> out(12);
  std::vector<int> dims(6);
  run([&] {
    samples::first_sight(out.data(), dims.data(), 64 * 1024);
  });  // over 48 KiB: launch() asks for it
  for (float x : out) EXPECT_TRUE(std::isnan(x));
  for (int d : dims) EXPECT_EQ(d, 4 + 30 + 200 + 2000 + 30000);
}

TEST(Block, PacksOfBfloat16) {
  const int n = 264;
  auto x = random_values(n, 1, 100);
  x[7] = std::numeric_limits<float>::infinity();
  x[8] = nan;
  std::vector<__nv_bfloat16> out(n);
  run([&] { samples::round_to_bf16(x.data(), out.data(), n); });
  for (std::size_t i = 0; i < std::size_t(n); ++i) {
    if (std::isnan(x[i]))
      EXPECT_TRUE(std::isnan(float(out[i])));
    else
      EXPECT_EQ(float(out[i]), float(__float2bfloat16(x[i])));
  }
  EXPECT_NE(float(out[0]), x[0]);
  EXPECT_NEAR(float(out[0]), x[0], std::abs(x[0]) / 256);
}

TEST(Block, PipelineCopies) {
  std::vector<int> in(12);
  std::iota(in.begin(), in.end(), 100);
  expect_good(try_schedules(many, [&] {
    std::vector<int> out(12, -7);
    samples::pipeline(in.data(), out.data());
    cudaDeviceSynchronize();
    return out == std::vector<int>{100, -7, -7, -7, 104, 105, -1, -1, 108, 109, 0, 0};
  }));
}

}  // namespace
}  // namespace simt
