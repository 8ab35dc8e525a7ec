// Calls that are refused and change nothing, and memory that a call must not read.
#include <gtest/gtest.h>

#include "network/expect_error.hpp"
#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"

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
    std::map<std::string, std::vector<float>> all = look(network);
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

TEST(Refused, ACallLeavesTheLastCurrentAndModulation) {
  Network network = make({.current = true});
  const std::vector<float> u = noise(T * B * N, 1);
  network.infer({.steps = T, .u = u});
  const std::vector<float> current = copied(network.current()), M = copied(network.modulation());
  const std::vector<std::int64_t> length(B, T);
  for (const bool records : {false, true}) {
    const Sequence wrong{.steps = T, .u = network.current(), .length = std::span(length).first(1)};
    EXPECT_THROW(records ? network.forward(wrong) : network.infer(wrong), Error);
    EXPECT_EQ(copied(network.current()), current);
    EXPECT_EQ(copied(network.modulation()), M);
  }
}

TEST(Refused, InferIgnoresTheMemoryBudget) {
  constexpr std::int64_t steps = 200;
  const std::vector<float> u = noise(steps * B * N, 1);
  Network network = make({.memory_budget = 3000}), free = make();
  const std::vector<float> y = copied(free.infer({.steps = steps, .u = u}));
  EXPECT_EQ(copied(network.infer({.steps = steps, .u = u})), y);
  expect_error([&] { network.forward({.steps = steps, .u = u}); }, ErrorCode::invalid_argument,
               "options.memory_budget: expected at least");
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

TEST(Refused, ALossFunctionDoesNotCallItsNetwork) {
  Network network = make();
  Trainer trainer(network);
  const std::vector<float> u = noise(T * B * N, 1);
  expect_error(
      [&] { trainer.step_with({.steps = T, .u = u}, [&](auto, auto) { return network.parameter("w")[0]; }); },
      ErrorCode::invalid_argument, "its Trainer is running a loss function, which must not call the network");
  network.parameter("w");  // the call has ended
}

TEST(Refused, AGroupMayNameAFrozenParameter) {
  const std::vector<float> u = noise(T * B * N, 1);
  OptimizerOptions options = OptimizerOptions::sgd(.1);
  const auto train = [&](const char* name, const io::TensorFile* resumed) {
    Network network = make();
    network.set_trainable("alpha", false);
    options.groups = {{.names = {name}, .weight_decay = .1}};
    Trainer trainer(network, {.optimizer = options});
    if (resumed != nullptr) trainer.load(*resumed);
    trainer.step({.steps = T, .u = u}, u);
    io::TensorFile file;
    trainer.save(file);
    return file;
  };
  const io::TensorFile file = train("alpha", nullptr);
  train("alpha", &file);
  for (const io::TensorFile* resumed : {static_cast<const io::TensorFile*>(nullptr), &file}) {
    expect_error([&] { train("alfa", resumed); }, ErrorCode::invalid_argument, "groups[0].names: expected");
  }
}

TEST(Refused, ALinearLayerDoesNotOverwriteItsInput) {
  Linear layer(3, 3, 1);
  std::vector<float> x = noise(6, 1), dy = noise(6, 2);
  const auto refused = [](auto call, const std::string& message) {
    expect_error(call, ErrorCode::invalid_argument, message);
  };
  refused([&] { layer.forward(x, x); }, "args.y: overlaps args.x");
  refused([&] { layer.backward(x, dy, dy); }, "args.dx: overlaps args.dy");
  refused([&] { layer.backward(x, dy, x); }, "args.dx: overlaps args.x");
  const std::vector<std::int64_t> labels{0, 1};
  refused([&] { softmax_cross_entropy(x, labels, 3, x); }, "args.dlogits: overlaps args.logits");
}

TEST(Refused, ViewsOfALinearLayerSurviveAnAssignment) {
  Linear layer(3, 2, 1);
  const std::vector<ParameterView> views = layer.parameters();
  const Linear best = layer;
  Adam adam;
  adam.step(views);
  layer = best;
  adam.step(views);
  EXPECT_EQ(layer.parameters()[0].version, views[0].version);
}

TEST(Refused, AFileWithoutAPathIsNamed) {
  io::TensorFile file;
  make().save(file);
  Network smaller({.cell = Cell::rnn, .rule = Rule::oja, .rate = Rate::modulated, .neurons = N - 1},
                  {.batch = B, .device = Device::cpu(1)});
  expect_error([&] { smaller.load(file); }, ErrorCode::format, "file: expected rnn oja");
  file.tensors.at("param.w").shape = {N * N};
  expect_error([&] { make().load(file); }, ErrorCode::format, "tensor 'param.w'");
}

// A rule without a clip does not use the field.
TEST(Refused, AnUnusedClipMayDiffer) {
  io::TensorFile file;
  Network({.cell = Cell::rnn, .rule = Rule::decay, .neurons = N, .clip = 2}).save(file);
  Network({.cell = Cell::rnn, .rule = Rule::decay, .neurons = N}).load(file);
}

}  // namespace
}  // namespace plasticity::testing
