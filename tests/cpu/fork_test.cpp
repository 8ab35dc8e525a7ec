// parallel_for() in a child process: fork() copies the pool of threads, but not the threads.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "cpu/threads/parallel.hpp"

namespace plasticity::cpu {
namespace {

/// Whether two threads work on a call at the same time: each body waits until the other has begun, or gives
/// up after ten seconds.
bool two_threads_work() {
  std::atomic<int> begun{0};
  std::atomic<bool> both{true};
  parallel_for(2, 2, [&](std::int64_t, int) {
    ++begun;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (begun < 2) {
      if (std::chrono::steady_clock::now() > limit) {
        both = false;
        return;
      }
      std::this_thread::yield();
    }
  });
  return both;
}

/// Runs `child` in a forked process, which ends with std::exit(child()). Returns its exit code, or -1 if it
/// does not end within 30 seconds.
template <class Child>
int exit_code_of_child(Child child) {
  const pid_t process = fork();
  if (process == 0) std::exit(child());
  int status = 0;
  for (int wait = 0; wait < 3000; ++wait) {
    if (waitpid(process, &status, WNOHANG) == process) return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(process, SIGKILL);
  waitpid(process, &status, 0);
  return -1;
}

// ThreadSanitizer's runtime ends a child of a program with threads when the child starts threads.
#if defined(__SANITIZE_THREAD__)
constexpr bool child_may_start_threads = false;
#else
constexpr bool child_may_start_threads = true;
#endif

TEST(Fork, AChildThatDoesNothingExits) {
  ASSERT_TRUE(two_threads_work());
  EXPECT_EQ(exit_code_of_child([] { return 7; }), 7);
}

TEST(Fork, AChildHasThreadsOfItsOwn) {
  if (!child_may_start_threads) GTEST_SKIP() << "ThreadSanitizer does not support this";
  ASSERT_TRUE(two_threads_work());
  EXPECT_EQ(exit_code_of_child([] { return two_threads_work() ? 7 : 8; }), 7);
  EXPECT_TRUE(two_threads_work());  // the parent's pool still works
}

TEST(Fork, AGrandchildHasThreadsOfItsOwn) {
  if (!child_may_start_threads) GTEST_SKIP() << "ThreadSanitizer does not support this";
  ASSERT_TRUE(two_threads_work());
  EXPECT_EQ(exit_code_of_child([] {
              const bool child = two_threads_work();
              const int grandchild = exit_code_of_child([] { return two_threads_work() ? 7 : 8; });
              return child ? grandchild : 9;
            }),
            7);
}

TEST(Fork, AChildOfAParentWithoutAPoolHasThreads) {
  if (!child_may_start_threads) GTEST_SKIP() << "ThreadSanitizer does not support this";
  // This process may have a pool from other tests, so the child of a child that has never used one is tested.
  EXPECT_EQ(exit_code_of_child([] { return exit_code_of_child([] { return two_threads_work() ? 7 : 8; }); }),
            7);
}

}  // namespace
}  // namespace plasticity::cpu
