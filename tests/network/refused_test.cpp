// Calls that are refused and change nothing, and memory that a call must not read.
#include <gtest/gtest.h>

#include <functional>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 3, B = 2, N = 5;

Network make(NetworkOptions options = {}) {
  options.batch = B;
  options.device = Device::cpu(1);
  return Network({.cell = Cell::rnn, .rule = Rule::oja, .rate = Rate::modulated, .neurons = N}, options);
}

// The upstream gradient of the final state is added to that of the window after it, once.
TEST(Refused, BackwardAddsAnUpstreamGradientOnce) {
  const std::vector<float> u = noise(T * B * N, 1), dy = noise(T * B * N, 2), dhebb = noise(B * N * N, 3);
  const auto gradients = [&](bool refused_first) {
    Network network = make();
    for (int window = 0; window < 2; ++window) network.forward({.steps = T, .u = u});
    network.backward(dy);
    std::vector<float> aliased = dy, du(u.size());
    if (refused_first) {
      expect_error([&] { network.backward(aliased, {.u = aliased}, {.final_state = {.hebb = dhebb}}); },
                   ErrorCode::invalid_argument, "dinputs.u: overlaps dy");
    }
    network.backward(dy, {.u = du}, {.final_state = {.hebb = dhebb}});
    std::map<std::string, std::vector<float>> all = snapshot(network);
    all["du"] = du;
    return all;
  };
  EXPECT_EQ(gradients(true), gradients(false));
}

TEST(Refused, GradientsOfTheInitialStateOverlapNoOther) {
  Network network = make();
  const std::vector<float> u = noise(T * B * N, 1), dy = noise(T * B * N, 2);
  network.forward({.steps = T, .u = u});
  std::vector<float> du(u.size());
  expect_error([&] { network.backward(dy, {.u = du, .initial_state = {.y = std::span(du).first(B * N)}}); },
               ErrorCode::invalid_argument, "gradients.initial_state.y: overlaps gradients.u");
  network.backward(dy, {.u = du});
}

TEST(Refused, ACallLeavesTheLastPreactivationAndModulation) {
  Network network = make({.preactivation = true});
  const std::vector<float> u = noise(T * B * N, 1);
  network.infer({.steps = T, .u = u});
  const std::vector<float> a = copied(network.preactivation()), M = copied(network.modulation());
  const std::vector<std::int64_t> length(B, T);
  for (const bool records : {false, true}) {
    const Sequence wrong{.steps = T, .u = network.preactivation(), .length = std::span(length).first(1)};
    EXPECT_THROW(records ? network.forward(wrong) : network.infer(wrong), Error);
    EXPECT_EQ(copied(network.preactivation()), a);
    EXPECT_EQ(copied(network.modulation()), M);
  }
}

TEST(Refused, ATrainerDoesNotReadItsLastOutputs) {
  Network network = make();
  Trainer trainer(network);
  const std::vector<float> u = noise(2 * T * B * N, 1), target = noise(2 * T * B * N, 2);
  const auto refused = [&](const Sequence& sequence, const std::string& name) {
    expect_error([&] { trainer.step(sequence, std::span(target).first(sequence.u.size())); },
                 ErrorCode::invalid_argument, name + ": overlaps the outputs of the last step");
  };
  trainer.step({.steps = T, .u = std::span(u).first(T * B * N)}, std::span(target).first(T * B * N));
  const std::vector<float> y = copied(trainer.y());
  refused({.steps = T, .u = trainer.y()}, "sequence.u");
  refused({.steps = 1, .u = trainer.y().first(B * N)}, "sequence.u");
  refused({.steps = T, .u = std::span(u).first(T * B * N), .clamp_value = trainer.y()},
          "sequence.clamp_value");
  EXPECT_EQ(copied(trainer.y()), y);
  trainer.step({.steps = 2 * T, .u = u}, target);
}

TEST(Refused, ATrainerWhoseNetworkIsGone) {
  Network network = make();
  Trainer trainer(network);
  const std::vector<float> u = noise(T * B * N, 1);
  Network moved = std::move(network);
  trainer.step({.steps = T, .u = u}, u);
  moved = make();
  const std::string gone = "trainer: its network has been destroyed, or another has been assigned to it";
  expect_error([&] { trainer.step({.steps = T, .u = u}, u); }, ErrorCode::invalid_argument, gone);
  expect_error([&] { trainer.step([] { return 0.0; }); }, ErrorCode::invalid_argument, gone);
  expect_error([&] { trainer.load({}); }, ErrorCode::invalid_argument, gone);
}

