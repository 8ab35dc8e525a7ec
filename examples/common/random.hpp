#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace examples {

/// Random numbers with equal bits on every platform. The standard defines the bits of engines, but not of
/// distributions.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
    engine_.seed(sequence);
  }
  /// A number in [0, 1).
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  /// An integer in 0..count-1.
  std::size_t below(std::size_t count) {
    return static_cast<std::size_t>(uniform() * static_cast<double>(count));
  }
  bool coin() { return uniform() < .5; }
  float sign() { return coin() ? 1.0f : -1.0f; }
  /// The numbers 0..count-1 in random order.
  std::vector<std::size_t> permutation(std::size_t count) {
    std::vector<std::size_t> order(count);
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t at = below(k + 1);
      order[k] = order[at];
      order[at] = k;
    }
    return order;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace examples
