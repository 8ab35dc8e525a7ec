#include "cpu/threads/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace plasticity::cpu {
namespace {

TEST(ParallelFor, CallsEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    for (const std::int64_t count : {0, 1, 2, 3, 7, 100, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      std::atomic<bool> known_workers = true;
      parallel_for(threads, count, [&](std::int64_t index, int worker) {
        ++calls[static_cast<std::size_t>(index)];
        if (worker < 0 || worker >= threads) known_workers = false;
      });
      for (const std::atomic<int>& each : calls) ASSERT_EQ(each, 1) << threads << " threads, " << count;
      EXPECT_TRUE(known_workers);
    }
  }
}

// Data of a worker is used by one thread at a time, and all work is done when the call returns.
TEST(ParallelFor, WorkersDoNotShareData) {
  constexpr int threads = 4;
  for (int repeat = 0; repeat < 200; ++repeat) {
    std::int64_t sums[threads] = {};  // not atomic: each belongs to one worker
    parallel_for(threads, 64, [&](std::int64_t index, int worker) { sums[worker] += index; });
    ASSERT_EQ(sums[0] + sums[1] + sums[2] + sums[3], 64 * 63 / 2);
  }
}

TEST(ParallelFor, SeveralCallersAtOnce) {
  std::vector<std::thread> callers;
  std::atomic<int> right = 0;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&right, caller] {
      for (int repeat = 0; repeat < 100; ++repeat) {
        std::atomic<std::int64_t> sum = 0;
        parallel_for(1 + caller, 50, [&](std::int64_t index, int) { sum += index + caller; });
        right += sum == 50 * 49 / 2 + 50 * caller;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 400);
}

// A nested call does all its work, on the calling thread alone if no helper is free.
TEST(ParallelFor, NestedCalls) {
  std::atomic<int> calls = 0;
  parallel_for(3, 6, [&](std::int64_t, int) { parallel_for(3, 5, [&](std::int64_t, int) { ++calls; }); });
  EXPECT_EQ(calls, 30);
}

// An exception of any thread reaches the caller after all other bodies have run.
TEST(ParallelFor, ExceptionsReachTheCaller) {
  for (const int threads : {1, 2, 4}) {
    for (const std::int64_t thrower : {0, 7, 63}) {
      std::atomic<int> calls = 0;
      try {
        parallel_for(threads, 64, [&](std::int64_t index, int) {
          ++calls;
          if (index == thrower) throw std::runtime_error("body " + std::to_string(index));
        });
        ADD_FAILURE() << "nothing was thrown";
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), "body " + std::to_string(thrower));
      }
      EXPECT_EQ(calls, threads == 1 ? thrower + 1 : 64);
    }
  }
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// If the system cannot create a thread, the caller does all the work.
TEST(ParallelForDeathTest, WorksIfNoThreadCanBeCreated) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto work = [] {
    std::int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const auto bytes = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE) + (1 << 20));
    const rlimit limit{bytes, bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0) std::exit(2);
    std::atomic<std::int64_t> sum = 0;
    parallel_for(64, 1000, [&](std::int64_t index, int) { sum += index; });
    std::exit(sum == 999 * 1000 / 2 ? 0 : 1);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace plasticity::cpu
