// The state of a network: single steps, batches of another size, copies, files.
#include <gtest/gtest.h>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t B = 2;
using Tensors = std::map<std::string, std::vector<float>>;

Network make(const Spec& spec, std::int64_t batch = B) {
  return Network(spec, {.batch = batch, .device = Device::cpu(2), .seed = 3});
}

const Spec spec{.rule = Rule::soft_clip, .rate = Rate::modulated, .inputs = 3, .neurons = 6};

// Single steps keep the state in another place than sequences. Every order of calls must give the bits of one
// long sequence.
TEST(States, SingleStepsAndSequencesMix) {
  std::mt19937_64 random(23);
  for (int trial = 0; trial < 30; ++trial) {
    const Spec any = random_spec(random, 7, 3);
    const std::int64_t T = 12;
    const Episode all(any, T, B, random(), {.reset = true, .clamp = trial % 2 == 0});
    Network whole = make(any), cut = make(any);
    const std::vector<float> want = copied(whole.infer(all.sequence()));
    std::vector<float> got, M;
    for (std::int64_t t = 0; t < T;) {
      const std::int64_t length = std::min(T - t, pick<std::int64_t>(random, {1, 1, 1, 2, 3}));
      const TestCase part = window(all.problem, t, t + length);
      const Buffers<float> buffers(part);
      const Sequence sequence = sequence_of(part, buffers);
      if (random() % 4 == 0) {
        for (const auto& member : State<float>::members()) {
          if (!state_shape(any, B, member.name)) continue;
          const std::span<float> state = cut.state(member.name);
          const std::vector<float> copy = copied(state);
          std::fill(state.begin(), state.end(), 9.0f);
          std::copy(copy.begin(), copy.end(), cut.state(member.name).begin());
        }
      }
      if (random() % 4 == 0) cut.detach();
      const auto y = random() % 4 == 0 && cut.windows() == 0 ? cut.forward(sequence) : cut.infer(sequence);
      got.insert(got.end(), y.begin(), y.end());
      if (any.has_modulator()) M.insert(M.end(), cut.modulation().begin(), cut.modulation().end());
      t += length;
    }
    EXPECT_EQ(got, want) << to_string(any);
    EXPECT_EQ(M, copied(whole.modulation())) << to_string(any);
    EXPECT_EQ(snapshot(cut), snapshot(whole)) << to_string(any);
    cut.reset();
    whole.reset();
    const TestCase first = window(all.problem, 0, 1);
    const Buffers<float> buffers(first);
    EXPECT_EQ(copied(cut.infer(sequence_of(first, buffers))),
              copied(whole.infer(sequence_of(first, buffers))));
  }
}

TEST(States, TheLastOutputMayBeTheNextInput) {
  const Spec closed{.inputs = 5, .neurons = 5};
  Network loop = make(closed, 1), copying = make(closed, 1);
  std::vector<float> x(5, .5f);
  std::span<const float> y = loop.infer({.x = x});
  std::vector<float> copy = copied(copying.infer({.x = x}));
  for (int t = 0; t < 4; ++t) {
    y = loop.infer({.x = y});
    copy = copied(copying.infer({.x = copy}));
    EXPECT_EQ(copied(y), copy);
  }
  y = loop.infer({.steps = 1, .x = loop.forward({.x = y})});
}

TEST(States, ResetChangesTheBatch) {
  const Episode large(spec, 4, B, 1), small(spec, 4, 1, 2);
  Network network = make(spec), other = make(spec, 1);
  network.forward(large.sequence());
  network.reset(1);
  EXPECT_EQ(network.batch(), 1);
  EXPECT_EQ(network.options().batch, B);
  EXPECT_EQ(network.windows(), 0);
  EXPECT_EQ(network.state("hebb").size(), 36u);
  Sequence sequence = small.sequence();
  for (const std::int64_t batch : {0, 1}) {
    sequence.batch = batch;
    EXPECT_EQ(copied(network.infer(sequence)), copied(other.infer(sequence)));
  }
  network.forward(sequence);
  network.backward(small.target);
  other.forward(sequence);
  other.backward(small.target);
  EXPECT_EQ(copied(network.parameters()[2].gradient), copied(other.parameters()[2].gradient));
  Trainer trainer(network), other_trainer(other);
  EXPECT_EQ(trainer.step(sequence, small.target), other_trainer.step(sequence, small.target));

  sequence.batch = B;
  expect_error([&] { network.infer(sequence); }, ErrorCode::invalid_argument,
               "sequence.batch: expected 1, the batch of the state");
  expect_error([&] { network.forward(large.sequence()); }, ErrorCode::invalid_argument, "sequence.x");
  expect_error([&] { trainer.step(sequence, small.target); }, ErrorCode::invalid_argument, "sequence.batch");
  expect_error([&] { network.reset(-1); }, ErrorCode::invalid_argument, "batch: expected at least 0");
  network.reset();
  EXPECT_EQ(network.batch(), B);
  sequence = large.sequence();
  sequence.batch = B;
  EXPECT_EQ(network.infer(sequence).size(), 4u * B * 6);
  trainer.step(large.sequence(), large.target);
}

