// Trainer compared in bits with the equivalent loop of Network, mse_loss(), clip_gradients() and Adam.
#include "plasticity/trainer.hpp"

#include <gtest/gtest.h>

#include <random>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t B = 2;
using Tensors = std::map<std::string, std::vector<float>>;

/// Runs one iteration of the loop without a Trainer.
double run_iteration(Network& network, Adam& adam, const Episode& episode, double clip, bool masked) {
  const std::span<const float> y = network.forward(episode.sequence());
  std::vector<float> gradient(y.size());
  const double loss =
      mse_loss(y, episode.target, gradient, masked ? episode.mask : std::vector<std::uint8_t>());
  network.zero_gradients();
  network.backward(gradient);
  if (clip > 0) clip_gradients(network.parameters(), clip);
  adam.step(network.parameters());
  return loss;
}

Network make(const Spec& spec) { return Network(spec, {.batch = B, .device = Device::cpu(1), .seed = 3}); }

TEST(Trainer, MatchesTheLoopInBits) {
  std::mt19937_64 random(11);
  for (int trial = 0; trial < 24; ++trial) {
    const Spec spec = random_spec(random, 7, 3);
    Network want = make(spec), got = make(spec);
    const double clip = trial % 2 == 0 ? 0 : .05;
    Adam adam({.learning_rate = 1e-2});
    Trainer trainer(got, {.adam = {.learning_rate = 1e-2}, .clip_norm = clip});
    for (Network* each : {&want, &got}) {
      if (trial % 3 == 0) each->set_trainable("alpha", false);
    }
    for (int iteration = 0; iteration < 4; ++iteration) {
      const bool masked = iteration % 2 != 0;
      const Episode episode(spec, 1 + iteration, B, random(),
                            {.reset = masked, .length = masked, .clamp = trial % 4 == 0});
      if (iteration == 2) {
        want.reset();
        got.reset();
      }
      if (iteration == 3) {
        adam.set_learning_rate(1e-3);
        trainer.set_learning_rate(1e-3);
      }
      const double loss = run_iteration(want, adam, episode, clip, masked);
      const double loss_of_trainer = trainer.step(episode.sequence(), episode.target,
                                                  masked ? episode.mask : std::vector<std::uint8_t>());
      EXPECT_DOUBLE_EQ(loss_of_trainer, loss) << to_string(spec);  // it is added in another order
      ASSERT_EQ(snapshot(got), snapshot(want)) << to_string(spec) << " iteration " << iteration;
    }
    EXPECT_EQ(trainer.steps(), 4);
  }
}

TEST(Trainer, ReturnsOutputsAndModulation) {
  const Spec spec{.rate = Rate::modulated, .inputs = 3, .neurons = 5};
  const Episode episode(spec, 3, B, 1);
  Network want = make(spec), got = make(spec);
  Trainer trainer(got);
  EXPECT_TRUE(trainer.y().empty());
  trainer.step(episode.sequence(), episode.target);
  const auto y = want.forward(episode.sequence());
  EXPECT_TRUE(std::equal(y.begin(), y.end(), trainer.y().begin(), trainer.y().end()));
  const auto M = want.modulation(), modulation = trainer.modulation();
  EXPECT_EQ(M.size(), 3u * B);
  EXPECT_TRUE(std::equal(M.begin(), M.end(), modulation.begin(), modulation.end()));
  EXPECT_EQ(got.windows(), 0);
}

TEST(Trainer, SharesFilesWithAdam) {
  const Spec spec{.inputs = 3, .neurons = 5};
  Network want = make(spec), got = make(spec);
  Adam adam;
  Trainer trainer(got);
  const Episode episode(spec, 3, B, 2);
  for (int k = 0; k < 2; ++k) {
    run_iteration(want, adam, episode, 0, false);
    trainer.step(episode.sequence(), episode.target);
  }
  io::TensorFile of_adam, of_trainer;
  adam.save(of_adam);
  trainer.save(of_trainer);
  EXPECT_EQ(of_trainer.metadata, of_adam.metadata);
  ASSERT_EQ(of_trainer.tensors.size(), of_adam.tensors.size());
  for (const auto& [name, tensor] : of_adam.tensors)
    EXPECT_EQ(io::to_floats(of_trainer.at(name)), io::to_floats(tensor)) << name;
  Adam other_adam;
  Trainer other_trainer(got);
  other_adam.load(of_trainer);
  other_trainer.load(of_adam);
  run_iteration(want, other_adam, episode, 0, false);
  other_trainer.step(episode.sequence(), episode.target);
  EXPECT_EQ(snapshot(got), snapshot(want));
  EXPECT_EQ(other_trainer.steps(), 3);

  of_adam.tensors["adam.readout.weight.m"] = of_adam.tensors["adam.readout.weight.v"] =
      io::make_tensor({1}, std::span<const float>(std::vector<float>{1}));
  EXPECT_THROW(other_trainer.load(of_adam), Error) << "moments of another module";
  of_trainer.tensors["adam.w.m"] = of_trainer.tensors["adam.w.v"] = of_trainer.tensors["adam.b.v"];
  EXPECT_THROW(other_trainer.load(of_trainer), Error) << "moments of another size";
  EXPECT_EQ(other_trainer.steps(), 3);
}

