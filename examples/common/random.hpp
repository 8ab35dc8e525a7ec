#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace examples {

/// Random numbers with the same bits everywhere: the standard fixes its engines, not its distributions.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
    engine_.seed(sequence);
  }
  /// In [0, 1).
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  /// In 0..count-1.
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