TEST(Refused, AnIterationDoesNotCallItsTrainer) {
  Network network = make();
  Linear layer(N, N, 1);
  Trainer alone(network), several({network, layer});
  const std::vector<float> u = noise(T * B * N, 1);
  io::TensorFile file;
  alone.save(file);
  const std::function<void(Trainer&)> calls[] = {
      [](Trainer& trainer) { trainer.step([] { return 0.0; }); },
      [&](Trainer& trainer) { trainer.load(file); },
      [](Trainer& trainer) {
        io::TensorFile saved;
        trainer.save(saved);
      },
      [](Trainer& trainer) { trainer.y(); },
      [](Trainer& trainer) { trainer.modulation(); },
  };
  for (const auto& call : calls) {
    const std::string message = "trainer: another call on it is running. An iteration must not call its own";
    std::int64_t steps = several.steps();
    for (Trainer* const trainer : {&alone, &several}) {
      expect_error(
          [&] {
            trainer->step([&] {
              call(*trainer);
              return 0.0;
            });
          },
          ErrorCode::invalid_argument, message);
      EXPECT_EQ(trainer->steps(), steps);
      trainer->step([] { return 0.0; });  // the step has ended
      EXPECT_EQ(trainer->steps(), steps + 1);
    }
    expect_error(
        [&] {
          alone.step_with({.steps = T, .u = u}, [&](auto, auto) {
            call(alone);
            return 0.0;
          });
        },
        ErrorCode::invalid_argument, message);
  }
  expect_error([&] { alone.step([&] { return alone.step({.steps = T, .u = u}, u); }); },
               ErrorCode::invalid_argument, "trainer: another call on it is running");
}

TEST(Refused, AnIterationDoesNotReplaceItsNetwork) {
  const std::vector<float> u = noise(T * B * N, 1);
  const std::string gone = "trainer: its network has been destroyed, or another has been assigned to it";
  for (const bool in_loss : {false, true}) {
    Network network = make();
    Trainer trainer(network);
    const auto replace = [&] {
      network = make();
      return 0.0;
    };
    expect_error(
        [&] {
          if (in_loss) {
            trainer.step_with({.steps = T, .u = u}, [&](auto, auto) { return replace(); });
          } else {
            trainer.step(replace);
          }
        },
        ErrorCode::invalid_argument, gone);
    EXPECT_EQ(trainer.steps(), 0);
    network.infer({.steps = T, .u = u});
  }
  Network network = make(), other = make();
  Trainer trainer(network);
  const std::vector<float> before = copied(network.parameter("w"));
  bool has_run = false;
  trainer.step([&] {  // the trainer of a running step may end
    trainer = Trainer(other);
    for (ParameterView& view : network.parameters()) view.gradient[0] = 1;
    return has_run = true, 0.0;
  });
  EXPECT_TRUE(has_run);
  EXPECT_NE(copied(network.parameter("w")), before);  // the step has ended as it began
  EXPECT_EQ(trainer.steps(), 0);
}

TEST(Refused, AnIterationDoesNotFreezeParameters) {
  Network network = make();
  Linear layer(N, N, 1);
  Trainer alone(network), several({network, layer});
  const std::vector<float> before = copied(network.parameter("w"));
  for (Trainer* const trainer : {&alone, &several}) {
    const auto freeze = [&](bool trainable) {
      expect_error(
          [&] {
            trainer->step([&] {
              network.set_trainable("w", trainable);
              return 0.0;
            });
          },
          ErrorCode::invalid_argument, "iteration: has frozen or unfrozen a parameter");
    };
    freeze(false);
    freeze(true);
    EXPECT_EQ(trainer->steps(), 0);
  }
  EXPECT_EQ(copied(network.parameter("w")), before);
}

TEST(Refused, ALossFunctionDoesNotCallItsNetwork) {
  Network network = make();
  Trainer trainer(network);
  const std::vector<float> u = noise(T * B * N, 1);
  expect_error(
      [&] { trainer.step_with({.steps = T, .u = u}, [&](auto, auto) { return network.parameter("w")[0]; }); },
      ErrorCode::invalid_argument, "its Trainer is running a loss function, which must not call the network");
  network.parameter("w");  // the call has ended
}

}  // namespace
}  // namespace plasticity::testing
