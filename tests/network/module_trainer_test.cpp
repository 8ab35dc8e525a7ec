// A Trainer of several modules compared in bits with the equivalent loop of zero_gradients(), the caller's
// passes, clip_gradients() and an Optimizer.
#include <gtest/gtest.h>

#include <cmath>

#include "network/module_trainer_model.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

/// The options of a training whose parameters have two groups, and whose groups clip.
OptimizerOptions grouped(OptimizerOptions options) {
  options.clip_norm = .05;
  options.groups = {{.names = {"readout.weight", "gain"}, .learning_rate_factor = 3, .weight_decay = .01},
                    {.names = {"memory.w", "encoder.alpha"}, .learning_rate_factor = .5, .clip_norm = .01}};
  return options;
}

TEST(ModuleTrainer, MatchesTheLoopInBits) {
  for (const OptimizerOptions& options :
       {OptimizerOptions::adam(1e-2), OptimizerOptions::adamw(1e-2), OptimizerOptions::sgd(.1, .9),
        grouped(OptimizerOptions::adam(1e-2)), grouped(OptimizerOptions::rmsprop(1e-2))}) {
    Model want, got;
    Optimizer optimizer(options);
    Trainer trainer(got.modules(), {.optimizer = options});
    for (std::uint64_t k = 0; k < 4; ++k) {
      if (k == 2) {
        optimizer.set_learning_rate(.02);
        trainer.set_learning_rate(.02);
        want.memory.set_trainable("w", false);
        got.memory.set_trainable("w", false);
      }
      want.zero_gradients();
      const double loss = want.run(k);
      optimizer.step(want.parameters());
      EXPECT_EQ(trainer.step([&] { return got.run(k); }), loss);
      ASSERT_EQ(got.snapshot(), want.snapshot()) << k;
      const double norm = trainer.gradient_norm(), norm_of_optimizer = optimizer.gradient_norm();
      EXPECT_TRUE(options.clip_norm > 0 ? norm == norm_of_optimizer
                                        : std::isnan(norm) && std::isnan(norm_of_optimizer));
    }
    EXPECT_EQ(trainer.steps(), 4);
  }
}

// Compared with clip_gradients(), whose code is independent of the groups of an optimizer.
TEST(ModuleTrainer, ClipsTheNormOfAllModules) {
  Model want, got;
  Adam adam({.learning_rate = 1e-2});
  Trainer trainer(got.modules(), {.adam = {.learning_rate = 1e-2}, .clip_norm = .03});
  for (std::uint64_t k = 0; k < 3; ++k) {
    want.zero_gradients();
    want.run(k);
    const double norm = clip_gradients(want.parameters(), .03);
    EXPECT_GT(norm, .03);
    adam.step(want.parameters());
    trainer.step([&] { return got.run(k); });
    EXPECT_EQ(trainer.gradient_norm(), norm);
    ASSERT_EQ(got.snapshot(), want.snapshot());
    double squares = 0;
    for (const ParameterView& view : got.parameters()) {
      for (const float g : view.gradient) squares += static_cast<double>(g) * static_cast<double>(g);
    }
    EXPECT_NEAR(std::sqrt(squares), .03, 1e-6);
  }
}

TEST(ModuleTrainer, ResumesInBits) {
  const TrainerOptions options{.optimizer = grouped(OptimizerOptions::adam(1e-2))};
  Model whole, first, second(7);
  Trainer undisturbed(whole.modules(), options), before(first.modules(), options);
  undisturbed.set_learning_rate(.03);
  before.set_learning_rate(.03);
  for (std::uint64_t k = 0; k < 4; ++k) undisturbed.step([&] { return whole.run(k); });
  for (std::uint64_t k = 0; k < 2; ++k) before.step([&] { return first.run(k); });
  io::TensorFile file;
  first.encoder.save(file);
  first.memory.save(file);
  first.readout.save(file);
  before.save(file);

  second.encoder.load(file);
  second.memory.load(file);
  second.readout.load(file);
  second.gain = first.gain;
  second.memory.set_trainable("alpha", false);  // its moments are in the file
  Trainer after(second.modules(), options);
  after.load(file);
  second.memory.set_trainable("alpha", true);
  EXPECT_EQ(after.steps(), 2);
  EXPECT_EQ(after.learning_rate(), .03);
  for (std::uint64_t k = 2; k < 4; ++k) after.step([&] { return second.run(k); });
  EXPECT_EQ(second.snapshot(), whole.snapshot());

  // An Optimizer reads the file too, and the trainer reads that of an Optimizer.
  io::TensorFile of_optimizer, of_trainer;
  Optimizer optimizer(*options.optimizer);
  optimizer.load(file);
  optimizer.save(of_optimizer);
  Trainer again(second.modules(), options);
  again.load(of_optimizer);
  again.save(of_trainer);
  EXPECT_TRUE(of_trainer == of_optimizer);

  of_trainer.tensors["adam.other.m"] = of_trainer.tensors["adam.other.v"] = of_trainer.at("adam.gain.v");
  expect_error([&] { again.load(of_trainer); }, ErrorCode::format, "'other'");
  of_optimizer.tensors["adam.gain.m"] = of_optimizer.tensors["adam.gain.v"] =
      of_optimizer.at("adam.readout.bias.v");
  expect_error([&] { again.load(of_optimizer); }, ErrorCode::format,
               "moments of 'gain': expected 1 elements");
  EXPECT_EQ(again.steps(), 2);
}

