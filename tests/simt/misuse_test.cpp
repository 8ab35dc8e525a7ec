// Each way to be wrong is noticed, and the message says where.
#include <cuda_runtime_api.h>

#include "simt/samples/samples.hpp"
#include "simt/testing.hpp"

namespace simt {
namespace {

using samples::Misuse;

constexpr int n = 256;

/// Runs a wrong kernel under some schedules; `out` is compared with the result of the right kernel.
Outcome misuse(Misuse which, int random_runs) {
  return try_schedules(random_runs, [&] {
    std::vector<int> out(6 * n, 0);
    samples::misuse(which, out.data(), n);
    if (cudaDeviceSynchronize() != cudaSuccess) return false;
    for (int i = 0; i < n; ++i)
      if (out[std::size_t(i)] != i / 64 * 64 + 63 - i % 64) return false;
    return true;
  });
}

/// The executor itself sees it, under every schedule.
void expect_report(Misuse which, const std::string& what) {
  const Outcome outcome = misuse(which, 4);
  EXPECT_EQ(outcome.failures, outcome.runs);
  EXPECT_NE(outcome.first_failure.find(what), std::string::npos) << outcome.first_failure;
}

/// A wrong value shows under some schedule.
void expect_wrong_value(Misuse which) {
  const Outcome outcome = misuse(which, 12);
  EXPECT_GT(outcome.failures, 0);
  EXPECT_EQ(outcome.first_failure.find("wrong result"), 0u) << outcome.first_failure;
  ::testing::Test::RecordProperty("caught",
                                  std::to_string(outcome.failures) + " of " + std::to_string(outcome.runs));
}

TEST(Misuse, DivergentBarrier) {
  expect_report(Misuse::divergent_barrier, "divergent barrier: some threads wait at ");
}
TEST(Misuse, ExitBeforeBarrier) {
  expect_report(Misuse::exit_before_barrier, "exit before barrier: thread (");
}
TEST(Misuse, Deadlock) { expect_report(Misuse::deadlock, "48 thread(s) in __syncthreads at "); }
TEST(Misuse, NotInOwnMask) { expect_report(Misuse::not_in_own_mask, "is not in its own mask, at "); }
TEST(Misuse, DivergentShuffle) {
  expect_report(Misuse::divergent_shuffle, "divergent warp operation: thread (");
}
TEST(Misuse, Misaligned) { expect_report(Misuse::misaligned, "misaligned address: 16 bytes at "); }
TEST(Misuse, TooMuchStaticShared) {
  expect_report(Misuse::too_much_static_shared, "more than 48 KiB of static shared");
}
TEST(Misuse, GridSyncNotCooperative) {
  expect_report(Misuse::grid_sync_not_cooperative, "not cooperative, at ");
}
TEST(Misuse, BadClusterRank) { expect_report(Misuse::bad_cluster_rank, "the cluster has no such block"); }
TEST(Misuse, TransactionsNotInitialised) {
  expect_report(Misuse::transactions_not_initialised, "that transaction barrier was not initialised");
}
TEST(Misuse, TooManyArrivals) {
  expect_report(Misuse::too_many_arrivals, "more than 1 arrivals at a transaction barrier, at ");
}
TEST(Misuse, MissingTransactions) {
  expect_report(Misuse::missing_transactions, "64 thread(s) in a wait for transactions at ");
}
TEST(Misuse, ExitBeforeTransactions) {
  expect_report(Misuse::exit_before_transactions, "exits while 8 bytes of a transaction barrier are missing");
}
TEST(Misuse, Trap) { expect_report(Misuse::trap, "__trap() by thread ("); }

TEST(Misuse, ReportsSayTheSourceLine) {
  const Outcome outcome = misuse(Misuse::divergent_barrier, 0);
  EXPECT_NE(outcome.first_failure.find("misuse.cu:"), std::string::npos) << outcome.first_failure;
  EXPECT_NE(outcome.first_failure.find("again with SIMT_ORDER=forward SIMT_SEED=0"), std::string::npos);
}

TEST(Misuse, ToleratedExitBeforeBarrier) {
  const KeepConfig keep;
  config().strict_exit = false;
  std::vector<int> out(6 * n, 0);
  EXPECT_NO_THROW(run([&] { samples::misuse(Misuse::exit_before_barrier, out.data(), n); }));
  EXPECT_EQ(out[39], 1);
}

TEST(Misuse, Spins) {
  const KeepConfig keep;
  config().max_idle = 10'000;
  expect_report(Misuse::spins, "live-lock: ");
}

TEST(Misuse, NoBarrier) { expect_wrong_value(Misuse::no_barrier); }
TEST(Misuse, NoSyncwarp) { expect_wrong_value(Misuse::no_syncwarp); }
TEST(Misuse, NoCopyWait) { expect_wrong_value(Misuse::no_copy_wait); }
TEST(Misuse, NoReuseBarrier) { expect_wrong_value(Misuse::no_reuse_barrier); }
TEST(Misuse, NoTransactionsWait) { expect_wrong_value(Misuse::no_transactions_wait); }
TEST(Misuse, OneTransactionsBuffer) { expect_wrong_value(Misuse::one_transactions_buffer); }
TEST(Misuse, NoGridSync) { expect_wrong_value(Misuse::no_grid_sync); }

#if defined(__SANITIZE_ADDRESS__)
using MisuseDeathTest = ::testing::Test;
void run_once(Misuse which, std::size_t size) {
  std::vector<int> out(size);
  run([&] { samples::misuse(which, out.data(), n); });
}
TEST(MisuseDeathTest, NoClusterSync) {
  EXPECT_DEATH(misuse(Misuse::no_cluster_sync, 12), "use-after-poison");
}
TEST(MisuseDeathTest, SharedOutOfBounds) {
  EXPECT_DEATH(run_once(Misuse::shared_out_of_bounds, n), "heap-buffer-overflow");
}
TEST(MisuseDeathTest, GlobalOutOfBounds) {
  EXPECT_DEATH(run_once(Misuse::global_out_of_bounds, n), "heap-buffer-overflow");
}
#else
TEST(Misuse, NoClusterSync) {
  const Outcome outcome = misuse(Misuse::no_cluster_sync, 12);
  EXPECT_GT(outcome.failures, 0);
}
#endif

}  // namespace
}  // namespace simt
