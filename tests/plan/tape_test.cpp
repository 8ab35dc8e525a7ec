// backward() refuses a tape that forward() of an equal plan did not write, and changes nothing.
#include <gtest/gtest.h>

#include <cstring>

#include "plasticity/plasticity.hpp"
#include "problems/plan_runner.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

const Spec rnn{.cell = Cell::rnn, .inputs = 0, .neurons = 5};

/// A plan of 4 steps for 2 batch elements with all the memory of its calls.
struct Recording {
  explicit Recording(const Spec& spec, std::int64_t T = 4, std::int64_t B = 2, std::int64_t K = 2,
                     Precision precision = Precision::f32)
      : plan(spec, {.steps = T,
                    .batch = B,
                    .device = Device::cpu(1),
                    .precision = precision,
                    .checkpoint_interval = K}),
        problem(make_test_case(spec, T, B, 7, {})),
        buffers(problem),
        tape(plan.tape_bytes() + 65536),
        scratch(plan.scratch_bytes() + 65536) {}

  void forward() { plan.forward({}, buffers.forward, tape.as<Tape>(), scratch.as<Scratch>()); }
  /// Returns the message of backward() with another tape, and checks that no gradient has changed.
  std::string error(Tape other) {
    const std::vector<float> before(buffers.backward.dparameters.w, buffers.backward.dparameters.w + 25);
    try {
      plan.backward({}, buffers.backward, other, scratch.as<Scratch>());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_EQ(std::memcmp(before.data(), buffers.backward.dparameters.w, 25 * sizeof(float)), 0);
      return error.what();
    }
    return "no error";
  }

  Plan plan;
  TestCase problem;
  Buffers<float> buffers;
  GuardedMemory tape, scratch;
};

TEST(Tape, MustBeWritten) {
  Recording recording(rnn);
  EXPECT_EQ(recording.error(recording.tape.as<Tape>()),
            "tape: expected a tape that forward() has written, got memory without a recorded pass");
  recording.forward();
  EXPECT_EQ(recording.error(recording.tape.as<Tape>()), "no error");
  EXPECT_EQ(recording.error(recording.tape.as<Tape>()), "no error")
      << "a tape serves several backward passes";
}

TEST(Tape, MustBeOfAnEqualPlan) {
  Recording recording(rnn);
  recording.forward();
  Recording equal(rnn);
  EXPECT_EQ(equal.error(recording.tape.as<Tape>()), "no error");

  Spec relu = rnn, oja = rnn;
  relu.activation = Activation::relu;
  oja.rule = Rule::oja;
  for (const Spec& other : {relu, oja}) {
    Recording wrong(other);
    EXPECT_EQ(wrong.error(recording.tape.as<Tape>()), "tape: expected a tape of " + to_string(other) +
                                                          " T=4 B=2 K=2 f32, got one of " + to_string(rnn) +
                                                          " T=4 B=2 K=2 f32");
  }
  Recording longer(rnn, 5), wider(rnn, 4, 3), stored(rnn, 4, 2, 1), rounded(rnn, 4, 2, 2, Precision::bf16);
  for (Recording* wrong : {&longer, &wider, &stored, &rounded}) {
    const std::string message = wrong->error(recording.tape.as<Tape>());
    EXPECT_TRUE(message.starts_with("tape: expected a tape of rnn decay")) << message;
    EXPECT_TRUE(message.ends_with("T=4 B=2 K=2 f32")) << message;
  }
}

TEST(Tape, BackwardNeedsTheMasksOfForward) {
  const std::vector<std::uint8_t> reset(4 * 2), clamp(4 * 2 * 5);
  const std::vector<std::int64_t> length(2, 4);
  const std::vector<float> clamp_value(4 * 2 * 5);
  const std::pair<std::string, Masks<float>> cases[] = {
      {"reset", {.reset = reset.data()}},
      {"length", {.length = length.data()}},
      {"clamp", {.clamp = clamp.data(), .clamp_value = clamp_value.data()}}};
  const Spec nonplastic{
      .cell = Cell::rnn, .rate = Rate::fixed, .alpha = Granularity::none, .inputs = 0, .neurons = 5};
  for (const Spec& spec : {rnn, nonplastic}) {
    for (const auto& [name, masks] : cases) {
      Recording recording(spec);
      recording.buffers.forward.masks = recording.buffers.backward.masks = {};
      recording.forward();
      recording.buffers.backward.masks = masks;
      EXPECT_EQ(recording.error(recording.tape.as<Tape>()),
                "masks." + name + ": expected null, as in forward(), got a mask");
      recording.buffers.forward.masks = masks;
      recording.forward();
      EXPECT_EQ(recording.error(recording.tape.as<Tape>()), "no error");
      recording.buffers.backward.masks = {};
      EXPECT_EQ(recording.error(recording.tape.as<Tape>()),
                "masks." + name + ": expected a mask, as forward() had, got null");
    }
  }
}

TEST(Tape, NullWithASizeIsRefused) {
  Recording recording(rnn);
  const Tape null{{nullptr, recording.plan.tape_bytes()}};
  EXPECT_NE(recording.error(null).find("tape.data: expected"), std::string::npos);
  expect_error(
      [&] { recording.plan.forward({}, recording.buffers.forward, null, recording.scratch.as<Scratch>()); },
      ErrorCode::invalid_argument, "tape.data: expected");
}

}  // namespace
}  // namespace plasticity::testing