TEST(States, ACloneIsIndependent) {
  const Episode episode(spec, 4, B, 1);
  Network network = make(spec);
  network.set_trainable("alpha", false);
  network.infer(episode.sequence());
  network.forward(episode.sequence());
  Network copy = network.clone();
  EXPECT_EQ(copy.windows(), 0);
  EXPECT_EQ(copy.parameters().size(), network.parameters().size());
  EXPECT_EQ(snapshot(copy), snapshot(network));
  network.backward(episode.target);
  for (const ParameterView& view : copy.parameters()) {
    EXPECT_EQ(copied(view.gradient), std::vector<float>(view.gradient.size()));
  }
  const std::vector<float> y = copied(copy.infer(episode.sequence()));
  copy.forward(episode.sequence());
  copy.backward(episode.target);
  Adam().step(copy.parameters());
  EXPECT_EQ(copied(network.infer(episode.sequence())), y);
  EXPECT_NE(snapshot(copy).at("value w"), snapshot(network).at("value w"));
}

TEST(States, SharingNetworksHaveOneSetOfParameters) {
  const Episode episode(spec, 4, B, 1), single(spec, 4, 1, 2);
  std::optional<Network> network = make(spec);
  network->infer(episode.sequence());
  Network test = network->share(1), second = network->share();
  EXPECT_EQ(test.batch(), 1);
  EXPECT_EQ(test.options().batch, 1);
  EXPECT_EQ(copied(second.state("hebb")), std::vector<float>(B * 36));
  EXPECT_EQ(test.parameter("w").data(), network->parameter("w").data());
  network->forward(episode.sequence());
  network->backward(episode.target);
  const std::vector<float> gradient = copied(network->parameters()[2].gradient);
  EXPECT_EQ(copied(test.parameters()[2].gradient), gradient);
  network.reset();  // the parameters live on
  test.forward(single.sequence());
  test.backward(single.target);
  EXPECT_NE(copied(second.parameters()[2].gradient), gradient);
  expect_error([&] { second.share(-1); }, ErrorCode::invalid_argument, "batch: expected at least 0");
}

TEST(States, SaveAndLoadContinueAStream) {
  std::mt19937_64 random(29);
  for (const bool single : {false, true}) {
    for (int trial = 0; trial < 12; ++trial) {
      const Spec any = random_spec(random, 7, 3);
      const Episode first(any, single ? 1 : 3, B, random()), second(any, 2, B, random());
      Network network = make(any), resumed = make(any, 1);
      network.infer(first.sequence());
      io::TensorFile file;
      network.save(file);
      network.save_state(file);
      resumed.load(file);
      resumed.load_state(file);
      EXPECT_EQ(resumed.batch(), B);
      EXPECT_EQ(copied(resumed.infer(second.sequence())), copied(network.infer(second.sequence())));
    }
  }
}

TEST(States, AStateWithoutElementsLoads) {
  const Network none = make(spec, 0);
  io::TensorFile file;
  none.save_state(file);
  Network network = make(spec);
  network.load_state(file);
  EXPECT_EQ(network.batch(), 0);
  EXPECT_TRUE(network.infer({}).empty());
  EXPECT_EQ(network.clone().batch(), 0);
  network.reset();
  EXPECT_EQ(network.batch(), B);

  const Spec plain{.cell = Cell::feedforward, .alpha = Granularity::none, .neurons = 4};  // has no state
  const std::vector<StackLayer> layers{{.spec = plain}, {.spec = spec, .from = {Stack::input}}};
  const Stack empty(3, layers, {.batch = 0, .device = Device::cpu(1)});
  io::TensorFile of_stack;
  empty.save_state(of_stack);
  Stack stack(3, layers, {.batch = B, .device = Device::cpu(1)});
  stack.load_state(of_stack);
  EXPECT_EQ(stack.batch(), 0);
  EXPECT_TRUE(stack.infer({}).empty());
}

TEST(States, WrongStateFilesChangeNothing) {
  Network network = make(spec), named(spec, {.batch = B, .device = Device::cpu(1), .name = "actor"});
  const Episode episode(spec, 3, B, 1);
  network.infer(episode.sequence());
  io::TensorFile good, other;
  network.save_state(good);
  EXPECT_EQ(good.tensors.size(), 2u);
  expect_error([&] { network.save_state(good); }, ErrorCode::invalid_argument,
               "file: already has the tensor 'state.");
  named.save_state(other);
  EXPECT_TRUE(other.contains("state.actor.hebb"));
  expect_error([&] { network.load_state(other); }, ErrorCode::format, "state.y");
  io::TensorFile wrong = good;
  wrong.tensors["state.hebb"] = io::make_tensor({B, 6, 5}, std::vector<float>(60));
  const Tensors before = snapshot(network);
  expect_error([&] { network.load_state(wrong); }, ErrorCode::format,
               "tensor 'state.hebb': expected shape [2,6,6]");
  EXPECT_EQ(snapshot(network), before);
}

}  // namespace
}  // namespace plasticity::testing
