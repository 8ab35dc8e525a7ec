#pragma once

#include <atomic>

#include "plasticity/error.hpp"

namespace plasticity {

/// The message of a call on a stack beside another call.
inline constexpr const char* stack_in_use =
    "stack: another thread is running a call on it. One thread at a time may use a stack";

/// Turns concurrent use of an object into an error. No call waits.
class UseGuard {
 public:
  /// Held by a call that needs the object for itself. Throws Error(invalid_argument) if another call is
  /// running.
  class Exclusive {
   public:
    Exclusive(UseGuard& guard, const char* message) : guard_(guard) {
      int none = 0;
      if (!guard.calls_.compare_exchange_strong(none, exclusive, std::memory_order_acquire))
        throw Error(ErrorCode::invalid_argument, message);
    }
    ~Exclusive() { guard_.calls_.store(0, std::memory_order_release); }
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

   private:
    UseGuard& guard_;
  };

  /// Held by a call that may run beside other shared calls. Throws Error(invalid_argument) if an exclusive
  /// call is running.
  class Shared {
   public:
    Shared(UseGuard& guard, const char* message) : guard_(guard) {
      int calls = guard.calls_.load(std::memory_order_relaxed);
      do {
        if (calls == exclusive) throw Error(ErrorCode::invalid_argument, message);
      } while (!guard.calls_.compare_exchange_weak(calls, calls + 1, std::memory_order_acquire,
                                                   std::memory_order_relaxed));
    }
    ~Shared() { guard_.calls_.fetch_sub(1, std::memory_order_release); }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

   private:
    UseGuard& guard_;
  };

 private:
  static constexpr int exclusive = -1;
  std::atomic<int> calls_{0};  // running shared calls, or `exclusive`
};

}  // namespace plasticity
