#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

// How the CPU path keeps its own matrices and vectors: a row of N numbers is padded to whole blocks of 64
// bytes, so that every row begins aligned and ends with whole vectors. What stands in the padding never
// reaches an answer.
namespace plasticity::cpu {

/// Numbers in 64 bytes.
template <class Real>
inline constexpr std::int64_t row_lanes = 64 / static_cast<std::int64_t>(sizeof(Real));

/// The length of a padded row of N numbers.
template <class Real>
constexpr std::int64_t padded(std::int64_t N) {
  return (N + row_lanes<Real> - 1) / row_lanes<Real> * row_lanes<Real>;
}

/// Some columns of a padded matrix; both numbers are multiples of row_lanes.
struct Columns {
  std::int64_t first, count;
};

/// A sweep over large matrices is cut into shares of columns, which different threads may take. The cut
/// depends on N alone, for sums over a row are taken share by share and must not depend on the threads.
inline std::int64_t share_count(std::int64_t N) {
  return static_cast<std::int64_t>(
      std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(N / 128, 1))));
}

/// Columns of the widest share, padding included.
inline constexpr std::int64_t widest_share = 256;

template <class Real>
Columns share_of(std::int64_t N, std::int64_t share) {
  const std::int64_t blocks = padded<Real>(N) / row_lanes<Real>, shares = share_count(N);
  const std::int64_t begin = blocks * share / shares, end = blocks * (share + 1) / shares;
  return {begin * row_lanes<Real>, (end - begin) * row_lanes<Real>};
}

}  // namespace plasticity::cpu
