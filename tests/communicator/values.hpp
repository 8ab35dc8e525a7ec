#pragma once

#include <cmath>
#include <random>
#include <vector>

namespace plasticity::testing {

/// The values of a rank, of very different sizes, so that another order of a sum has other bits.
template <class Real>
std::vector<Real> values_of(int rank, std::size_t count) {
  std::mt19937_64 random(static_cast<std::uint64_t>(rank) + 1);
  std::uniform_real_distribution<double> uniform(-1, 1), exponent(-12, 12);
  std::vector<Real> values(count);
  for (Real& value : values) value = static_cast<Real>(uniform(random) * std::exp2(exponent(random)));
  return values;
}

/// The sum of ranks first .. first+count-1 as communicator.hpp defines it.
template <class Real>
Real tree_of(const std::vector<std::vector<Real>>& all, std::size_t element, std::size_t first,
             std::size_t count) {
  if (count == 1) return all[first][element];
  const std::size_t left = (count + 1) / 2;
  return tree_of(all, element, first, left) + tree_of(all, element, first + left, count - left);
}

/// The sums of `count` values of each rank.
template <class Real>
std::vector<Real> sums_of(int ranks, std::size_t count) {
  std::vector<std::vector<Real>> all;
  for (int r = 0; r < ranks; ++r) all.push_back(values_of<Real>(r, count));
  std::vector<Real> sums(count);
  for (std::size_t k = 0; k < count; ++k) sums[k] = tree_of(all, k, 0, all.size());
  return sums;
}

}  // namespace plasticity::testing
