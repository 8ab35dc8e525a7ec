#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace plasticity::cpu {

/// Threads that work on one batch element together: its owner runs through the time loop, and at every sweep
/// the shares (layout.hpp) are taken by the owner and by whoever helps. A helper is not waited for, only the
/// shares that it took: with none there the owner does all of them. Waiting threads look for a few
/// microseconds, then sleep.
class Team {
 public:
  explicit Team(std::int64_t shares, bool shared);

  /// For the owner: calls work(share), which does not throw, for every share, and returns when all are done.
  template <class Work>
  void run(const Work& work) {
    if (taken_ == nullptr) {
      for (std::int64_t share = 0; share < shares_; ++share) work(share);
      return;
    }
    run_shared(&work, [](const void* body, std::int64_t share) { (*static_cast<const Work*>(body))(share); });
  }

  /// For the owner, at the end: sends the helpers away.
  void dismiss();

  /// For a helper: takes shares until it is sent away, those from `first` on if they are there, so that it
  /// meets the same memory in every sweep.
  void help(std::int64_t first);

 private:
  using Call = void (*)(const void*, std::int64_t);
  struct alignas(64) Taken {
    std::atomic<std::uint64_t> run{0};  // the last run that this share was taken in
  };

  void run_shared(const void* work, Call call);
  void take(std::uint64_t run, std::int64_t first);

  std::int64_t shares_;
  std::unique_ptr<Taken[]> taken_;  // null: the owner is alone
  const void* work_ = nullptr;
  Call call_ = nullptr;
  std::atomic<int> owner_cpu_{-1};
  alignas(64) std::atomic<std::uint64_t> run_{0};  // the number of the run under way, or `dismissed`
  alignas(64) std::atomic<std::int64_t> left_{0};  // shares of it that are not done
};

/// parallel_for() over batch elements, or groups of them, whose sweeps have `shares` shares: threads without
/// an element of their own help with the others'. `one_by_one`: as few elements are under way as leave each
/// thread a share of one, for elements that are too large for a thread's cache. Calls body(index, slot,
/// team); the slots of bodies that run at the same time differ, and are less than both `threads` and `count`.
/// What a body throws outside of team.run() goes on to the caller, as from parallel_for().
void parallel_for_teams(int threads, std::int64_t count, std::int64_t shares, bool one_by_one,
                        const std::function<void(std::int64_t, std::int64_t, Team&)>& body);

}  // namespace plasticity::cpu
