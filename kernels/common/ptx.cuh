// PTX instructions that CUDA C++ does not have, one per function, and plain 16-byte loads and stores. The CPU
// executor of the tests has its own version of each; its loads and stores report a misaligned address.
#pragma once

#include "common/launch.hpp"

namespace plasticity {

#if defined(__CUDACC__)

namespace detail {
__device__ __forceinline__ unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
}  // namespace detail

/// Copies 16 bytes, aligned, from global to shared memory, without registers and without L1. The copy is
/// complete after cp_async_wait() of its group for the thread that started it, and after another barrier for
/// the others.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(detail::shared_address(shared)), "l"(global)
               : "memory");
}

/// Makes the copies started so far (perhaps none) a group.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most the `Pending` newest groups are incomplete.
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

/// Returns its argument. The compiler cannot compute the value again, so a loop keeps it in a register.
__device__ __forceinline__ std::int64_t in_register(std::int64_t value) {
  asm volatile("" : "+l"(value));
  return value;
}

/// Loads or stores 16 bytes, aligned, of global or shared memory.
__device__ __forceinline__ uint4 load_16(const void* p) { return *static_cast<const uint4*>(p); }
__device__ __forceinline__ void store_16(void* p, uint4 v) { *static_cast<uint4*>(p) = v; }

/// Loads 16 bytes that are used once, without keeping them in L1. This kernel may write the memory.
__device__ __forceinline__ uint4 load_16_once(const void* global) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(global)
               : "memory");
  return v;
}

/// As load_16_once(), 8 bytes.
__device__ __forceinline__ uint2 load_8_once(const void* global) {
  uint2 v;
  asm volatile("ld.global.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
               : "=r"(v.x), "=r"(v.y)
               : "l"(global)
               : "memory");
  return v;
}

/// As load_16_once(), for memory that is not written while this kernel runs: the compiler may move the load.
__device__ __forceinline__ uint4 load_16_once_read_only(const void* global) {
  uint4 v;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
      : "l"(global));
  return v;
}

/// Stores 16 bytes, aligned, to global memory in one access. (The compiler may split a plain store.)
__device__ __forceinline__ void store_16_global(void* global, uint4 v) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(global), "r"(v.x), "r"(v.y), "r"(v.z),
               "r"(v.w)
               : "memory");
}

/// Stores 8 bytes, aligned, to global memory in one access.
__device__ __forceinline__ void store_8_global(void* global, uint2 v) {
  asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(global), "r"(v.x), "r"(v.y) : "memory");
}

/// Loads a value that another block wrote by store_exchange() before a barrier of both blocks. The load reads
/// L2, which all multiprocessors share. The compiler neither repeats it, removes it nor moves it across a
/// barrier.
__device__ __forceinline__ float load_exchange(const float* global) {
  float v;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(v) : "l"(global) : "memory");
  return v;
}
/// Stores a value for load_exchange() of another block, after a barrier.
__device__ __forceinline__ void store_exchange(float* global, float v) {
  asm volatile("st.relaxed.gpu.global.f32 [%0], %1;" ::"l"(global), "f"(v) : "memory");
}

/// Zero, as a value unknown to the compiler. So the compiler keeps a branch that clears a register. It would
/// otherwise replace the branch by a selection, which costs an instruction in every step.
__device__ __forceinline__ float opaque_zero() {
  float zero;
  asm volatile("mov.f32 %0, 0f00000000;" : "=f"(zero));
  return zero;
}

/// Stores a value in the same variable of shared memory in block `rank` of the cluster. On an architecture
/// without clusters no launch calls it.
__device__ __forceinline__ void store_peer(float* shared, int rank, float v) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "{ .reg .u32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "st.shared::cluster.f32 [there], %2; }" ::"r"(detail::shared_address(shared)),
      "r"(rank), "f"(v)
      : "memory");
#endif
}

/// Stores 16 bytes that this kernel does not read again: the caches evict them first.
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

inline std::int64_t in_register(std::int64_t value) { return value; }
inline uint4 load_16(const void* p, SIMT_HERE) {
  simt::device::check_aligned(p, 16, where);
  return *static_cast<const uint4*>(p);
}
inline void store_16(void* p, uint4 v, SIMT_HERE) {
  simt::device::check_aligned(p, 16, where);
  *static_cast<uint4*>(p) = v;
}
inline uint4 load_16_once(const void* global, SIMT_HERE) { return load_16(global, where); }
inline uint2 load_8_once(const void* global, SIMT_HERE) {
  simt::device::check_aligned(global, 8, where);
  return *static_cast<const uint2*>(global);
}
inline uint4 load_16_once_read_only(const void* global, SIMT_HERE) { return load_16(global, where); }
inline void store_16_global(void* global, uint4 v, SIMT_HERE) { store_16(global, v, where); }
inline void store_8_global(void* global, uint2 v, SIMT_HERE) {
  simt::device::check_aligned(global, 8, where);
  *static_cast<uint2*>(global) = v;
}
inline float load_exchange(const float* global) { return *global; }
inline void store_exchange(float* global, float v) { *global = v; }
inline float opaque_zero() { return 0; }
inline void store_peer(float* shared, int rank, float v, SIMT_HERE) {
  *static_cast<float*>(simt::device::map_shared_rank(shared, static_cast<unsigned>(rank), where)) = v;
}
inline void store_16_streaming(void* global, uint4 v, SIMT_HERE) { store_16(global, v, where); }

#endif

}  // namespace plasticity
