// 16 bytes of T (4 floats, 8 bfloat16) in one access, and conversion of T from and to float.
#pragma once

#include <cuda_bf16.h>

#include "common/ptx.cuh"

#include <cstring>

namespace plasticity {

template <class T>
struct alignas(16) Pack {
  static_assert(16 % sizeof(T) == 0);
  static constexpr int size = 16 / sizeof(T);
  T value[size];

  __device__ T& operator[](int i) { return value[i]; }
  __device__ const T& operator[](int i) const { return value[i]; }
};

namespace detail {
template <class T>
__device__ __forceinline__ Pack<T> as_pack(uint4 bits) {
  return *reinterpret_cast<Pack<T>*>(&bits);
}
template <class T>
__device__ __forceinline__ uint4 as_bits(Pack<T> pack) {
  return *reinterpret_cast<uint4*>(&pack);
}
/// The bits of a bfloat16, and the value of such bits.
__device__ __forceinline__ unsigned as_half_word(__nv_bfloat16 value) {
  unsigned short bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
__device__ __forceinline__ __nv_bfloat16 from_half_word(unsigned short bits) {
  __nv_bfloat16 value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
}  // namespace detail

/// `p`: aligned to 16 bytes, in global or shared memory.
template <class T>
__device__ __forceinline__ Pack<T> load_pack(const T* p) {
  return detail::as_pack<T>(load_16(p));
}

template <class T>
__device__ __forceinline__ void store_pack(T* p, Pack<T> pack) {
  store_16(p, detail::as_bits(pack));
}

/// Global memory that is read once; see ptx.cuh.
template <class T>
__device__ __forceinline__ Pack<T> load_pack_once(const T* p) {
  return detail::as_pack<T>(load_16_once(p));
}
template <class T>
__device__ __forceinline__ Pack<T> load_pack_once_read_only(const T* p) {
  return detail::as_pack<T>(load_16_once_read_only(p));
}
/// Stores to global memory in one access.
template <class T>
__device__ __forceinline__ void store_pack_global(T* p, Pack<T> pack) {
  store_16_global(p, detail::as_bits(pack));
}
template <class T>
__device__ __forceinline__ void store_pack_streaming(T* p, Pack<T> pack) {
  store_16_streaming(p, detail::as_bits(pack));
}

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(__nv_bfloat16 v) { return __bfloat162float(v); }

/// Four values of global memory that are read once, aligned to four.
__device__ __forceinline__ void load_four_once(const float* p, float (&to)[4]) {
  const Pack<float> pack = load_pack_once(p);
  for (int k = 0; k < 4; ++k) to[k] = pack[k];
}
__device__ __forceinline__ void load_four_once(const __nv_bfloat16* p, float (&to)[4]) {
  const uint2 bits = load_8_once(p);
  const unsigned pairs[2] = {bits.x, bits.y};
  for (int k = 0; k < 4; ++k)
    to[k] = to_float(detail::from_half_word(static_cast<unsigned short>(pairs[k / 2] >> (16 * (k % 2)))));
}

/// Stores four values to global memory in one access, aligned to four.
__device__ __forceinline__ void store_four_global(float* p, const float (&from)[4]) {
  Pack<float> pack;
  for (int k = 0; k < 4; ++k) pack[k] = from[k];
  store_pack_global(p, pack);
}
__device__ __forceinline__ void store_four_global(__nv_bfloat16* p, const __nv_bfloat16 (&from)[4]) {
  uint2 bits;
  bits.x = detail::as_half_word(from[0]) | detail::as_half_word(from[1]) << 16;
  bits.y = detail::as_half_word(from[2]) | detail::as_half_word(from[3]) << 16;
  store_8_global(p, bits);
}

/// Rounds to nearest, ties to even.
template <class T>
__device__ __forceinline__ T from_float(float v) {
  if constexpr (sizeof(T) == sizeof(float))
    return v;
  else
    return __float2bfloat16_rn(v);
}

}  // namespace plasticity
