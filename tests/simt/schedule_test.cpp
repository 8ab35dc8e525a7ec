// Schedules: replayed by their seed, different by order; one block of a huge problem.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <set>

#include "simt/runtime.hpp"
#include "simt/samples/samples.hpp"
#include "simt/sparse_memory.hpp"
#include "simt/testing.hpp"

namespace simt {
namespace {

using samples::Misuse;

/// The result of a racy kernel: a fingerprint of its schedule.
std::vector<int> fingerprint(Order order, std::uint64_t seed) {
  const KeepConfig keep;
  config().order = order;
  config().seed = seed;
  std::vector<int> out(6 * 256, 0);
  run([&] { samples::misuse(Misuse::no_syncwarp, out.data(), 256); });
  out.resize(256);
  return out;
}

TEST(Schedule, TheSameSeedGivesTheSame) {
  for (Order order : {Order::random, Order::priority})
    for (std::uint64_t seed : {1, 2, 3}) EXPECT_EQ(fingerprint(order, seed), fingerprint(order, seed));
}

TEST(Schedule, OrdersAndSeedsDiffer) {
  const std::set<std::vector<int>> all = {fingerprint(Order::forward, 1), fingerprint(Order::reverse, 1),
                                          fingerprint(Order::random, 1), fingerprint(Order::random, 2),
                                          fingerprint(Order::priority, 1)};
  EXPECT_GE(all.size(), 4u);
}

TEST(Schedule, AFailureIsReplayedFromTheEnvironment) {
  std::vector<int> first;
  const auto record = [&] {
    std::vector<int> out(6 * 256, 0);
    samples::misuse(Misuse::no_syncwarp, out.data(), 256);
    cudaDeviceSynchronize();
    out.resize(256);
    first = out;
    return true;
  };
  const KeepConfig keep;
  setenv("SIMT_SEED", "3", 1);
  config().order = Order::priority;  // as the environment would have set it at the start
  config().seed = 3;
  const Outcome outcome = try_schedules(5, record);
  unsetenv("SIMT_SEED");
  EXPECT_EQ(outcome.runs, 1);
  EXPECT_EQ(first, fingerprint(Order::priority, 3));
}

TEST(Schedule, AThrowingBodyIsAFailure) {
  const Outcome outcome = try_schedules(1, []() -> bool { throw std::runtime_error("no luck"); });
  EXPECT_EQ(outcome.failures, 3);
  EXPECT_EQ(outcome.first_failure.find("no luck"), 0u);
  EXPECT_THROW(run([] { throw std::runtime_error("no luck"); }), Error);
}

TEST(Schedule, StatsCount) {
  std::vector<int> out(3 * 64);
  reset_stats();
  run([&] { samples::block_votes(out.data(), 64, 3); });
  EXPECT_EQ(stats().launches, 1u);
  EXPECT_EQ(stats().threads, 64u);
  EXPECT_EQ(stats().barriers, 3u);
  EXPECT_GE(stats().switches, 64u * 4);
}

TEST(Schedule, OffsetsBeyond32Bits) {  // 65536 x 65536: 16 GiB per matrix, of which the last rows are touched
  constexpr std::size_t N = 65536;
  SparseArray<float> w(N * N), alpha(N * N), h(N * N), h_out(N * N), x(N), bias(N), y(N);
  w[N * N - 1] = 1;
  alpha[N * N - 1] = 2;
  h[N * N - 1] = 0.25f;
  x[N - 1] = 0.5f;
  const KeepConfig keep;
  config().only_block = [](uint3 block) { return block.x == N / 2 - 1; };
  run([&] {
    samples::trace_step<float>(
        {w.data(), alpha.data(), h.data(), h_out.data(), x.data(), bias.data(), y.data(), int(N), 1, 0.1f},
        1024, nullptr);
  });
  const float expected = std::tanh((1 + 2 * 0.25f) * 0.5f);
  EXPECT_NEAR(y[N - 1], expected, 1e-6);
  EXPECT_NEAR(h_out[N * N - 1], 0.9f * 0.25f + 0.1f * expected * 0.5f, 1e-6);
  EXPECT_EQ(y[0], 0);
}

TEST(Schedule, OneBlockOfMillions) {
  constexpr long long n = (1ll << 31) + 1000;
  constexpr int per_block = 1024;
  SparseArray<float> y(n);
  const KeepConfig keep;
  config().only_block = [](uint3 block) { return block.x == n / per_block; };
  run([&] { samples::write_last(y.data(), n, per_block); });
  EXPECT_EQ(y[n - 1], float(n / per_block % 1000));
  EXPECT_EQ(y[0], 0);
}

}  // namespace
}  // namespace simt
