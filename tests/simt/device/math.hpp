// Device functions that g++ lacks. Functions that are approximate on a GPU are exact here, so tests compare
// with a tolerance.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>

template <class T>
requires std::integral<T> || std::floating_point<T>
constexpr T min(T a, T b) {
  if constexpr (std::floating_point<T>) return std::fmin(a, b);  // CUDA's too: the one that is not NaN
  return b < a ? b : a;
}
template <class T>
requires std::integral<T> || std::floating_point<T>
constexpr T max(T a, T b) {
  if constexpr (std::floating_point<T>) return std::fmax(a, b);
  return a < b ? b : a;
}

inline float rsqrtf(float a) { return 1.0f / std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) {
  volatile float sum = a + b;  // never contracted into an FMA
  return sum;
}
inline float __fmul_rn(float a, float b) {
  volatile float product = a * b;
  return product;
}
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __expf(float a) { return std::exp(a); }
inline float __logf(float a) { return std::log(a); }
inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1.0f) : 0.0f; }

inline int __float_as_int(float a) { return std::bit_cast<int>(a); }
inline unsigned __float_as_uint(float a) { return std::bit_cast<unsigned>(a); }
inline float __int_as_float(int a) { return std::bit_cast<float>(a); }
inline float __uint_as_float(unsigned a) { return std::bit_cast<float>(a); }
inline int __popc(unsigned a) { return std::popcount(a); }
inline int __clz(int a) { return std::countl_zero(unsigned(a)); }
inline int __ffs(int a) { return a ? std::countr_zero(unsigned(a)) + 1 : 0; }

// Cache hints. On a GPU they change the time, not the value.
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldca(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
void __stcg(T* p, T value) {
  *p = value;
}
template <class T>
void __stcs(T* p, T value) {
  *p = value;
}
