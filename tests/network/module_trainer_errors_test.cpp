// A Trainer of several modules: an error changes nothing and names its cause.
#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <type_traits>

#include "network/module_trainer_model.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

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
  EXPECT_EQ(got.snapshot(), want.snapshot());
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
  std::vector<ParameterView> renamed = first.parameters();
  for (ParameterView& view : renamed) view.name = "again." + view.name;
  reject({first, renamed}, "modules[1]: parameter 'again.");
  reject({first, renamed}, ": overlaps '");
  std::vector<float> four(4);
  const std::span<float> values(four);
  reject({std::vector<ParameterView>{{"a", Shape{{2}, 1}, values.first(2), two},
                                     {"b", Shape{{2}, 1}, values.subspan(1, 2), values.last(2)}}},
         "modules[0]: parameter 'b': overlaps 'a' of modules[0]");
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
  reject([&] { trainer.step_on_preactivation({.x = x}, [](auto, auto) { return 0.0; }); }, expected);
  reject([&] { trainer.step(IterationFunction()); }, "iteration: expected a function, got none");
  EXPECT_TRUE(trainer.y().empty());
  EXPECT_TRUE(trainer.modulation().empty());

  OptimizerOptions unknown;
  unknown.groups = {{.names = {"decoder.w"}}};
  reject(
      [&] {
        Trainer({model.encoder, model.readout}, {.optimizer = unknown});
      },
      "groups[0].names: expected names of encoder.w_in, ");
  reject([&] { Trainer(model.memory, {.optimizer = unknown}); }, "groups[0].names: expected names of ");

  // A module that moves after the trainer has its reference.
  Linear moving(2, 2, 1, "moving");
  Trainer refers({moving});
  const Linear target_of_move = std::move(moving);
  reject([&] { refers.step([] { return 0.0; }); }, "linear: expected an object that owns its data");
  Trainer moved = std::move(trainer);
  reject([&] { trainer.step([] { return 0.0; }); }, "trainer: expected an object that owns its data");
  moved.step([] { return 0.0; });
}

}  // namespace
}  // namespace plasticity::testing
