// A Trainer of several modules compared in bits with the equivalent loop of zero_gradients(), the caller's
// passes, clip_gradients() and an Optimizer.
#include <gtest/gtest.h>

#include <limits>
#include <type_traits>

#include "network/expect_error.hpp"
#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 4, B = 3, I = 2, E = 5, N = 6, O = 2;  // E features, O outputs
using Tensors = std::map<std::string, std::vector<float>>;

/// Two networks, one behind the other, a readout, and a parameter of the program's own: the output is
/// gain * readout(memory(encoder(x))).
struct Model {
  explicit Model(std::uint64_t seed = 1)
      : encoder({.cell = Cell::rnn, .rule = Rule::oja, .inputs = I, .neurons = E},
                {.batch = B, .device = Device::cpu(1), .seed = seed, .name = "encoder"}),
        memory(
            {.cell = Cell::lstm, .rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = E, .neurons = N},
            {.batch = B, .device = Device::cpu(2), .seed = seed, .name = "memory"}),
        readout(N, O, seed, "readout") {}

  std::vector<ParameterView> own() { return {{"gain", Shape{{1}, 1}, gain, dgain}}; }
  std::vector<Module> modules() { return {encoder, memory, readout, own()}; }
  std::vector<ParameterView> parameters() {
    std::vector<ParameterView> all;
    for (const Module& module : modules()) {
      for (const ParameterView& view : module.parameters()) all.push_back(view);
    }
    return all;
  }
  void zero_gradients() {
    encoder.zero_gradients();
    memory.zero_gradients();
    readout.zero_gradients();
    dgain[0] = 0;
  }

  /// Runs all forward passes, the loss and all backward passes. Adds `disturbance` to a gradient.
  double run(std::uint64_t seed, float disturbance = 0) {
    const std::vector<float> x = noise(T * B * I, seed), target = noise(T * B * O, seed + 1);
    std::vector<float> out(T * B * O), scaled(out.size()), dout(out.size()), dy(T * B * N), de(T * B * E);
    encoder.reset();
    memory.reset();
    const std::span<const float> e = encoder.forward({.steps = T, .x = x});
    const std::span<const float> y = memory.forward({.steps = T, .x = e});
    readout.forward(y, out);
    for (std::size_t k = 0; k < out.size(); ++k) scaled[k] = gain[0] * out[k];
    const double loss = mse_loss(scaled, target, dout);
    for (std::size_t k = 0; k < out.size(); ++k) {
      dgain[0] += dout[k] * out[k];
      dout[k] *= gain[0];
    }
    readout.backward(y, dout, dy, B);
    dy[7] += disturbance;
    memory.backward(dy, {.x = de});
    encoder.backward(de);
    return loss;
  }

  Tensors look() {
    Tensors tensors;
    for (const ParameterView& view : parameters()) {
      tensors["value " + view.name] = copied(view.value);
      tensors["gradient " + view.name] = copied(view.gradient);
    }
    return tensors;
  }
  Tensors values() {
    Tensors tensors;
    for (const ParameterView& view : parameters()) tensors[view.name] = copied(view.value);
    return tensors;
  }

  Network encoder, memory;
  Linear readout;
  std::vector<float> gain{1.5f}, dgain{0};
};

/// The options of a training whose parameters have two groups, and whose groups clip.
OptimizerOptions grouped(OptimizerOptions options) {
  options.clip_norm = .05;
  options.groups = {{.names = {"readout.weight", "gain"}, .rate = 3, .weight_decay = .01},
                    {.names = {"memory.w", "encoder.alpha"}, .rate = .5, .clip_norm = .01}};
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
      ASSERT_EQ(got.look(), want.look()) << k;
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
    EXPECT_GT(clip_gradients(want.parameters(), .03), .03);
    adam.step(want.parameters());
    trainer.step([&] { return got.run(k); });
    ASSERT_EQ(got.look(), want.look());
    double squares = 0;
    for (const ParameterView& view : got.parameters()) {
      for (const float g : view.gradient) squares += static_cast<double>(g) * static_cast<double>(g);
    }
    EXPECT_NEAR(std::sqrt(squares), .03, 1e-6);
  }
}

