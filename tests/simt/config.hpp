// The executor's settings and results for tests. Includes no CUDA headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>

struct uint3;  // CUDA's

namespace simt {

/// A kernel broke a rule of the machine. The message names the rule, the thread and the source line.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Which of the threads that could run, runs next.
enum class Order {
  forward,   ///< first come, first served; copies land late; blocks in rising order
  reverse,   ///< the same from the other end; copies land early
  random,    ///< any of them, each time
  priority,  ///< the one of highest random priority, which changes now and then: long runs of few threads
};

/// The names in SIMT_ORDER, in the order of the enumeration.
constexpr const char* order_names[] = {"forward", "reverse", "random", "priority"};

/// Process-wide. The first three start from the environment: SIMT_ORDER, SIMT_SEED, SIMT_RESIDENT. The first
/// config() throws Error if one of these has no legal value.
struct Config {
  Order order = Order::random;
  std::uint64_t seed = 1;  ///< the same order and seed give the same schedule

  /// The blocks of a plain launch of at most this many threads are interleaved (in random and priority order
  /// for every second seed). A larger launch runs block after block. ThreadSanitizer supports 256 threads at
  /// a time, hence its limit of 224.
  unsigned resident_threads = 0;  ///< 0: 224 under ThreadSanitizer, else 1024

  bool strict_exit = true;              ///< a thread that returned while others wait at a barrier is an error
  std::size_t stack_bytes = 0;          ///< of a CUDA thread; 0: 64 KiB, and 256 KiB under AddressSanitizer
  std::uint64_t max_idle = 20'000'000;  ///< so many steps without any barrier passed are a live-lock
  std::function<bool(uint3)> only_block;  ///< if set, only blocks that it accepts run (see
                                          ///< sparse_memory.hpp); a cluster runs if its first block does
};
Config& config();

/// Counts since reset_stats().
struct Stats {
  std::uint64_t launches = 0, threads = 0, switches = 0, barriers = 0, warp_operations = 0;
};
Stats stats();
void reset_stats();

}  // namespace simt
