// Losses and the core calls of training.hpp, compared with hand-written formulas and differences.
#include <gtest/gtest.h>

#include <cmath>

#include "plasticity/plasticity.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

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

TEST(Losses, TheGradientMayReplaceAnArgumentAsAWhole) {
  std::vector<float> y{1, 2, 3, 4}, target{0, 0, 0, 0};
  const std::span<float> values(y), targets(target);
  const std::vector<float> three(3);
  const auto refused = [](auto call, const std::string& message) {
    expect_exact_error(call, ErrorCode::invalid_argument, message);
  };
  refused([&] { mse_loss(values.first(3), three, values.last(3)); }, "args.dy: overlaps args.y");
  refused([&] { mse_loss(three, targets.first(3), targets.last(3)); }, "args.dy: overlaps args.target");
  mse_loss(y, target, target);
  EXPECT_EQ(target, (std::vector<float>{.5f, 1, 1.5f, 2}));
  mse_loss(y, std::vector<float>(4), y);
  EXPECT_EQ(y, target);
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

TEST(SquaredError, LossAndGradientFollowTheReduction) {
  const std::vector<float> y{1, 2, 3, 4}, target{0, 1, 1, 2};
  const std::vector<std::uint8_t> mask{1, 0, 1, 1};
  std::vector<float> dy(4);
  double loss = 0;
  SquaredErrorArgs args{.elements = 4,
                        .y = y.data(),
                        .target = target.data(),
                        .mask = mask.data(),
                        .dy = dy.data(),
                        .loss = &loss};
  const Device device = Device::cpu(1);
  EXPECT_EQ(training_scratch_bytes(device), 0u);
  squared_error(device, {}, args, {});
  EXPECT_DOUBLE_EQ(loss, (1 + 4 + 4) / 3.0);
  EXPECT_FLOAT_EQ(dy[2], 4 / 3.0f);
  args.reduction = Reduction::sum;
  squared_error(device, {}, args, {});
  EXPECT_EQ(loss, 9);
  EXPECT_EQ(dy, (std::vector<float>{2, 0, 4, 4}));
  args.reduction = Reduction::relative;
  squared_error(device, {}, args, {});
  EXPECT_DOUBLE_EQ(loss, 9 / 5.0);
  EXPECT_FLOAT_EQ(dy[3], 4 / 5.0f);
  args.elements = 1;  // all targets are 0
  squared_error(device, {}, args, {});
  EXPECT_EQ(loss, 0);
  EXPECT_EQ(dy[0], 0);
  const std::vector<float> dy_before = dy;
  args.elements = -1;
  EXPECT_THROW(squared_error(device, {}, args, {}), Error);
  args = {.elements = 4, .y = y.data()};
  EXPECT_THROW(squared_error(device, {}, args, {}), Error);
  EXPECT_EQ(dy, dy_before);
}

TEST(AdamStep, ErrorNamesTheMissingTensor) {
  std::vector<float> values(4);
  const AdamScales scales = adam_scales({}, 1);
  const std::vector<TrainedTensor> tensors{
      {}, {.value = values.data(), .gradient = values.data(), .elements = 4}};
  expect_error([&] { adam_step(Device::cpu(1), {}, tensors, {}, &scales); }, ErrorCode::invalid_argument,
               "tensors[1].first");
  EXPECT_THROW(adam_step(Device::cpu(1), {}, {}, {}, nullptr), Error);
  EXPECT_THROW(adam_scales({}, 0), Error);
  EXPECT_THROW(clip_gradients(Device::cpu(1), {}, {}, 0, nullptr, {}), Error);
}

}  // namespace
}  // namespace plasticity::testing
