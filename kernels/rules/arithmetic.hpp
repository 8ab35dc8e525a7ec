// The arithmetic of the rules. V is float, double, or on the CPU a vector of them, one connection per lane. A
// product that is added to something is written as multiply_add(), and on the CPU the compiler fuses no
// others (-ffp-contract=off): an expression then has the same bits wherever it is used.
#pragma once

#include <type_traits>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

#ifdef __CUDACC__
#define PLASTICITY_HOST_DEVICE __host__ __device__
#else
#define PLASTICITY_HOST_DEVICE
#endif

namespace plasticity {

/// `mask ? a : b`, per lane.
template <class Mask, class V>
PLASTICITY_HOST_DEVICE inline V select(Mask mask, V a, V b) {
  return mask ? a : b;
}

/// a b + c, rounded once if the processor has an instruction for it.
template <class V>
PLASTICITY_HOST_DEVICE inline V multiply_add(V a, V b, V c) {
  return a * b + c;
}
#ifdef __CUDACC__
PLASTICITY_HOST_DEVICE inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
#endif

/// a b, rounded on its own: no compiler fuses it into a sum.
template <class V>
PLASTICITY_HOST_DEVICE inline V rounded_product(V a, V b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

/// `value` in every lane.
template <class V>
PLASTICITY_HOST_DEVICE inline V broadcast(double value) {
  if constexpr (std::is_floating_point_v<V>) {
    return static_cast<V>(value);
  } else {
    return static_cast<std::remove_cvref_t<decltype(V{}[0])>>(value) - V{};
  }
}

/// |value|.
template <class V>
PLASTICITY_HOST_DEVICE inline V magnitude(V value) {
  return select(value < V{}, -value, value);
}

/// max(value, low); NaN stays NaN.
template <class V>
PLASTICITY_HOST_DEVICE inline V at_least(V value, V low) {
  return select(value < low, low, value);
}
/// min(value, high); NaN stays NaN.
template <class V>
PLASTICITY_HOST_DEVICE inline V at_most(V value, V high) {
  return select(value > high, high, value);
}
#ifdef __CUDA_ARCH__
__device__ inline float magnitude(float value) { return fabsf(value); }
__device__ inline float at_least(float value, float low) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(value), "f"(low));
  return result;
}
__device__ inline float at_most(float value, float high) {
  float result;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(value), "f"(high));
  return result;
}
#endif

// One instruction each. If an operand of a minimum or maximum is NaN, the result is the second operand. (The
// masks select all lanes; g++ 12 warns about the definition of the functions without a mask.)
#if defined(__AVX512F__)
inline __m512 multiply_add(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
inline __m512d multiply_add(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
inline __m512 magnitude(__m512 value) { return _mm512_abs_ps(value); }
inline __m512d magnitude(__m512d value) { return _mm512_abs_pd(value); }
inline __m512 at_least(__m512 value, __m512 low) { return _mm512_maskz_max_ps(__mmask16(-1), low, value); }
inline __m512d at_least(__m512d value, __m512d low) { return _mm512_maskz_max_pd(__mmask8(-1), low, value); }
inline __m512 at_most(__m512 value, __m512 high) { return _mm512_maskz_min_ps(__mmask16(-1), high, value); }
inline __m512d at_most(__m512d value, __m512d high) { return _mm512_maskz_min_pd(__mmask8(-1), high, value); }
#elif defined(__AVX2__) && defined(__FMA__)
inline __m256 multiply_add(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
inline __m256d multiply_add(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
inline __m256 magnitude(__m256 value) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), value); }
inline __m256d magnitude(__m256d value) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), value); }
inline __m256 at_least(__m256 value, __m256 low) { return _mm256_max_ps(low, value); }
inline __m256d at_least(__m256d value, __m256d low) { return _mm256_max_pd(low, value); }
inline __m256 at_most(__m256 value, __m256 high) { return _mm256_min_ps(high, value); }
inline __m256d at_most(__m256d value, __m256d high) { return _mm256_min_pd(high, value); }
#endif

/// min(max(value, -limit), limit); NaN stays NaN.
template <class V>
PLASTICITY_HOST_DEVICE inline V clamp(V value, V limit) {
  return at_most(at_least(value, -limit), limit);
}

/// The adjoint of clamp(): `gradient` if -limit <= value <= limit, else zero.
template <class V>
PLASTICITY_HOST_DEVICE inline V through_clamp(V value, V limit, V gradient) {
  return select(clamp(value, limit) == value, gradient, V{});
}

}  // namespace plasticity
