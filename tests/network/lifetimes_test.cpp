// A window owns copies of its inputs and masks: the caller may reuse or free its buffers after forward().
#include <gtest/gtest.h>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t B = 2;

Network make(const Spec& spec) { return Network(spec, {.batch = B, .device = Device::cpu(1), .seed = 3}); }

TEST(Lifetimes, OneObservationBufferRefilledEveryStep) {
  constexpr std::int64_t T = 5, I = 3, N = 6;
  const Spec spec{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = I, .neurons = N, .clip = .5};
  const std::vector<float> x = noise(T * B * I, 1), dy = noise(B * N, 2);
  Network separate = make(spec), refilled = make(spec);
  std::vector<float> observation(B * I);
  for (std::size_t t = 0; t < T; ++t) {
    const std::span<const float> row = std::span(x).subspan(t * B * I, B * I);
    separate.forward({.x = row});
    std::copy(row.begin(), row.end(), observation.begin());
    refilled.forward({.x = observation});
  }
  for (std::int64_t t = 0; t < T; ++t) {
    separate.backward(dy);
    refilled.backward(dy);
  }
  EXPECT_EQ(gradients_of(refilled), gradients_of(separate));
}

TEST(Lifetimes, EveryInputAndMaskMayBeATemporary) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 24; ++trial) {
    const Spec spec = random_spec(random, 7, 3);
    const std::uint64_t seed = random();
    const auto dy = noise(static_cast<std::size_t>(4 * B * spec.neurons), seed);
    const MaskChoice masks{.reset = true, .length = true, .clamp = true};
    Network kept = make(spec), freed = make(spec);
    const Episode episode(spec, 4, B, seed, masks);
    kept.forward(episode.sequence());
    {
      Episode temporary(spec, 4, B, seed, masks);
      freed.forward(temporary.sequence());
      for (auto& [name, values] : temporary.buffers.inputs) std::fill(values.begin(), values.end(), 9.0f);
      std::fill(temporary.problem.reset.begin(), temporary.problem.reset.end(), std::uint8_t{1});
      std::fill(temporary.problem.length.begin(), temporary.problem.length.end(), 0);
      std::fill(temporary.problem.clamp.begin(), temporary.problem.clamp.end(), std::uint8_t{1});
    }
    kept.backward(dy);
    freed.backward(dy);
    EXPECT_EQ(gradients_of(freed), gradients_of(kept)) << to_string(spec);
  }
}

}  // namespace
}  // namespace plasticity::testing
