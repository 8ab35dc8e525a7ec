// Adam, gradient clipping, losses and the linear layer, compared with hand-written formulas and finite
// differences.
#include <gtest/gtest.h>

#include <random>

#include "network/expect_error.hpp"
#include "plasticity/plasticity.hpp"

namespace plasticity {
namespace {

using plasticity::testing::expect_error;

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

TEST(Losses, MeanSquaredErrorIgnoresMaskedEntries) {
  const std::vector<float> y{1, 2, 3, 4}, target{0, 0, 0, 0};
  const std::vector<std::uint8_t> mask{1, 0, 0, 1};
  std::vector<float> dy(4, 9);
  EXPECT_DOUBLE_EQ(mse_loss(y, target, dy, mask), (1 + 16) / 2.0);
  EXPECT_EQ(dy, (std::vector<float>{1, 0, 0, 4}));
  EXPECT_DOUBLE_EQ(mse_loss(y, target, dy), 30 / 4.0);
  EXPECT_EQ(mse_loss(y, target, dy, std::vector<std::uint8_t>(4)), 0);
  EXPECT_EQ(dy, std::vector<float>(4));
}

TEST(Losses, CrossEntropyGradientMatchesDifferences) {
  std::vector<float> logits{.3f, -.2f, 1.1f, 2, .1f, -1, 80, -80, 0}, gradient(9);
  const std::vector<std::int64_t> labels{2, -1, 0};
  const double loss = softmax_cross_entropy(logits, labels, 3, gradient);
  const double first = -std::log(std::exp(1.1) / (std::exp(.3) + std::exp(-.2) + std::exp(1.1)));
  EXPECT_NEAR(loss, first / 2, 1e-6);  // the loss of row 2 is 0, row 1 is ignored
  const float h = 1e-2f;               // the error of central differences is of order h^2
  for (std::size_t k = 0; k < 3; ++k) {
    auto moved = logits;
    moved[k] += h;
    const double up = softmax_cross_entropy(moved, labels, 3, {});
    moved[k] -= 2 * h;
    const double down = softmax_cross_entropy(moved, labels, 3, {});
    EXPECT_NEAR(gradient[k], (up - down) / (2 * h), h * h);
    EXPECT_EQ(gradient[3 + k], 0);
  }
}

TEST(Linear, RejectsMoreWeightsThanAddresses) {
  EXPECT_THROW(Linear(std::int64_t{1} << 40, std::int64_t{1} << 40, 1), Error);
}

TEST(Linear, GradientMatchesDifferences) {
  Linear readout(5, 3, 1, "readout");
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(4 * 5), dy(4 * 3), y(4 * 3), dx(4 * 5);
  for (float& value : x) value = normal(random);
  for (float& value : dy) value = normal(random);
  const auto loss = [&] {
    readout.forward(x, y);
    double sum = 0;
    for (std::size_t k = 0; k < y.size(); ++k) sum += static_cast<double>(y[k]) * dy[k];
    return sum;
  };
  readout.backward(x, dy, dx);
  const auto expect_slope = [&](float& at, float gradient) {
    const float before = at, h = .125f;  // the loss is linear in x, W and b, so h may be large
    at = before + h;
    const double up = loss();
    at = before - h;
    const double down = loss();
    at = before;
    const double tolerance = 1e-4;  // float rounding of the outputs, divided by 2 h
    EXPECT_NEAR(gradient, (up - down) / (2 * h), tolerance);
  };
  for (std::size_t k = 0; k < x.size(); ++k) expect_slope(x[k], dx[k]);
  for (const ParameterView& view : readout.parameters()) {
    for (std::size_t k = 0; k < view.value.size(); ++k) expect_slope(view.value[k], view.gradient[k]);
  }
  EXPECT_EQ(readout.parameters()[0].name, "readout.weight");
  readout.zero_gradients();
  EXPECT_EQ(readout.parameters()[1].gradient[0], 0);
}

}  // namespace
}  // namespace plasticity
