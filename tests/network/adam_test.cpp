// Adam and gradient clipping, compared with hand-written formulas; Adam's files.
#include <gtest/gtest.h>

#include <cmath>

#include "plasticity/plasticity.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

TEST(Adam, MatchesThePaper) {
  std::vector<float> value{1, -2}, gradient{.5f, -.1f};
  const std::vector<ParameterView> parameters{{"p", Shape{{2}, 1}, value, gradient}};
  Adam adam({.learning_rate = .1});
  double m[2]{}, v[2]{}, want[2]{1, -2};
  const double tolerance = 1e-5;  // a few float roundings of 6e-8 per step, in values up to 2
  for (int step = 1; step <= 5; ++step) {
    for (int k = 0; k < 2; ++k) {
      const double g = gradient[static_cast<std::size_t>(k)];
      m[k] = .9 * m[k] + .1 * g;
      v[k] = .999 * v[k] + .001 * g * g;
      want[k] -=
          .1 * (m[k] / (1 - std::pow(.9, step))) / (std::sqrt(v[k] / (1 - std::pow(.999, step))) + 1e-8);
    }
    adam.step(parameters);
    EXPECT_NEAR(value[0], want[0], tolerance);
    EXPECT_NEAR(value[1], want[1], tolerance);
    gradient[0] *= -.7f;
  }
  EXPECT_EQ(adam.steps(), 5);
}

TEST(Adam, ResumesFromCheckpoint) {
  std::vector<float> a{1, 2, 3}, b = a, gradient{.1f, -.2f, .3f};
  const std::vector<ParameterView> first{{"p", Shape{{3}, 1}, a, gradient}},
      second{{"p", Shape{{3}, 1}, b, gradient}};
  Adam uninterrupted, interrupted;
  for (int step = 0; step < 3; ++step) uninterrupted.step(first);
  interrupted.step(second);
  io::TensorFile file;
  interrupted.save(file);
  Adam resumed;
  resumed.load(file);
  for (int step = 0; step < 2; ++step) resumed.step(second);
  EXPECT_EQ(a, b);
  EXPECT_EQ(resumed.steps(), 3);
}

TEST(Adam, RejectsWrongParametersAndChangesNothing) {
  std::vector<float> a{1, 2}, b{3, 4, 5}, short_gradient{.1f}, gradient(2, .5f), longer(3, .5f);
  const ParameterView good{"a", Shape{{2}, 1}, a, gradient};
  const auto expect_rejected = [&](const ParameterView& wrong, const std::string& part) {
    Adam adam;
    adam.step(std::vector{good});
    const std::vector<float> before = a;
    expect_error([&] { adam.step(std::vector{good, wrong}); }, ErrorCode::invalid_argument, part);
    EXPECT_EQ(a, before);
    EXPECT_EQ(adam.steps(), 1);
  };
  expect_rejected(good, "parameter 'a': occurs twice");
  expect_rejected({"b", Shape{{2}, 1}, a, short_gradient},
                  "parameter 'b': expected a gradient of 2 elements, got 1");
  Adam adam;
  adam.step(std::vector{good});
  expect_error(
      [&] {
        adam.step(std::vector{ParameterView{"a", Shape{{3}, 1}, b, longer}});
      },
      ErrorCode::invalid_argument, "parameter 'a': expected 2 elements, as in earlier steps, got 3");
  EXPECT_EQ(b, (std::vector<float>{3, 4, 5}));
}

TEST(Adam, RejectsWrongFilesAndChangesNothing) {
  std::vector<float> a{1, 2}, gradient(2, .5f);
  const std::vector<ParameterView> parameters{{"a", Shape{{2}, 1}, a, gradient}};
  Adam adam;
  adam.step(parameters);
  io::TensorFile good;
  adam.save(good);
  const auto expect_rejected = [&](const io::TensorFile& wrong, const std::string& part) {
    expect_error([&] { adam.load(wrong); }, ErrorCode::format, part);
    EXPECT_EQ(adam.steps(), 1);
    io::TensorFile after;
    adam.save(after);
    EXPECT_EQ(after.metadata, good.metadata);
    EXPECT_EQ(after.tensors, good.tensors);
  };
  expect_rejected({}, "metadata 'adam.steps', got none");
  for (const char* steps : {"", "many", "-1", "3 ", "99999999999999999999"}) {
    io::TensorFile wrong = good;
    wrong.metadata["adam.steps"] = steps;
    expect_rejected(wrong,
                    std::string("metadata 'adam.steps': expected a number of steps, got '") + steps + "'");
  }
  io::TensorFile without = good, uneven = good;
  without.tensors.erase("adam.a.v");
  expect_rejected(without, "adam.a.v");
  uneven.tensors["adam.a.v"] = io::make_tensor({3}, std::vector<float>(3));
  expect_rejected(uneven, "tensor 'adam.a.v': expected 2 elements, got 3");
}

TEST(ClipGradients, ScalesOnlyLargeGradients) {
  std::vector<float> value(2), first{3, 0}, second{0, 4};
  const std::vector<ParameterView> parameters{{"a", Shape{{2}, 1}, value, first},
                                              {"b", Shape{{2}, 1}, value, second}};
  EXPECT_DOUBLE_EQ(clip_gradients(parameters, 10), 5);
  EXPECT_EQ(first[0], 3);
  EXPECT_DOUBLE_EQ(clip_gradients(parameters, 1), 5);
  EXPECT_FLOAT_EQ(first[0], .6f);
  EXPECT_FLOAT_EQ(second[1], .8f);
}

TEST(Adam, TheLearningRateIsInTheFile) {
  io::TensorFile file;
  Adam adam({.learning_rate = 1e-3}), other({.learning_rate = .5});
  adam.set_learning_rate(.0123);
  adam.save(file);
  other.load(file);
  EXPECT_EQ(other.learning_rate(), .0123);

  file.metadata.erase("adam.learning_rate");  // as version 0.1 writes it
  Adam old({.learning_rate = .5});
  old.load(file);
  EXPECT_EQ(old.learning_rate(), .5);
  for (const char* wrong : {"", "fast", "-1", "inf", "1e-3 "}) {
    file.metadata["adam.learning_rate"] = wrong;
    EXPECT_THROW(old.load(file), Error) << wrong;
  }
}

TEST(Adam, NamesAFileThatHasNoName) {
  Adam adam;
  expect_exact_error([&] { adam.load({}); }, ErrorCode::format,
                     "file: expected metadata 'adam.steps', got none");
}

}  // namespace
}  // namespace plasticity::testing
