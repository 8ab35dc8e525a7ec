#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

// The layout of the CPU backend's own matrices and vectors. A row of N numbers is padded to a multiple of 64
// bytes, so that every row is aligned and consists of whole vectors. Padding never affects a result.
namespace plasticity::cpu {

/// Numbers in 64 bytes.
template <class Real>
inline constexpr std::int64_t row_lanes = 64 / static_cast<std::int64_t>(sizeof(Real));

/// The length of a padded row of N numbers.
template <class Real>
constexpr std::int64_t padded(std::int64_t N) {
  return (N + row_lanes<Real> - 1) / row_lanes<Real> * row_lanes<Real>;
}

/// Copies a vector. For a short one this takes a fraction of the time of a call of memmove(). The vectors
/// must not overlap.
template <class Real>
inline void copy_vector(const Real* from, std::int64_t count, Real* to) {
  std::int64_t k = 0;
  for (; k + row_lanes<Real> <= count; k += row_lanes<Real>) std::memcpy(to + k, from + k, 64);
  for (; k < count; ++k) to[k] = from[k];
}

/// A range of columns of a padded matrix. Both numbers are multiples of row_lanes.
struct Columns {
  std::int64_t first, count;
};

/// Number of shares, ranges of columns that different threads may sweep. It depends on N only, because sums
/// over a row are computed share by share and must not depend on the threads.
inline std::int64_t share_count(std::int64_t N) {
  return static_cast<std::int64_t>(
      std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(N / 128, 1))));
}

/// Columns of the widest share, including padding.
inline constexpr std::int64_t widest_share = 256;

template <class Real>
Columns share_of(std::int64_t N, std::int64_t share) {
  const std::int64_t blocks = padded<Real>(N) / row_lanes<Real>, shares = share_count(N);
  if (shares == 1) return {0, padded<Real>(N)};  // without the divisions, for small steps
  const std::int64_t begin = blocks * share / shares, end = blocks * (share + 1) / shares;
  return {begin * row_lanes<Real>, (end - begin) * row_lanes<Real>};
}

}  // namespace plasticity::cpu
