// A gradient that is not finite stops a step of an optimizer before anything changes.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

const float bad_values[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()};

TEST(NotFinite, FailsAndNamesTheTensor) {
  std::vector<float> a{1, 2}, b{3, 4, 5}, a_gradient{1, 1}, b_gradient{1, 1, 1};
  const std::vector<ParameterView> parameters{{"a", Shape{{2}, 1}, a, a_gradient},
                                              {"b", Shape{{3}, 1}, b, b_gradient}};
  for (const float bad : bad_values) {
    Adam adam;
    b_gradient[2] = bad;
    expect_exact_error([&] { adam.step(parameters); }, ErrorCode::invalid_argument,
                       "gradient of 'b': expected finite numbers, got NaN or infinity");
    EXPECT_EQ(a, (std::vector<float>{1, 2}));
    EXPECT_EQ(b, (std::vector<float>{3, 4, 5}));
    EXPECT_EQ(adam.steps(), 0);
  }
}

// The square of a gradient may exceed the largest float. Steps are as of any other gradient of that sign.
TEST(NotFinite, AGradientWithoutAFiniteSquareMakesAnOrdinaryStep) {
  for (const Method method : {Method::adam, Method::rmsprop}) {
    std::vector<float> value{1, 2}, gradient{1e30f, -1e30f};
    const std::vector<ParameterView> parameters{{"a", Shape{{2}, 1}, value, gradient}};
    Optimizer optimizer({.update = {.method = method, .learning_rate = .1}});
    for (int step = 0; step < 4; ++step) {
      const std::vector<float> before = value;
      optimizer.step(parameters);
      // The first step of rmsprop is the largest: 1 / sqrt(1 - beta2) learning rates.
      for (std::size_t k = 0; k < 2; ++k) EXPECT_LE(std::abs(value[k] - before[k]), 3.2f) << "step " << step;
      if (step == 0) {
        EXPECT_LT(value[0], .95f);
        EXPECT_GT(value[1], 2.05f);
      }
      gradient = {2, -2};
    }
  }
}

TEST(NotFinite, TheTrainerFailsAndNamesTheTensor) {
  const Spec spec{.inputs = 3, .neurons = 5};
  const Episode episode(spec, 3, 2, 1);
  Network network(spec, {.batch = 2, .device = Device::cpu(1)});
  Trainer trainer(network);
  trainer.step(episode.sequence(), episode.target);
  std::vector<float> target = episode.target;
  target[4] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> before(network.parameter("w").begin(), network.parameter("w").end());
  EXPECT_THROW(trainer.step(episode.sequence(), target), Error);
  EXPECT_EQ(before, std::vector<float>(network.parameter("w").begin(), network.parameter("w").end()));
  EXPECT_EQ(trainer.steps(), 1);
}

TEST(NotFinite, SkipLeavesEverythingUnchanged) {
  std::vector<float> a{1, 2}, gradient{1, 1};
  const std::vector<ParameterView> parameters{{"a", Shape{{2}, 1}, a, gradient}};
  for (const float bad : bad_values) {
    Adam adam({.not_finite = NotFinite::skip});
    adam.step(parameters);
    const std::vector<float> before = a;
    gradient[1] = bad;
    adam.step(parameters);
    EXPECT_EQ(a, before);
    EXPECT_EQ(adam.steps(), 1);
    EXPECT_EQ(adam.skipped(), 1);
    gradient[1] = 1;
    adam.step(parameters);
    EXPECT_NE(a, before);
    EXPECT_EQ(adam.steps(), 2);
  }
}

TEST(NotFinite, TheTrainerSkips) {
  const Spec spec{.inputs = 3, .neurons = 5};
  const Episode episode(spec, 3, 2, 1);
  Network network(spec, {.batch = 2, .device = Device::cpu(1)});
  Trainer trainer(network, {.adam = {.not_finite = NotFinite::skip}});
  std::vector<float> target = episode.target;
  target[4] = std::numeric_limits<float>::infinity();
  const std::vector<float> before(network.parameter("w").begin(), network.parameter("w").end());
  trainer.step(episode.sequence(), target);
  EXPECT_EQ(before, std::vector<float>(network.parameter("w").begin(), network.parameter("w").end()));
  EXPECT_EQ(trainer.steps(), 0);
  EXPECT_EQ(trainer.skipped(), 1);
}

}  // namespace
}  // namespace plasticity::testing
