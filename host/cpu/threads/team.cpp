#include "cpu/threads/team.hpp"

#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

#include "cpu/threads/parallel.hpp"

namespace plasticity::cpu {
namespace {

constexpr std::uint64_t dismissed = std::numeric_limits<std::uint64_t>::max();

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

#ifdef __linux__
int current_cpu() { return sched_getcpu(); }

/// Moves this thread off the processor `cpu` if it may run elsewhere. A scheduler often wakes a thread on the
/// processor of the thread that woke it. That is the owner's, and the two would take turns.
void leave(int cpu) {
  cpu_set_t allowed;
  if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<unsigned>(cpu), &others);
  if (CPU_COUNT(&others) == 0) return;
  sched_setaffinity(0, sizeof(others), &others);
  sched_setaffinity(0, sizeof(allowed), &allowed);
}
#else
int current_cpu() { return -1; }
void leave(int) {}
#endif

/// Waits until `value` differs from `old`, and returns it.
template <class T>
T wait_while(const std::atomic<T>& value, T old) {
  for (int spin = 0; spin < 2000; ++spin) {
    if (const T now = value.load(std::memory_order_acquire); now != old) return now;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

Team::Team(std::int64_t shares, Helpers helpers)
    : shares_(shares),
      taken_(helpers == Helpers::some && shares > 1
                 ? std::make_unique<Taken[]>(static_cast<std::size_t>(shares))
                 : nullptr) {}

void Team::run_shared(const void* work, Call call) {
  work_ = work;
  call_ = call;
  left_.store(shares_, std::memory_order_relaxed);
  owner_cpu_.store(current_cpu(), std::memory_order_relaxed);
  const std::uint64_t run = run_.load(std::memory_order_relaxed) + 1;
  run_.store(run, std::memory_order_release);
  run_.notify_all();
  take(run, 0);
  for (std::int64_t left = left_.load(std::memory_order_acquire); left != 0;) left = wait_while(left_, left);
}

void Team::take(std::uint64_t run, std::int64_t first) {
  for (std::int64_t k = 0; k < shares_; ++k) {
    const std::int64_t share = (first + k) % shares_;
    // A late helper finds the share taken in this run or a later one, and does not read work_.
    std::uint64_t before = run - 1;
    if (!taken_[static_cast<std::size_t>(share)].run.compare_exchange_strong(before, run,
                                                                             std::memory_order_acq_rel)) {
      continue;
    }
    call_(work_, share);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_one();
  }
}

void Team::dismiss() {
  if (taken_ == nullptr) return;
  run_.store(dismissed, std::memory_order_release);
  run_.notify_all();
}

void Team::help(std::int64_t first) {
  if (taken_ == nullptr) return;
  std::uint64_t seen = 0;
  for (;;) {
    seen = wait_while(run_, seen);
    if (seen == dismissed) return;
    if (const int cpu = current_cpu(); cpu >= 0 && cpu == owner_cpu_.load(std::memory_order_relaxed))
      leave(cpu);
    take(seen, first);
  }
}

namespace {

/// Dismisses a team's helpers at the end of a scope, also after an exception. They would wait forever
/// otherwise.
struct Dismissal {
  Team& team;
  ~Dismissal() { team.dismiss(); }
};

}  // namespace

void parallel_for_teams(int threads, std::int64_t count, std::int64_t shares, ElementsAtOnce at_once,
                        FunctionRef<void(std::int64_t, std::int64_t, Team&)> body) {
  const bool shared = threads > 1 && shares > 1;
  if (threads <= 1 || (count <= 1 && !shared)) {  // no other thread helps, and nothing is allocated
    for (std::int64_t index = 0; index < count; ++index) {
      Team alone(shares, Team::Helpers::none);
      body(index, 0, alone);
    }
    return;
  }
  const bool few = at_once == ElementsAtOnce::few;
  const Team::Helpers helpers = shared ? Team::Helpers::some : Team::Helpers::none;
  std::deque<Team> teams;
  for (std::int64_t index = 0; index < count; ++index) teams.emplace_back(shares, helpers);
  // The indices of the parallel_for, in order: one element per owner, `early` helpers, the other elements,
  // `late` helpers. A thread that has owned an element does not become an early helper but takes the next
  // element, so every element that a helper waits for is started.
  const std::int64_t together = few ? std::min<std::int64_t>(threads, shares) : 1;
  const std::int64_t owners = std::min((threads + together - 1) / together, count);
  const std::int64_t early = shared && count > 0 && few ? threads - owners : 0;
  const std::int64_t late = shared && count > 0 ? threads - 1 : 0;
  std::vector<char> owned(static_cast<std::size_t>(threads));
  const auto help = [&](std::int64_t helper) {
    for (std::int64_t k = 0; k < count; ++k) {
      teams[static_cast<std::size_t>((helper + k) % count)].help((helper + 1) * shares / threads);
    }
  };
  parallel_for(threads, owners + early + (count - owners) + late, [&](std::int64_t place, int worker) {
    const bool is_early = place >= owners && place < owners + early;
    if (is_early && owned[static_cast<std::size_t>(worker)]) return;
    if (is_early) return help(place - owners);
    if (place >= count + early) return help(place - count - early);
    const std::int64_t index = place < owners ? place : place - early;
    owned[static_cast<std::size_t>(worker)] = 1;
    const Dismissal at_the_end{teams[static_cast<std::size_t>(index)]};
    body(index, count <= threads ? index : worker, at_the_end.team);
  });
}

void run_with_team(int threads, std::int64_t shares, FunctionRef<void(Team&)> body) {
  const int useful = static_cast<int>(std::min<std::int64_t>(threads, shares));
  Team team(shares, useful > 1 ? Team::Helpers::some : Team::Helpers::none);
  if (useful <= 1) return body(team);
  // A helper keeps its index until it is dismissed, so one index is left for the caller, which is worker 0.
  bool begun = false;
  parallel_for(useful, useful, [&](std::int64_t index, int worker) {
    if (worker != 0) return team.help((index + 1) * shares / (useful + 1));
    if (std::exchange(begun, true)) return;
    const Dismissal at_the_end{team};
    body(team);
  });
}

}  // namespace plasticity::cpu
