// Blocks that synchronize with each other: the whole grid, clusters.
#include <cuda_runtime_api.h>

#include <numeric>

#include "plasticity/error.hpp"
#include "simt/samples/samples.hpp"
#include "simt/testing.hpp"

namespace simt {
namespace {

TEST(Grid, PersistentRnn) {
  const int N = 35, T = 4, blocks = 3;
  const auto w = random_values(N * N, 9, 0.3f), start = random_values(N, 10);
  std::vector<double> h(start.begin(), start.end());
  for (int t = 0; t < T; ++t) {
    const auto before = h;
    for (std::size_t i = 0; i < N; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < N; ++j) sum += w[i * N + j] * before[j];
      h[i] = std::tanh(sum);
    }
  }
  expect_good(try_schedules(many, [&] {
    std::vector<float> both(2 * N, nan);
    std::copy(start.begin(), start.end(), both.begin());
    samples::persistent_rnn(w.data(), both.data(), N, T, blocks, nullptr);
    cudaDeviceSynchronize();
    return all_close(both, h, 1e-5);  // T is even: the first half
  }));
}

TEST(Grid, ACooperativeLaunchMustFit) {
  float x[4] = {};
  EXPECT_THROW(run([&] { samples::persistent_rnn(x, x, 1, 1, 132 * 32 + 1, nullptr); }), Error);
}

TEST(Cluster, SumThroughDistributedSharedMemory) {
  const int per_block = 100;
  const auto x = random_values(8 * per_block, 3);
  for (int cluster : {1, 2, 4, 8}) {
    expect_good(try_schedules(many / 2, [&] {
      std::vector<float> out(std::size_t(8 / cluster), nan);
      // ThreadSanitizer bears 224 threads at a time: a cluster of 2 is its largest here.
      samples::cluster_sums(x.data(), out.data(), per_block, 8, cluster, nullptr);
      cudaDeviceSynchronize();
      for (std::size_t c = 0; c < out.size(); ++c) {
        const auto begin = x.begin() + std::ptrdiff_t(c) * cluster * per_block;
        if (!close(out[c], std::accumulate(begin, begin + cluster * per_block, 0.0), 1e-4)) return false;
      }
      return true;
    }));
#if defined(__SANITIZE_THREAD__)
    if (cluster == 2) break;
#endif
  }
}

TEST(Cluster, NeighboursAndSplitBarrier) {
  expect_good(try_schedules(many, [&] {
    std::vector<int> out(6 * 4, -1);
    samples::cluster_neighbours(out.data(), 6, 3);
    cudaDeviceSynchronize();
    for (int block = 0; block < 6; ++block) {
      const int rank = block % 3, left = block - rank + (rank + 2) % 3, *got = &out[std::size_t(4 * block)];
      if (got[0] != rank || got[1] != rank + 30 || got[2] != left * 100 + 15 || got[3] != 48) return false;
    }
    return true;
  }));
}

/// The sum that each of `count` blocks receives in samples::transactions().
float received(int count, int steps) {
  return static_cast<float>(count * (count + 1) / 2 * steps * (steps + 1) / 2);
}

TEST(Cluster, AsynchronousStores) {
  for (const int cluster : {2, 3}) {
    expect_good(try_schedules(many, [&] {
      std::vector<float> out(6, nan);
      samples::transactions(out.data(), 6, cluster, 7);
      cudaDeviceSynchronize();
      return out == std::vector<float>(6, received(cluster, 7));
    }));
  }
}

TEST(Grid, TaggedValues) {
  expect_good(try_schedules(many, [&] {
    std::vector<float> out(3, nan);
    std::vector<unsigned long long> exchange(6, ~0ull);
    samples::tagged_values(out.data(), exchange.data(), 3, 7);
    cudaDeviceSynchronize();
    return out == std::vector<float>(3, received(3, 7));
  }));
}

TEST(Cluster, LimitsOfSize) {
  int out[64];
  EXPECT_NO_THROW(run([&] { samples::cluster_neighbours(out, 16, 16); }));  // over 8: launch() asks for it
  EXPECT_THROW(run([&] { samples::cluster_neighbours(out, 17, 17); }), Error);
  EXPECT_THROW(run([&] { samples::cluster_neighbours(out, 6, 4); }), Error);
}

}  // namespace
}  // namespace simt
