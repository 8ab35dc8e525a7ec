// Rounding of traces to bfloat16 on their side of the clip. The CUDA kernels use the same functions.
#include "cpu/rounded_traces.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace plasticity::testing {
namespace {

constexpr float clips[] = {1e-3f, .05f, .3f, .5f, 1, 1.503f, 2, 700};  // bfloat16 rounds some up, some down

Spec clipping(Rule rule, float clip) { return {.rule = rule, .neurons = 1, .clip = clip}; }

/// Values of both signs from two bfloat16 steps below `clip` to two above, including the clip.
std::vector<float> around(float clip) {
  std::vector<float> values;
  for (int places = -2 * 0x10000; places <= 2 * 0x10000; places += 0x40) {
    const float value =
        std::bit_cast<float>(std::bit_cast<std::uint32_t>(clip) + static_cast<std::uint32_t>(places));
    for (const float sign : {1.0f, -1.0f}) values.push_back(sign * value);
  }
  return values;
}

/// `values` as the tape stores them.
std::vector<float> kept(const Spec& spec, const std::vector<float>& values) {
  std::vector<cpu::Bfloat16> tape(values.size());
  cpu::RoundedTraces(spec).keep(std::ssize(values), values.data(), tape.data());
  std::vector<float> result;
  for (const cpu::Bfloat16 rounded : tape) result.push_back(cpu::to_float(rounded));
  return result;
}

float restored(const Spec& spec, float rounded) {
  const cpu::Bfloat16 stored = cpu::to_bfloat16(rounded);
  float result = NAN;
  cpu::RoundedTraces(spec).restore(1, &stored, &result);
  return result;
}

TEST(RoundedTraces, AreOnTheirSideOfTheClip) {
  for (const float clip : clips) {
    const std::vector<float> values = around(clip);
    const float bound = cpu::to_float(cpu::to_bfloat16(clip));
    const std::vector<float> hard = kept(clipping(Rule::hard_clip, clip), values);
    const std::vector<float> read = kept(clipping(Rule::read_clip, clip), values);
    for (std::size_t k = 0; k < values.size(); ++k) {
      ASSERT_EQ(std::abs(hard[k]) >= bound, std::abs(values[k]) >= clip) << values[k] << ", clip " << clip;
      ASSERT_EQ(std::abs(hard[k]) > bound, std::abs(values[k]) > clip) << values[k] << ", clip " << clip;
      ASSERT_EQ(std::abs(read[k]) > bound, std::abs(values[k]) > clip) << values[k] << ", clip " << clip;
    }
  }
}

// The nearest bfloat16 unless it is on the other side of the clip, then its neighbour.
TEST(RoundedTraces, AreTheNearestOnTheirSide) {
  for (const float clip : clips) {
    const std::vector<float> values = around(clip);
    const float place = clip * 0x1p-7f;  // of the last bit, at most
    for (const Rule rule : {Rule::hard_clip, Rule::read_clip, Rule::decay}) {
      const std::vector<float> tape = kept(clipping(rule, clip), values);
      for (std::size_t k = 0; k < values.size(); ++k) {
        const float nearest = cpu::to_float(cpu::to_bfloat16(values[k]));
        ASSERT_EQ(std::signbit(tape[k]), std::signbit(values[k]));
        if (rule == Rule::decay || std::abs(nearest) != cpu::to_float(cpu::to_bfloat16(clip))) {
          ASSERT_EQ(tape[k], nearest) << values[k] << ", clip " << clip;
        } else {
          ASSERT_LE(std::abs(tape[k] - nearest), place) << values[k] << ", clip " << clip;
        }
      }
    }
  }
}

TEST(RoundedTraces, RestoreTheClipExactly) {
  for (const float clip : clips) {
    const Spec hard = clipping(Rule::hard_clip, clip), read = clipping(Rule::read_clip, clip);
    for (const float sign : {1.0f, -1.0f}) {
      EXPECT_EQ(restored(hard, kept(hard, {sign * clip})[0]), sign * clip);
      EXPECT_LE(std::abs(restored(read, kept(read, {sign * clip})[0])), clip);
    }
    for (const float value : around(clip)) {
      const float within = restored(hard, kept(hard, {value})[0]),
                  read_as = restored(read, kept(read, {value})[0]);
      ASSERT_EQ(std::abs(within) >= clip, std::abs(value) >= clip) << value << ", clip " << clip;
      ASSERT_EQ(std::abs(within) > clip, std::abs(value) > clip) << value << ", clip " << clip;
      ASSERT_EQ(std::abs(read_as) > clip, std::abs(value) > clip) << value << ", clip " << clip;
    }
    EXPECT_EQ(restored(clipping(Rule::decay, clip), clip), cpu::to_float(cpu::to_bfloat16(clip)));
  }
}

TEST(RoundedTraces, NanAndInfinityStay) {
  for (const Rule rule : {Rule::hard_clip, Rule::read_clip, Rule::decay}) {
    const Spec spec = clipping(rule, .3f);
    const std::vector<float> tape = kept(spec, {NAN, INFINITY, -INFINITY, 0});
    EXPECT_TRUE(std::isnan(tape[0]));
    EXPECT_TRUE(std::isnan(restored(spec, tape[0])));
    for (const std::size_t k : {1u, 2u, 3u}) EXPECT_EQ(restored(spec, tape[k]), tape[k]);
    EXPECT_EQ(tape[1], INFINITY);
    EXPECT_EQ(tape[2], -INFINITY);
    EXPECT_EQ(tape[3], 0);
  }
}

}  // namespace
}  // namespace plasticity::testing
