// Votes, shuffles and reductions of a warp.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "simt/device/barriers.hpp"

namespace simt::device {

/// The value of lane `source`, as read by `lane`. A source outside the mask yields bytes of 0xff: NaN, or -1.
template <class T, class Source>
T shuffle(const char* name, unsigned mask, T value, int argument, int width, Location where, Source) {
  static_assert(std::is_trivially_copyable_v<T>);
  T result;
  WarpCall call{name, mask, [](const WarpCall& mine, unsigned lane, const void* const* lanes) {
                  const int first = int(lane) & ~(mine.width - 1);
                  const int source = Source{}(int(lane), first, mine.width, mine.argument);
                  if (source >= 0 && source < 32 && lanes[source])
                    std::memcpy(mine.out, lanes[source], sizeof(T));
                  else
                    std::memset(mine.out, 0xff, sizeof(T));
                }};
  call.in = &value;
  call.out = &result;
  call.bytes = sizeof(T);
  call.argument = argument;
  call.width = width;
  warp(call, where);
  return result;
}

/// Folds the values of all lanes that take part, in rising order: Fold{}(accumulator, value, lane, own value,
/// first?).
template <class T, class Result, class Fold>
Result fold(const char* name, unsigned mask, T value, Location where, Fold) {
  static_assert(std::is_trivially_copyable_v<T>);
  Result result;
  WarpCall call{name, mask, [](const WarpCall& mine, unsigned, const void* const* lanes) {
                  T own;
                  std::memcpy(&own, mine.in, sizeof(T));
                  Result accumulator{};
                  bool first = true;
                  for (unsigned k = 0; k < 32; ++k) {
                    if (!lanes[k]) continue;
                    T given;
                    std::memcpy(&given, lanes[k], sizeof(T));
                    accumulator = Fold{}(accumulator, given, k, own, first);
                    first = false;
                  }
                  std::memcpy(mine.out, &accumulator, sizeof(Result));
                }};
  call.in = &value;
  call.out = &result;
  call.bytes = sizeof(T);
  warp(call, where);
  return result;
}

}  // namespace simt::device

inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_HERE) {
  simt::device::WarpCall call{"__syncwarp", mask, nullptr};
  call.orders_memory = true;
  simt::device::warp(call, where);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, SIMT_HERE) {
  return simt::device::shuffle("__shfl_sync", mask, value, source, width, where,
                               [](int, int first, int w, int k) { return first + (k & (w - 1)); });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_HERE) {
  return simt::device::shuffle(
      "__shfl_up_sync", mask, value, int(delta), width, where,
      [](int lane, int first, int, int k) { return lane - k < first ? lane : lane - k; });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_HERE) {
  return simt::device::shuffle(
      "__shfl_down_sync", mask, value, int(delta), width, where,
      [](int lane, int first, int w, int k) { return lane + k >= first + w ? lane : lane + k; });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, SIMT_HERE) {
  return simt::device::shuffle(
      "__shfl_xor_sync", mask, value, bits, width, where,
      [](int lane, int first, int w, int k) { return (lane ^ k) >= first + w ? lane : lane ^ k; });
}

inline unsigned __ballot_sync(unsigned mask, int predicate, SIMT_HERE) {
  return simt::device::fold<int, unsigned>(
      "__ballot_sync", mask, predicate, where,
      [](unsigned sum, int p, unsigned k, int, bool) { return sum | unsigned(p != 0) << k; });
}
inline int __any_sync(unsigned mask, int predicate, SIMT_HERE) {
  return simt::device::fold<int, int>("__any_sync", mask, predicate, where,
                                      [](int any, int p, unsigned, int, bool) { return int(any || p); });
}
inline int __all_sync(unsigned mask, int predicate, SIMT_HERE) {
  return simt::device::fold<int, int>(
      "__all_sync", mask, predicate, where,
      [](int all, int p, unsigned, int, bool first) { return int((first || all) && p); });
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, SIMT_HERE) {
  return simt::device::fold<T, unsigned>(
      "__match_any_sync", mask, value, where, [](unsigned equal, T v, unsigned k, T own, bool) {
        return equal | unsigned(std::memcmp(&v, &own, sizeof(T)) == 0) << k;
      });
}
template <class T>
T __reduce_add_sync(unsigned mask, T value, SIMT_HERE) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return simt::device::fold<T, T>("__reduce_add_sync", mask, value, where, [](T sum, T v, unsigned, T, bool) {
    return T(unsigned(sum) + unsigned(v));
  });
}
template <class T>
T __reduce_min_sync(unsigned mask, T value, SIMT_HERE) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return simt::device::fold<T, T>(
      "__reduce_min_sync", mask, value, where,
      [](T least, T v, unsigned, T, bool first) { return first || v < least ? v : least; });
}
template <class T>
T __reduce_max_sync(unsigned mask, T value, SIMT_HERE) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return simt::device::fold<T, T>(
      "__reduce_max_sync", mask, value, where,
      [](T most, T v, unsigned, T, bool first) { return first || v > most ? v : most; });
}
