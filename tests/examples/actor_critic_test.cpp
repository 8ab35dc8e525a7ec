#include "common/actor_critic.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "common/experiment.hpp"

namespace examples {
namespace {

using namespace plasticity;

/// The observation says which of two actions is rewarded; each element's rewards are `scale` times its
/// number.
class Told final : public Environments {
 public:
  Told(std::size_t batch, float scale) : scale_(scale), wanted_(batch) {}
  std::size_t observations() const override { return 2; }
  std::size_t actions() const override { return 2; }
  void reset(Random& random) override {
    for (std::size_t& wanted : wanted_) wanted = random.below(2);
  }
  void observe(std::span<float> x) const override {
    for (std::size_t b = 0; b < wanted_.size(); ++b) {
      x[2 * b] = wanted_[b] == 0 ? 1.0f : 0.0f;
      x[2 * b + 1] = wanted_[b] == 1 ? 1.0f : 0.0f;
    }
  }
  void step(std::span<const std::size_t> actions, std::span<float> rewards, Random& random) override {
    for (std::size_t b = 0; b < wanted_.size(); ++b) {
      rewards[b] = actions[b] == wanted_[b] ? 1 + scale_ * static_cast<float>(b) : 0;
      wanted_[b] = random.below(2);
    }
  }

 private:
  float scale_;
  std::vector<std::size_t> wanted_;
};

ActorCriticOptions small() {
  return {.batch = 6, .steps = 12, .neurons = 8, .adam = {.learning_rate = 2e-2}, .entropy = .003};
}

TEST(ActorCritic, LearnsWhatItIsTold) {
  Told environments(6, 0);
  ActorCritic agent({.cell = Cell::rnn}, environments, small(), Device::cpu(1), 1);
  Random random(1);
  const double before = agent.train(environments, random);
  double after = 0;
  for (int iteration = 0; iteration < 150; ++iteration) after = agent.train(environments, random);
  EXPECT_LT(before, 9);
  EXPECT_GT(after, 11);  // of 12
}

TEST(ActorCritic, TheSameSeedGivesTheSameRun) {
  std::vector<double> runs[2];
  for (auto& run : runs) {
    Told environments(6, .1f);
    ActorCritic agent({.cell = Cell::rnn, .rate = Rate::modulated}, environments, small(), Device::cpu(1), 3);
    Random random(3);
    for (int iteration = 0; iteration < 10; ++iteration) run.push_back(agent.train(environments, random));
  }
  EXPECT_EQ(runs[0], runs[1]);
}

/// One observation and one reward per step, whatever the action; each element has its own.
class Salaries final : public Environments {
 public:
  explicit Salaries(std::size_t batch) : batch_(batch) {}
  std::size_t observations() const override { return batch_; }
  std::size_t actions() const override { return 2; }
  void reset(Random&) override {}
  void observe(std::span<float> x) const override {
    std::fill(x.begin(), x.end(), 0.0f);
    for (std::size_t b = 0; b < batch_; ++b) x[b * batch_ + b] = 1;  // who it is
  }
  void step(std::span<const std::size_t>, std::span<float> rewards, Random&) override {
    for (std::size_t b = 0; b < batch_; ++b) rewards[b] = static_cast<float>(b);
  }

 private:
  std::size_t batch_;
};

// With one element's value as the baseline of all, these values could not come apart.
TEST(ActorCritic, EachElementHasItsOwnBaseline) {
  constexpr std::size_t batch = 3;
  Salaries environments(batch);
  ActorCritic agent(
      {.cell = Cell::rnn}, environments,
      {.batch = batch, .steps = 6, .neurons = 8, .adam = {.learning_rate = 1e-2}, .discount = 0, .value = 1},
      Device::cpu(1), 1);
  Random random(1);
  for (int iteration = 0; iteration < 1500; ++iteration) agent.train(environments, random);
  for (std::size_t b = 0; b < batch; ++b) {
    EXPECT_NEAR(agent.values()[5 * batch + b], static_cast<double>(b), .15) << "element " << b;
  }
}

TEST(ActorCritic, WithoutPlasticityAlphaStaysZero) {
  Told environments(6, 0);
  ActorCritic agent({.cell = Cell::rnn, .alpha = Granularity::scalar}, environments, small(), Device::cpu(1),
                    1);
  remove_plasticity(agent.network());
  Random random(1);
  for (int iteration = 0; iteration < 3; ++iteration) agent.train(environments, random);
  EXPECT_EQ(agent.network().parameter("alpha")[0], 0);
  EXPECT_EQ(agent.parameters(), 2u * 8 + 8 + 8 * 8 + (8 * 2 + 2) + (8 + 1));  // w_in b w policy value
}

TEST(ActorCritic, ParametersAreMatched) {
  Told environments(2, 0);
  for (const std::int64_t neurons : {5, 40, 100}) {
    const auto count = [&](const Spec& spec, std::int64_t of, bool plastic) {
      ActorCritic agent(spec, environments, {.batch = 2, .steps = 2, .neurons = of}, Device::cpu(1), 1);
      if (!plastic) remove_plasticity(agent.network());
      Random random(1);
      agent.train(environments, random);
      return static_cast<double>(agent.parameters());
    };
    const double with = count({.cell = Cell::rnn}, neurons, true);
    const double without = count({.cell = Cell::rnn, .alpha = Granularity::scalar},
                                 neurons_without_plasticity(neurons, environments), false);
    EXPECT_GE(without, with - 1);                                 // eta
    EXPECT_LT(without, with + 4 * static_cast<double>(neurons));  // less than one neuron more
  }
}

}  // namespace
}  // namespace examples
