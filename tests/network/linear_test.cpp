// The linear layer, compared with differences; its errors.
#include <gtest/gtest.h>

#include <random>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

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

TEST(Linear, TooLargeIsAnErrorOfTheLibrary) {
  expect_exact_error([] { Linear(1'000'000'000, 1'000'000'000, 1); }, ErrorCode::invalid_argument,
                     "outputs: expected at most 281474 for 1000000000 inputs, got 1000000000");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose operator new ends the program
  expect_error([] { Linear(1'000'000'000, 200'000, 1); }, ErrorCode::out_of_memory, "");
#endif
}

TEST(Linear, NamesTheWrongArgument) {
  Linear layer(2, 3, 1);
  std::vector<float> x(4), dy(5), dx(4);
  expect_exact_error([&] { layer.backward(x, dy, dx); }, ErrorCode::invalid_argument,
                     "dy: expected 2 rows of 3 elements, got 5 elements");
}

TEST(Linear, DoesNotOverwriteItsInput) {
  Linear layer(3, 3, 1);
  std::vector<float> x = noise(6, 1), dy = noise(6, 2);
  const auto refused = [](auto call, const std::string& message) {
    expect_error(call, ErrorCode::invalid_argument, message);
  };
  refused([&] { layer.forward(x, x); }, "args.y: overlaps args.x");
  refused([&] { layer.backward(x, dy, dy); }, "args.dx: overlaps args.dy");
  refused([&] { layer.backward(x, dy, x); }, "args.dx: overlaps args.x");
  const std::vector<ParameterView> views = layer.parameters();
  const std::vector<float> row(3);
  refused([&] { layer.backward(row, row, views[0].value.first(3)); }, "dx: overlaps weight");
  refused([&] { layer.backward(row, row, views[1].value); }, "dx: overlaps bias");
  const std::vector<std::int64_t> labels{0, 1};
  refused([&] { softmax_cross_entropy(x, labels, 3, x); }, "args.dlogits: overlaps args.logits");
}

TEST(Linear, ViewsSurviveAnAssignment) {
  Linear layer(3, 2, 1);
  const std::vector<ParameterView> views = layer.parameters();
  const Linear best = layer;
  Adam adam;
  adam.step(views);
  layer = best;
  adam.step(views);
  EXPECT_EQ(layer.parameters()[0].version, views[0].version);
}

}  // namespace
}  // namespace plasticity::testing
