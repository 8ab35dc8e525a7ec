#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/function_ref.hpp"

namespace plasticity::cpu {

/// Threads that work on one batch element. The owner runs the time loop. The owner and any number of helpers
/// take the shares (sweeps/layout.hpp) of each sweep. The owner waits only for shares that a helper has
/// taken, so it can do all of them alone. Waiting threads spin for a few microseconds, then sleep.
class Team {
 public:
  /// Whether other threads may call help().
  enum class Helpers { none, some };

  Team(std::int64_t shares, Helpers helpers);

  std::int64_t shares() const { return shares_; }

  /// For the owner: calls work(share) for every share and returns when all are done. `work` must not throw.
  template <class Work>
  void run(const Work& work) {
    if (taken_ == nullptr) {
      for (std::int64_t share = 0; share < shares_; ++share) work(share);
      return;
    }
    run_shared(&work, [](const void* body, std::int64_t share) { (*static_cast<const Work*>(body))(share); });
  }

  /// For the owner, at the end: makes help() return.
  void dismiss();

  /// For a helper: takes shares until dismiss(). It tries share `first` first, so that it works on the same
  /// memory in every sweep.
  void help(std::int64_t first);

 private:
  using Call = void (*)(const void*, std::int64_t);
  struct alignas(64) Taken {
    std::atomic<std::uint64_t> run{0};  // number of the last run in which this share was taken
  };

  void run_shared(const void* work, Call call);
  void take(std::uint64_t run, std::int64_t first);

  std::int64_t shares_;
  std::unique_ptr<Taken[]> taken_;  // null if there are no helpers
  const void* work_ = nullptr;
  Call call_ = nullptr;
  std::atomic<int> owner_cpu_{-1};
  alignas(64) std::atomic<std::uint64_t> run_{0};  // number of the current run, or `dismissed`
  alignas(64) std::atomic<std::int64_t> left_{0};  // its unfinished shares
};

/// The number of elements that parallel_for_teams() runs at the same time.
enum class ElementsAtOnce {
  many,  ///< one per thread
  few,   ///< as few as give every thread a share, for elements that exceed a thread's cache
};

/// parallel_for() over batch elements, or groups of them, whose sweeps have `shares` shares. Threads without
/// an element of their own help others.
///
/// Calls body(index, slot, team). Bodies that run at the same time have different slots, less than `threads`
/// and `count`. An exception of a body, outside of team.run(), is rethrown as in parallel_for().
void parallel_for_teams(int threads, std::int64_t count, std::int64_t shares, ElementsAtOnce at_once,
                        FunctionRef<void(std::int64_t, std::int64_t, Team&)> body);

/// Calls body(team) on the caller's thread. Up to threads - 1 other threads help the team.
void run_with_team(int threads, std::int64_t shares, FunctionRef<void(Team&)> body);

}  // namespace plasticity::cpu