TEST(ModuleTrainer, TrainsStacksAndOneNetwork) {
  const auto make = [] {
    return Stack(I, {{.spec = {.neurons = E}}, {.spec = {.neurons = N}}},
                 {.batch = B, .device = Device::cpu(1), .seed = 2, .name = "stack"});
  };
  const std::vector<float> x = noise(T * B * I, 1), dy = noise(T * B * N, 2);
  const auto run = [&](Stack& stack) {
    stack.forward({.steps = T, .x = x});
    stack.backward(dy);
    return .5;
  };
  Stack want = make(), got = make();
  Adam adam;
  Trainer trainer({got});
  for (int k = 0; k < 3; ++k) {
    want.reset();
    want.zero_gradients();
    run(want);
    adam.step(want.parameters());
    got.reset();
    EXPECT_EQ(trainer.step([&] { return run(got); }), .5);
    EXPECT_EQ(snapshot(got.layer(0)), snapshot(want.layer(0)));
    EXPECT_EQ(snapshot(got.layer(1)), snapshot(want.layer(1)));
  }
  io::TensorFile file;
  trainer.save(file);
  Trainer({got}).load(file);
}

// All steps of a trainer of one network have the same optimizer.
TEST(ModuleTrainer, OneNetworkMayAlternateBetweenSteps) {
  const Spec spec{.inputs = 3, .neurons = 5};
  Network want(spec, {.batch = 2, .device = Device::cpu(1), .seed = 3}),
      got(spec, {.batch = 2, .device = Device::cpu(1), .seed = 3});
  Trainer trainer(got, {.clip_norm = .1}), reference(want, {.clip_norm = .1});
  for (int k = 0; k < 4; ++k) {
    const Episode episode(spec, 3, 2, static_cast<std::uint64_t>(k));
    want.reset();
    got.reset();
    const double loss = reference.step(episode.sequence(), episode.target);
    if (k % 2 == 0) {
      trainer.step(episode.sequence(), episode.target);
    } else {
      const double own = trainer.step([&] { return squared_error_passes(got, episode); });
      EXPECT_DOUBLE_EQ(own, loss);
      EXPECT_TRUE(trainer.y().empty());
    }
    ASSERT_EQ(snapshot(got), snapshot(want)) << k;
  }
  EXPECT_EQ(trainer.steps(), 4);
}

// Windows of one step, one buffer of observations, and backward in the caller's order.
TEST(ModuleTrainer, OneStepAtATime) {
  Model want, got;
  const auto passes = [](Model& model) {
    std::vector<float> x(B * I), out(B * O), dy(B * N), de(B * E);
    const std::vector<float> dout(B * O, .1f);
    std::vector<std::vector<float>> outputs;
    model.encoder.reset();
    model.memory.reset();
    for (int t = 0; t < 6; ++t) {
      std::fill(x.begin(), x.end(), .1f * static_cast<float>(t));
      const std::span<const float> y = model.memory.forward({.x = model.encoder.forward({.x = x})});
      model.readout.forward(y, out);
      outputs.push_back(copied(y));
    }
    for (std::size_t t = 6; t-- > 0;) {
      model.readout.backward(outputs[t], dout, dy);
      model.memory.backward(dy, {.x = de});
      model.encoder.backward(de);
    }
    return 0.0;
  };
  Adam adam;
  Trainer trainer(got.modules());
  for (int k = 0; k < 3; ++k) {
    want.zero_gradients();
    passes(want);
    adam.step(want.parameters());
    trainer.step([&] { return passes(got); });
    ASSERT_EQ(got.snapshot(), want.snapshot());
  }
}

}  // namespace
}  // namespace plasticity::testing
