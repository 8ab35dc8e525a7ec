// Built with ThreadSanitizer: races in shared and in global memory that values may hide.
#include <cuda_runtime_api.h>

#include <atomic>
#include <thread>

#include "simt/runtime.hpp"
#include "simt/samples/samples.hpp"
#include "simt/testing.hpp"

// TSan asks; the tests count races themselves.
extern "C" const char* __tsan_default_options() { return "exitcode=0"; }

namespace simt {
namespace {

using samples::Misuse;

constexpr int n = 128;

void expect_race(Misuse which) {
  const int before = races();
  const Outcome outcome = try_schedules(2, [&] {
    std::vector<int> out(6 * n, 0);
    samples::misuse(which, out.data(), n);
    return cudaDeviceSynchronize() == cudaSuccess;
  });
  EXPECT_GT(outcome.failures, 0);
  EXPECT_GT(races(), before);
}

TEST(Race, NoBarrier) { expect_race(Misuse::no_barrier); }
TEST(Race, NoSyncwarp) { expect_race(Misuse::no_syncwarp); }
TEST(Race, NoReuseBarrier) { expect_race(Misuse::no_reuse_barrier); }
TEST(Race, NoGridSync) { expect_race(Misuse::no_grid_sync); }
TEST(Race, NoClusterSync) { expect_race(Misuse::no_cluster_sync); }
// No schedule shows this one: memory is sequentially consistent.
TEST(Race, NoFence) { expect_race(Misuse::no_fence); }

/// Two threads write one variable, the second after a call of the runtime that follows one of the first's.
int races_of_two_threads(bool hidden) {
  const int before = races();
  runtime::hide_lock(hidden);
  int shared = 0, device = 0, other_device = 0;
  std::atomic<bool> written = false;
  std::thread first([&] {
    shared = 1;
    cudaGetDevice(&device);
    written.store(true, std::memory_order_relaxed);  // orders nothing
  });
  std::thread second([&] {
    while (!written.load(std::memory_order_relaxed)) std::this_thread::yield();
    cudaGetDevice(&other_device);
    shared = 2;
  });
  first.join();
  second.join();
  runtime::hide_lock(false);
  return races() - before;
}

// The runtime's lock orders the two, unless it is hidden.
TEST(Race, OfHostThreads) {
  EXPECT_EQ(races_of_two_threads(false), 0);
  EXPECT_EQ(races_of_two_threads(true), 1);
}

TEST(Race, NoneWhereThereIsNone) {
  const int before = races();
  std::vector<int> in(128, 1), out(128);
  run([&] { samples::warp_exchange(in.data(), out.data(), 128); });
  EXPECT_EQ(races(), before);
}

}  // namespace
}  // namespace simt
