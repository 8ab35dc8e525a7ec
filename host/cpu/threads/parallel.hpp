#pragma once

#include <cstdint>

#include "base/function_ref.hpp"

namespace plasticity::cpu {

/// Calls body(index, worker) for every index in 0..count-1 on up to `threads` threads, including the
/// caller's. `worker` in 0..threads-1 identifies the thread. The assignment of indices to threads is not
/// specified.
///
/// The other threads belong to a pool that sleeps between calls. If the pool is busy or the system cannot
/// create a thread, fewer threads do the work, at least the caller's. The first exception of a body is
/// rethrown to the caller after all bodies have ended.
void parallel_for(int threads, std::int64_t count, FunctionRef<void(std::int64_t, int)> body);

}  // namespace plasticity::cpu