TEST(ModuleTrainer, NotFiniteChangesNothingAndNamesTheTensor) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Model model;
    Trainer trainer(model.modules(), {.clip_norm = 1});
    trainer.step([&] { return model.run(1); });
    const Tensors before = model.values();
    io::TensorFile moments, after;
    trainer.save(moments);
    expect_error([&] { trainer.step([&] { return model.run(2, bad); }); }, ErrorCode::invalid_argument,
                 "gradient of 'encoder.w_in': expected finite numbers");
    EXPECT_EQ(model.values(), before);
    trainer.save(after);
    EXPECT_TRUE(after == moments);
    EXPECT_EQ(trainer.steps(), 1);

    Trainer skipping(model.modules(), {.adam = {.not_finite = NotFinite::skip}});
    skipping.step([&] { return model.run(2, bad); });
    EXPECT_EQ(model.values(), before);
    EXPECT_EQ(skipping.skipped(), 1);
    EXPECT_EQ(skipping.steps(), 0);
    skipping.step([&] { return model.run(2); });
    EXPECT_NE(model.values(), before);
    EXPECT_EQ(skipping.steps(), 1);
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
  EXPECT_EQ(second.look(), whole.look());

  // An Optimizer reads the file too, and the trainer reads that of an Optimizer.
  io::TensorFile of_optimizer, of_trainer;
  Optimizer optimizer(*options.optimizer);
  optimizer.load(file);
  optimizer.save(of_optimizer);
  Trainer again(second.modules(), options);
  again.load(of_optimizer);
  again.save(of_trainer);
  EXPECT_TRUE(of_trainer == of_optimizer);

  of_trainer.tensors["adam.other.m"] = of_trainer.tensors["adam.other.v"] = of_trainer.at("adam.gain.m");
  expect_error([&] { again.load(of_trainer); }, ErrorCode::format, "'other'");
  of_optimizer.tensors["adam.gain.m"] = of_optimizer.tensors["adam.gain.v"] =
      of_optimizer.at("adam.readout.bias.m");
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
    EXPECT_EQ(look(got.layer(0)), look(want.layer(0)));
    EXPECT_EQ(look(got.layer(1)), look(want.layer(1)));
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
    ASSERT_EQ(look(got), look(want)) << k;
  }
  EXPECT_EQ(trainer.steps(), 4);
}

TEST(ModuleTrainer, AWindowWithoutBackwardIsAnError) {
  Model model;
  Trainer trainer(model.modules());
  const Tensors before = model.values();
  const std::vector<float> x(B * I, .5f);
  const auto forgets = [&] {
    model.run(1);
    model.encoder.forward({.x = x});
    model.memory.forward({.x = model.encoder.forward({.x = x})});
    model.encoder.backward({});
    model.encoder.backward({});
    return 0.0;
  };
  expect_error([&] { trainer.step(forgets); }, ErrorCode::invalid_argument,
               "iteration: expected backward() for every window of modules[1], got 1 window without it");
  EXPECT_EQ(model.values(), before);
  EXPECT_EQ(trainer.steps(), 0);
  model.memory.detach();
  trainer.step([&] { return model.run(1); });
  EXPECT_EQ(trainer.steps(), 1);

  Network alone({.inputs = I, .neurons = E}, {.batch = B, .device = Device::cpu(1)});
  Trainer of_one(alone);
  const auto forgets_one = [&] {
    alone.forward({.x = x});
    return 0.0;
  };
  expect_error([&] { of_one.step(forgets_one); }, ErrorCode::invalid_argument, "every window of the network");
  of_one.step([&] {  // the window of the call before
    alone.backward({});
    return 0.0;
  });
  EXPECT_EQ(of_one.steps(), 1);
}

// Another state on the same parameters: its window is of the parameters before the step.
TEST(ModuleTrainer, StepInvalidatesOtherWindows) {
  Model model;
  Trainer trainer(model.modules());
  Network other = model.encoder.share(1);
  const std::vector<float> x(I, .5f);
  other.forward({.x = x});
  trainer.step([&] { return model.run(1); });
  expect_error([&] { other.backward({}); }, ErrorCode::invalid_argument, "parameters");
}

