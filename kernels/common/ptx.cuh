// The PTX that has no CUDA C++ spelling, one instruction a function; each has a twin for the CPU executor of
// the tests. And the plain 16-byte load and store, whose twin says where it was misaligned instead of
// crashing.
#pragma once

#include "common/launch.hpp"

namespace plasticity {

#if defined(__CUDACC__)

namespace detail {
__device__ __forceinline__ unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
}  // namespace detail

/// 16 bytes from global to shared memory without passing through registers, not held in L1. Both 16-byte
/// aligned. They are there after cp_async_wait() of the group they were committed to, for the thread that
/// asked; for others after a barrier too.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(detail::shared_address(shared)), "l"(global)
               : "memory");
}

/// Closes the group of copies asked for so far (perhaps none).
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most the `Pending` youngest groups are still under way.
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

/// 16 bytes, aligned, of global or shared memory.
__device__ __forceinline__ uint4 load_16(const void* p) { return *static_cast<const uint4*>(p); }
__device__ __forceinline__ void store_16(void* p, uint4 v) { *static_cast<uint4*>(p) = v; }

/// 16 bytes that are used once: not held in L1. The memory may be written by this kernel.
__device__ __forceinline__ uint4 load_16_once(const void* global) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(global)
               : "memory");
  return v;
}

/// The same of memory that nobody writes while this kernel runs: the compiler may move the load.
__device__ __forceinline__ uint4 load_16_once_read_only(const void* global) {
  uint4 v;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
      : "l"(global));
  return v;
}

/// Stores 16 bytes, aligned, to global memory in one access. (The compiler may split a plain store whose
/// values are computed one by one.)
__device__ __forceinline__ void store_16_global(void* global, uint4 v) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(global), "r"(v.x), "r"(v.y), "r"(v.z),
               "r"(v.w)
               : "memory");
}

/// The same for 8 bytes.
__device__ __forceinline__ void store_8_global(void* global, uint2 v) {
  asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(global), "r"(v.x), "r"(v.y) : "memory");
}

/// A value that another block has written while this kernel runs, after a barrier that both passed. The load
/// asks the cache that all multiprocessors share, and is neither repeated, left out nor moved over a barrier.
__device__ __forceinline__ float load_exchange(const float* global) {
  float v;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(v) : "l"(global) : "memory");
  return v;
}
/// The same way back: seen by load_exchange() of another block after a barrier.
__device__ __forceinline__ void store_exchange(float* global, float v) {
  asm volatile("st.relaxed.gpu.global.f32 [%0], %1;" ::"l"(global), "f"(v) : "memory");
}

/// 16 bytes that this kernel does not read again: first to leave the caches.
__device__ __forceinline__ void store_16_streaming(void* global, uint4 v) {
  asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(global), "r"(v.x), "r"(v.y), "r"(v.z),
               "r"(v.w)
               : "memory");
}

#else

inline void cp_async_16(void* shared, const void* global, SIMT_HERE) {
  simt::device::copy_async(shared, global, 16, 0, where);
}
inline void cp_async_commit() { simt::device::copy_commit(); }
template <int Pending>
void cp_async_wait() {
  simt::device::copy_wait(Pending);
}

inline uint4 load_16(const void* p, SIMT_HERE) {
  simt::device::check_aligned(p, 16, where);
  return *static_cast<const uint4*>(p);
}
inline void store_16(void* p, uint4 v, SIMT_HERE) {
  simt::device::check_aligned(p, 16, where);
  *static_cast<uint4*>(p) = v;
}
inline uint4 load_16_once(const void* global, SIMT_HERE) { return load_16(global, where); }
inline uint4 load_16_once_read_only(const void* global, SIMT_HERE) { return load_16(global, where); }
inline void store_16_global(void* global, uint4 v, SIMT_HERE) { store_16(global, v, where); }
inline void store_8_global(void* global, uint2 v, SIMT_HERE) {
  simt::device::check_aligned(global, 8, where);
  *static_cast<uint2*>(global) = v;
}
inline float load_exchange(const float* global) { return *global; }
inline void store_exchange(float* global, float v) { *global = v; }
inline void store_16_streaming(void* global, uint4 v, SIMT_HERE) { store_16(global, v, where); }

#endif

}  // namespace plasticity
