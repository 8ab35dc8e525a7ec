#pragma once

#include <cstdint>
#include <functional>

namespace plasticity::cpu {

/// Calls body(index, worker) for every index in 0..count-1, on up to `threads` threads, the caller's among
/// them; `worker` in 0..threads-1 tells them apart. Which thread takes which index is open, so a body must
/// not depend on it. The other threads come from a pool that sleeps between calls; where it is busy, or the
/// system has no thread to give, the caller does the work alone. What a body throws is thrown on to the
/// caller when all bodies have ended.
void parallel_for(int threads, std::int64_t count, const std::function<void(std::int64_t, int)>& body);

}  // namespace plasticity::cpu
