#include <condition_variable>
#include <cstring>
#include <mutex>

#include "communicator/time_limit.hpp"
#include "plasticity/communicator.hpp"

namespace plasticity {
namespace {

using Clock = std::chrono::steady_clock;

/// The state that the threads share. A rank publishes the addresses of its blocks, the others copy them, and
/// the rank returns when no rank reads its blocks any more.
struct Group {
  struct Member {
    std::uint64_t calls = 0;  // number of exchanges begun
    int call = 0;             // the current one
    std::span<const std::span<const std::byte>> send{};
    int reading = 0;      // ranks that are copying its blocks
    int done = 0;         // ranks that have copied their block in the current exchange
    bool open = false;    // whether `send` may be read
    bool ended = false;   // its communicator was destroyed
    std::string failure;  // the message of its error
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Member> members;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(int rank, int size, const CommunicatorOptions& options, std::shared_ptr<Group> group)
      : Communicator(rank, size, options), group_(std::move(group)) {}

  ~ThreadCommunicator() override {
    const std::lock_guard lock(group_->mutex);
    own().ended = true;
    group_->changed.notify_all();
  }

 protected:
  void exchange(Call call, std::span<const std::span<const std::byte>> send,
                std::span<const std::span<std::byte>> receive) override {
    const Clock::time_point deadline = Clock::now() + time_limit();
    std::unique_lock lock(group_->mutex);
    Group::Member& self = own();
    const std::uint64_t number = ++self.calls;
    self.call = static_cast<int>(call);
    self.send = send;
    self.done = 0;
    self.open = true;
    group_->changed.notify_all();

    wait(lock, deadline, call, [&](const Group::Member& other) { return other.calls >= number; });
    for (int r = 0; r < size(); ++r) {
      if (r != rank()) check_same_call(lock, r, call, receive[static_cast<std::size_t>(r)].size());
    }
    for (int r = 0; r < size(); ++r) {
      if (r == rank()) continue;
      Group::Member& other = member(r);
      if (!other.open) fail_group(lock, other.failure);
      const std::span<const std::byte> block = other.send[static_cast<std::size_t>(rank())];
      ++other.reading;
      lock.unlock();
      if (!block.empty())
        std::memcpy(receive[static_cast<std::size_t>(r)].data(), block.data(), block.size());
      lock.lock();
      --other.reading;
      ++other.done;
      group_->changed.notify_all();
    }
    while (self.done < size() - 1) {
      // A rank that has begun this exchange reads in a moment, unless it fails.
      for (const Group::Member& other : group_->members) {
        if (!other.failure.empty()) fail_group(lock, other.failure);
      }
      group_->changed.wait(lock);
    }
    self.open = false;
  }

 private:
  Group::Member& member(int r) const { return group_->members[static_cast<std::size_t>(r)]; }
  Group::Member& own() const { return member(rank()); }

  /// Waits until `ready` holds for all other ranks. Fails if a rank has failed or ended before, and at the
  /// deadline.
  template <class Ready>
  void wait(std::unique_lock<std::mutex>& lock, Clock::time_point deadline, Call call, const Ready& ready) {
    for (std::vector<int> missing;; missing.clear()) {
      for (int r = 0; r < size(); ++r) {
        const Group::Member& other = member(r);
        if (r == rank()) continue;
        if (!other.failure.empty()) fail_group(lock, other.failure);
        if (ready(other)) continue;
        missing.push_back(r);
        if (other.ended)
          fail_group(lock,
                     str_cat("rank ", r, ": expected ", name_of(call), ", got the end of its communicator"));
      }
      if (missing.empty()) return;
      if (Clock::now() >= deadline) fail_group(lock, late_message(missing, name_of(call), time_limit()));
      group_->changed.wait_until(lock, deadline);
    }
  }

  void check_same_call(std::unique_lock<std::mutex>& lock, int r, Call call, std::size_t bytes) {
    const Group::Member& other = member(r);
    const auto their_call = static_cast<Call>(other.call);
    if (!other.open) fail_group(lock, other.failure);
    const std::size_t theirs = other.send[static_cast<std::size_t>(rank())].size();
    if (their_call == call && theirs == bytes) return;
    fail_group(lock, str_cat("rank ", r, ": expected ", name_of(call), " with ", bytes, " bytes for rank ",
                             rank(), ", got ", name_of(their_call), " with ", theirs, " bytes"));
  }

  /// Fails this rank, and with it all others, after their last read of its blocks.
  [[noreturn]] void fail_group(std::unique_lock<std::mutex>& lock, const std::string& message) {
    Group::Member& self = own();
    self.open = false;
    self.failure = message;
    group_->changed.notify_all();
    group_->changed.wait(lock, [&] { return self.reading == 0; });
    lock.unlock();
    fail(self.failure);
  }

  std::shared_ptr<Group> group_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> thread_communicators(int size,
                                                                const CommunicatorOptions& options) {
  constexpr int max_size = 1024;  // the memory grows with the square of the size
  if (size < 1 || size > max_size) bad_argument("size", str_cat("1 to ", max_size), str_cat(size));
  check_time_limit(options);
  const auto group = std::make_shared<Group>();
  group->members.resize(static_cast<std::size_t>(size));
  std::vector<std::unique_ptr<Communicator>> all;
  for (int rank = 0; rank < size; ++rank)
    all.push_back(std::make_unique<ThreadCommunicator>(rank, size, options, group));
  return all;
}

}  // namespace plasticity
