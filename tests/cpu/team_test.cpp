#include "cpu/threads/team.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

namespace plasticity::cpu {
namespace {

/// Each share reads its neighbour's result of the previous run, without atomics. The result is correct only
/// if every share runs once per run and a run ends before the next begins.
void expect_runs_apart(int threads, std::int64_t shares, std::int64_t count, ElementsAtOnce at_once) {
  std::vector<std::vector<std::int64_t>> results(static_cast<std::size_t>(count));
  parallel_for_teams(threads, count, shares, at_once, [&](std::int64_t index, std::int64_t slot, Team& team) {
    EXPECT_LT(slot, std::min<std::int64_t>(threads, count));
    std::vector<std::int64_t> values(static_cast<std::size_t>(shares), index), next(values);
    for (int run = 0; run < 300; ++run) {
      team.run([&](std::int64_t share) {
        next[static_cast<std::size_t>(share)] = values[static_cast<std::size_t>((share + 1) % shares)] + 1;
      });
      values.swap(next);
    }
    results[static_cast<std::size_t>(index)] = values;
  });
  for (std::int64_t index = 0; index < count; ++index) {
    const std::vector<std::int64_t> want(static_cast<std::size_t>(shares), index + 300);
    ASSERT_EQ(results[static_cast<std::size_t>(index)], want)
        << threads << " threads, " << shares
        << " shares, few elements at once: " << (at_once == ElementsAtOnce::few);
  }
}

TEST(Team, RunsDoNotOverlap) {
  for (const int threads : {1, 2, 3, 8}) {
    for (const std::int64_t shares : {1, 2, 4, 16}) {
      for (const std::int64_t count : {1, 2, 5, 12}) {
        for (const ElementsAtOnce at_once : {ElementsAtOnce::many, ElementsAtOnce::few})
          expect_runs_apart(threads, shares, count, at_once);
      }
    }
  }
}

/// The owner waits in its first share until a helper has taken another.
void expect_helpers_take_shares(Team& team) {
  std::atomic<int> others = 0;
  const std::thread::id owner = std::this_thread::get_id();
  for (int run = 0; run < 2000 && others == 0; ++run) {
    team.run([&](std::int64_t) {
      if (std::this_thread::get_id() != owner) {
        ++others;
      } else if (others == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  EXPECT_GT(others, 0);
}

// Threads without an element help.
TEST(Team, HelpersTakeShares) {
  parallel_for_teams(2, 1, 2, ElementsAtOnce::many,
                     [](std::int64_t, std::int64_t, Team& team) { expect_helpers_take_shares(team); });
}

// An exception in one element releases its helpers, and the other elements finish.
TEST(Team, AnExceptionReleasesTheHelpers) {
  for (const int threads : {1, 2, 4}) {
    std::atomic<int> done = 0;
    const auto body = [&](std::int64_t index, std::int64_t, Team& team) {
      if (index == 1) throw std::runtime_error("element 1");
      for (int run = 0; run < 20; ++run) team.run([&](std::int64_t) { ++done; });
    };
    EXPECT_THROW(
        parallel_for_teams(threads, 3, 4, threads == 4 ? ElementsAtOnce::few : ElementsAtOnce::many, body),
        std::runtime_error);
    EXPECT_EQ(done, (threads == 1 ? 1 : 2) * 20 * 4);
  }
}

TEST(Team, TheCallerOwnsItsTeam) {
  const std::thread::id caller = std::this_thread::get_id();
  for (const int threads : {1, 2, 3, 8}) {
    for (const std::int64_t shares : {1, 2, 4, 16}) {
      for (int repeat = 0; repeat < 20; ++repeat) {
        std::vector<std::int64_t> taken(static_cast<std::size_t>(shares));
        int calls = 0;
        run_with_team(threads, shares, [&](Team& team) {
          ++calls;
          EXPECT_EQ(std::this_thread::get_id(), caller);
          for (int run = 0; run < 30; ++run)
            team.run([&](std::int64_t share) { ++taken[static_cast<std::size_t>(share)]; });
        });
        EXPECT_EQ(calls, 1);
        EXPECT_EQ(taken, std::vector<std::int64_t>(taken.size(), 30));
      }
    }
  }
}

TEST(Team, HelpersOfTheCallersTeamTakeShares) {
  run_with_team(2, 2, [](Team& team) { expect_helpers_take_shares(team); });
}

TEST(Team, AnExceptionOfTheCallerReleasesTheHelpers) {
  for (const int threads : {1, 2, 4}) {
    EXPECT_THROW(run_with_team(threads, 4, [](Team&) { throw std::runtime_error("caller"); }),
                 std::runtime_error);
  }
}

TEST(Team, SeveralCallersAtOnce) {
  std::vector<std::thread> callers;
  std::atomic<int> right = 0;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&right, caller] {
      for (int repeat = 0; repeat < 50; ++repeat) {
        std::atomic<int> done = 0;
        parallel_for_teams(3, 2, 4, caller % 2 == 0 ? ElementsAtOnce::few : ElementsAtOnce::many,
                           [&](std::int64_t, std::int64_t, Team& team) {
                             for (int run = 0; run < 5; ++run) team.run([&](std::int64_t) { ++done; });
                           });
        right += done == 2 * 5 * 4;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 200);
}

}  // namespace
}  // namespace plasticity::cpu
