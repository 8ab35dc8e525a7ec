// The pre-activation a of a Network and of a Trainer, and losses of it.
#include <gtest/gtest.h>

#include "plasticity/plasticity.hpp"
#include "problems/answers.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t B = 2;

Network make(const Spec& spec, bool preactivation = true) {
  return Network(spec, {.batch = B, .device = Device::cpu(1), .seed = 3, .preactivation = preactivation});
}

TEST(NetworkPreactivation, IsThatOfTheLastCall) {
  std::mt19937_64 random(23);
  for (int trial = 0; trial < 20; ++trial) {
    const Spec spec = random_spec(random, 7, 3);
    const TestCase problem = with_preactivation(make_test_case(spec, 4, B, random(), random_masks(random)));
    const Answers<double> want = reference_answers<double>(problem);
    const Buffers<float> buffers(problem);
    Network network = make(spec), without = make(spec, false);
    EXPECT_TRUE(network.preactivation().empty());
    for (const auto& [name, values] : problem.inputs) {
      if (name.starts_with("param."))
        std::copy(values.begin(), values.end(), network.parameter(name.substr(6)).begin());
      if (name.starts_with("state."))
        std::copy(values.begin(), values.end(), network.state(name.substr(6)).begin());
    }
    io::TensorFile state;
    network.save_state(state);
    const double tolerance = 1e-4 + 20 * inherent_error(problem, want);
    network.forward(sequence_of(problem, buffers));
    const std::span<const float> recorded = network.preactivation();
    EXPECT_LT(difference(copied(recorded), want.outputs.at("a")), tolerance) << problem.name();
    network.detach();
    network.load_state(state);
    network.infer(sequence_of(problem, buffers));
    EXPECT_EQ(copied(network.preactivation()), copied(recorded)) << problem.name();
    without.forward(sequence_of(problem, buffers));
    EXPECT_TRUE(without.preactivation().empty());
  }
}

TEST(NetworkPreactivation, OfASingleStepIsThatOfASequence) {
  const Spec spec{.rule = Rule::oja, .inputs = 3, .neurons = 7};
  const Episode all(spec, 3, B, 9);
  Network whole = make(spec), stepped = make(spec);
  whole.infer(all.sequence());
  for (std::int64_t t = 0; t < 3; ++t) {
    const TestCase part = window(all.problem, t, t + 1);
    const Buffers<float> buffers(part);
    stepped.infer(sequence_of(part, buffers));
    EXPECT_EQ(copied(stepped.preactivation()),
              copied(whole.preactivation().subspan(static_cast<std::size_t>(t * B * 7), B * 7)));
  }
}

/// Labels of each row of an episode of T steps, some of them -1.
std::vector<std::int64_t> labels_of(const Spec& spec, std::int64_t T, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> labels(static_cast<std::size_t>(T * B));
  for (std::int64_t& label : labels)
    label = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(spec.neurons + 1)) - 1;
  return labels;
}

TEST(TrainerPreactivation, LabelsMatchTheLoopInBits) {
  std::mt19937_64 random(24);
  for (int trial = 0; trial < 12; ++trial) {
    const Spec spec = random_spec(random, 7, 3);
    Network want = make(spec), by_labels = make(spec, false), by_function = make(spec, false);
    Adam adam({.learning_rate = 1e-2});
    Trainer labeled(by_labels, {.adam = {.learning_rate = 1e-2}}),
        trainer(by_function, {.adam = {.learning_rate = 1e-2}});
    for (int iteration = 0; iteration < 3; ++iteration) {
      const std::int64_t T = 1 + iteration;
      const Episode episode(spec, T, B, random(), random_masks(random));
      const std::vector<std::int64_t> labels = labels_of(spec, T, random());
      want.forward(episode.sequence());
      std::vector<float> da(want.preactivation().size());
      const double loss = softmax_cross_entropy(want.preactivation(), labels, spec.neurons, da);
      want.zero_gradients();
      want.backward({}, {}, {.preactivation = da});
      adam.step(want.parameters());
      EXPECT_DOUBLE_EQ(labeled.step_labels(episode.sequence(), labels), loss) << to_string(spec);
      EXPECT_EQ(trainer.step_on_preactivation(episode.sequence(),
                                              [&](std::span<const float> a, std::span<float> gradient) {
                                                return softmax_cross_entropy(a, labels, spec.neurons,
                                                                             gradient);
                                              }),
                loss);
      ASSERT_EQ(snapshot(by_labels), snapshot(want)) << to_string(spec) << " iteration " << iteration;
      ASSERT_EQ(snapshot(by_function), snapshot(want)) << to_string(spec) << " iteration " << iteration;
    }
  }
}

// A softmax that is certain and wrong: its y is 0 and 1, and a loss of y has no gradient.
TEST(TrainerPreactivation, ASaturatedSoftmaxLearns) {
  const Spec spec{.cell = Cell::feedforward, .activation = Activation::softmax, .inputs = 1, .neurons = 2};
  Network network(spec, {.device = Device::cpu(1)});
  for (const char* name : {"alpha", "eta"}) network.set_trainable(name, false);
  Trainer trainer(network,
                  {.optimizer = OptimizerOptions{.update = {.method = Method::sgd, .learning_rate = 1}}});
  const std::vector<float> pre{1}, u{120, -120};
  for (const std::int64_t label : {1, 0}) {
    std::ranges::fill(network.parameter("w"), 0.0f);
    const double loss = trainer.step_labels({.u = u, .pre = pre}, std::vector<std::int64_t>{label});
    EXPECT_EQ(copied(trainer.y()), (std::vector<float>{1, 0}));
    EXPECT_EQ(loss, label == 1 ? 240 : 0);
    EXPECT_EQ(copied(network.parameter("w")),
              label == 1 ? (std::vector<float>{-1, 1}) : (std::vector<float>{0, 0}));
  }
}

TEST(TrainerPreactivation, WrongLabelsChangeNothing) {
  const Spec spec{.inputs = 3, .neurons = 5};
  Network network = make(spec, false);
  Trainer trainer(network);
  const Episode episode(spec, 3, B, 4);
  const auto before = snapshot(network);
  std::vector<std::int64_t> labels(3 * B, 0);
  labels[4] = 5;
  expect_error([&] { trainer.step_labels(episode.sequence(), labels); }, ErrorCode::invalid_argument,
               "labels[4]: expected -1 to 4, got 5");
  labels.pop_back();
  expect_error([&] { trainer.step_labels(episode.sequence(), labels); }, ErrorCode::invalid_argument,
               "labels: expected 6 elements, got 5");
  expect_error([&] { trainer.step_on_preactivation(episode.sequence(), nullptr); },
               ErrorCode::invalid_argument, "loss: expected a function, got none");
  EXPECT_EQ(snapshot(network), before);
  EXPECT_EQ(trainer.steps(), 0);
}

}  // namespace
}  // namespace plasticity::testing