TEST(Trainer, WrongCallsChangeNothing) {
  const Spec spec{.inputs = 3, .neurons = 5};
  Network network = make(spec);
  Trainer trainer(network);
  const Episode episode(spec, 3, B, 4);
  trainer.step(episode.sequence(), episode.target);
  const Tensors before = snapshot(network);
  const auto expect_rejected = [&](const char* name, const Sequence& sequence, std::span<const float> target,
                                   std::span<const std::uint8_t> mask) {
    expect_error([&] { trainer.step(sequence, target, mask); }, ErrorCode::invalid_argument, name);
    EXPECT_EQ(snapshot(network), before) << name;
    EXPECT_EQ(trainer.steps(), 1);
  };
  const std::span<const float> target(episode.target);
  Sequence without = episode.sequence(), too_long = episode.sequence(), negative{.steps = -1};
  without.x = {};
  const std::vector<std::int64_t> length{4, 0};
  too_long.length = length;
  expect_rejected("x", without, target, {});
  expect_rejected("length", too_long, target, {});
  expect_rejected("steps", negative, {}, {});
  expect_rejected("target", episode.sequence(), target.first(4), {});
  expect_rejected("mask", episode.sequence(), target, std::span(episode.mask).first(4));
  EXPECT_THROW(Trainer(network, {.clip_norm = -1}), Error);
  EXPECT_THROW(Trainer(network, {.adam = {.beta1 = 1}}), Error);
  // An optimizer replaces them, so a value would be ignored.
  EXPECT_EQ(message_of([&] { Trainer(network, {.clip_norm = 5, .optimizer = OptimizerOptions::sgd()}); }),
            "options.clip_norm: expected 0, since options.optimizer has its own, got 5");
  EXPECT_EQ(message_of([&] {
              Trainer(network, {.adam = {.learning_rate = .1}, .optimizer = OptimizerOptions::sgd()});
            }),
            "options.adam: expected its defaults, since options.optimizer replaces it, got other values");
  EXPECT_THROW(trainer.set_learning_rate(-1), Error);
  trainer.step(episode.sequence(), target);
  const std::span<const float> own = trainer.y();
  EXPECT_THROW(trainer.step(episode.sequence(), own), Error) << "the outputs as their own target";
  network.forward(episode.sequence());
  EXPECT_THROW(trainer.step(episode.sequence(), target), Error) << "a window is left";
  network.detach();
  trainer.step(episode.sequence(), target);
  EXPECT_EQ(trainer.steps(), 3);
}

TEST(Trainer, NetworkAndTrainerMayMove) {
  const Spec spec{.inputs = 3, .neurons = 5};
  Network first = make(spec);
  Trainer trainer(first);
  const Episode episode(spec, 3, B, 5);
  Network moved = std::move(first);
  Trainer other = std::move(trainer);
  const double before = other.step(episode.sequence(), episode.target);
  moved.reset();
  EXPECT_LT(other.step(episode.sequence(), episode.target), before);
}

TEST(Trainer, NoStepsAndNoBatch) {
  const Spec spec{.inputs = 3, .neurons = 5};
  Network network = make(spec), empty(spec, {.batch = 0, .device = Device::cpu(1)});
  EXPECT_EQ(Trainer(network).step({.steps = 0}, {}), 0);
  EXPECT_EQ(Trainer(empty).step({.steps = 3}, {}), 0);
}

}  // namespace
}  // namespace plasticity::testing
