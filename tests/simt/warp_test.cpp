// Votes, shuffles, reductions, tiles and atomics, compared with the results in the CUDA guide.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <bit>

#include "simt/samples/samples.hpp"
#include "simt/testing.hpp"

namespace simt {
namespace {

TEST(Warp, Operations) {
  const int threads = 64;
  expect_good(try_schedules(many, [&] {
    std::vector<int> out(8 * threads, -99);
    samples::warp_operations(out.data(), threads);
    cudaDeviceSynchronize();
    for (int t = 0; t < threads; ++t) {
      const int lane = t % 32, *got = &out[std::size_t(8 * t)];
      if (got[0] != (lane / 8 * 8 + (lane + 1) % 8) * 10) return false;
      if (got[1] != (lane % 16 < 3 ? lane : lane - 3)) return false;
      if (got[2] != (lane + 3 > 31 ? lane : lane + 3)) return false;
      if (got[3] != 0x49249249) return false;
      if (got[4] != 1 + 4) return false;
      unsigned equal = 0;
      for (int k = 0; k < 32; ++k) equal |= unsigned(k / 5 == lane / 5) << k;
      if (got[5] != int(equal)) return false;
      if (got[6] != 31 * 16 + 1000 * -9 + 40) return false;
      if (got[7] != (lane < 12 ? 5 : -1)) return false;
    }
    return true;
  }));
}

TEST(Warp, TileOperations) {
  const int threads = 48;  // the second warp is half there
  expect_good(try_schedules(many, [&] {
    std::vector<int> out(6 * threads, -99);
    samples::tile_operations(out.data(), threads);
    cudaDeviceSynchronize();
    for (int t = 0; t < threads; ++t) {
      const int rank = t % 8, *got = &out[std::size_t(6 * t)];
      if (got[0] != 0xaa || got[1] != t / 8 || got[2] != 300) return false;
      if (got[3] != (rank ^ 1) + 10 * (rank < 2 ? rank : rank - 2)) return false;
      if (got[4] != 1 || got[5] != threads + 8 + threads / 8) return false;
    }
    return true;
  }));
}

TEST(Warp, ExchangeThroughSharedMemory) {
  std::vector<int> in(128);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = int(i);
  expect_good(try_schedules(many, [&] {
    std::vector<int> out(128, -1);
    samples::warp_exchange(in.data(), out.data(), 128);
    cudaDeviceSynchronize();
    for (std::size_t i = 0; i < out.size(); ++i)
      if (out[i] != int(i ^ 5)) return false;
    return true;
  }));
}

TEST(Atomics, EachKind) {
  const int blocks = 3, threads = 40, all = blocks * threads;
  expect_good(try_schedules(many, [&] {
    std::vector<int> out = {0, 0, 999, 0, 5, 0, -1, 0, 0};
    samples::atomics(out.data(), blocks, threads);
    cudaDeviceSynchronize();
    const std::vector<int> expected = {
        all, all - 1, 0, 0xffff, 5 + 2 * all, -all, -1 & ~0xffff, all % 2, std::bit_cast<int>(0.5f * all)};
    return out == expected;
  }));
}

TEST(Atomics, TheLastBlockAddsTheParts) {
  const auto x = random_values(500, 3);
  double expected = 0;
  for (float v : x) expected += v;
  expect_good(try_schedules(many, [&] {
    std::vector<float> part(7, nan);
    unsigned ticket = 0;
    float sum = nan;
    samples::last_block_sum(x.data(), part.data(), &ticket, &sum, 500, 7, nullptr);
    cudaDeviceSynchronize();
    return close(sum, expected, 1e-4);
  }));
}

TEST(Atomics, AFlagBetweenBlocks) {
  expect_good(try_schedules(many, [&] {
    unsigned flag = 0;
    int out[2] = {0, 0};
    samples::flag_between_blocks(&flag, out);
    cudaDeviceSynchronize();
    return out[1] == 42;
  }));
}

}  // namespace
}  // namespace simt