TEST(ModuleTrainer, PassesOnTheExceptionOfTheIteration) {
  Model want, got;
  Trainer expected(want.modules()), trainer(got.modules());
  const Tensors before = got.values();
  const auto throws = [&]() -> double {
    got.run(5);
    throw std::runtime_error("of the program");
  };
  EXPECT_THROW(trainer.step(throws), std::runtime_error);
  EXPECT_EQ(got.values(), before);
  EXPECT_EQ(trainer.steps(), 0);
  expected.step([&] { return want.run(1); });
  trainer.step([&] { return got.run(1); });
  EXPECT_EQ(got.look(), want.look());
}

TEST(ModuleTrainer, RejectsWrongLists) {
  Model model;
  const auto reject = [](std::vector<Module> modules, const std::string& part) {
    expect_error([&] { Trainer trainer(std::move(modules)); }, ErrorCode::invalid_argument, part);
  };
  reject({}, "modules: expected at least one module, got none");
  reject({model.encoder, model.readout, model.encoder}, "modules[2]: has the parameters of modules[0]");
  Network shared = model.memory.share(1);
  reject({model.memory, shared}, "modules[1]: has the parameters of modules[0]");
  Linear same(3, 3, 1, "readout");
  reject({model.readout, model.memory, same},
         "modules[2]: has a parameter 'readout.weight', as modules[0] has");
  Network first({.neurons = 3}, {.device = Device::cpu(1)}),
      second({.neurons = 3}, {.device = Device::cpu(1)});
  reject({first, second},
         "modules[1]: has a parameter 'w', as modules[0] has. Give the modules different names");
  std::vector<float> two(2), one(1);
  reject({std::vector<ParameterView>{{"a", Shape{{2}, 1}, two, one}}},
         "modules[0]: parameter 'a': expected a gradient of 2 elements, got 1");
  Linear away(2, 2, 1, "away");
  const Linear here = std::move(away);
  reject({away}, "linear: expected an object that owns its data");
  static_assert(!std::is_constructible_v<Module, NetworkF64&>);
  expect_error(
      [&] {
        Trainer({model.encoder, model.readout}, {.clip_norm = -1});
      },
      ErrorCode::invalid_argument, "clip_norm");
}

TEST(ModuleTrainer, RejectsWrongCalls) {
  Model model;
  Trainer trainer({model.encoder, model.readout});
  const std::vector<float> x(B * I), target(B * E);
  const std::vector<std::int64_t> labels(B);
  const auto reject = [&](auto call, const std::string& part) {
    expect_error(call, ErrorCode::invalid_argument, part);
  };
  const std::string expected =
      "step: expected a trainer of one network, or step(iteration), got a list of 2 modules";
  reject([&] { trainer.step({.x = x}, target); }, expected);
  reject([&] { trainer.step_labels({.x = x}, labels); }, expected);
  reject([&] { trainer.step_with({.x = x}, [](auto, auto) { return 0.0; }); }, expected);
  reject([&] { trainer.step_on_current({.x = x}, [](auto, auto) { return 0.0; }); }, expected);
  reject([&] { trainer.step(IterationFunction()); }, "iteration: expected a function, got none");
  EXPECT_TRUE(trainer.y().empty());
  EXPECT_TRUE(trainer.modulation().empty());

  OptimizerOptions unknown;
  unknown.groups = {{.names = {"decoder.w"}}};
  Trainer with_unknown({model.encoder, model.readout}, {.optimizer = unknown});
  bool has_run = false;
  reject(
      [&] {
        with_unknown.step([&] {
          has_run = true;
          return 0.0;
        });
      },
      "groups[0].names: expected names of encoder.w_in, ");
  EXPECT_FALSE(has_run);

  // A module that moves after the trainer has its reference.
  Linear moving(2, 2, 1, "moving");
  Trainer refers({moving});
  const Linear target_of_move = std::move(moving);
  reject([&] { refers.step([] { return 0.0; }); }, "linear: expected an object that owns its data");
  Trainer moved = std::move(trainer);
  reject([&] { trainer.step([] { return 0.0; }); }, "trainer: expected an object that owns its data");
  moved.step([] { return 0.0; });
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
    ASSERT_EQ(got.look(), want.look());
  }
}

}  // namespace
}  // namespace plasticity::testing
