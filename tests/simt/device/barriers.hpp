// Barriers of the block, fences, cp.async.
#pragma once

#include <cstddef>

#include "simt/executor/calls.hpp"

/// Every call that can be misused has its source line as an argument.
#define SIMT_HERE ::simt::device::Location where = ::simt::device::Location::current()

inline void __syncthreads(SIMT_HERE) { simt::device::barrier(simt::device::Scope::block, where); }
inline int __syncthreads_count(int predicate, SIMT_HERE) {
  return simt::device::barrier_vote(simt::device::Vote::count, predicate, where);
}
inline int __syncthreads_and(int predicate, SIMT_HERE) {
  return simt::device::barrier_vote(simt::device::Vote::all, predicate, where);
}
inline int __syncthreads_or(int predicate, SIMT_HERE) {
  return simt::device::barrier_vote(simt::device::Vote::any, predicate, where);
}

inline void __threadfence_block() { simt::device::fence(); }
inline void __threadfence() { simt::device::fence(); }
inline void __threadfence_system() { simt::device::fence(); }
// A loop that spins must contain this or an atomic.
inline void __nanosleep(unsigned) { simt::device::yield(); }
[[noreturn]] inline void __trap(SIMT_HERE) { simt::device::trap("__trap()", where); }

inline void __pipeline_memcpy_async(void* shared, const void* global, std::size_t bytes,
                                    std::size_t zeros = 0, SIMT_HERE) {
  simt::device::copy_async(shared, global, bytes, zeros, where);
}
inline void __pipeline_commit() { simt::device::copy_commit(); }
inline void __pipeline_wait_prior(unsigned pending) { simt::device::copy_wait(pending); }
