// Several modules in one program: names of parameters, keys in files, initial weights.
#include <gtest/gtest.h>

#include <filesystem>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"
#include "support/test_data.hpp"

namespace plasticity::testing {
namespace {

const Spec actor_spec{.rate = Rate::fan_out, .inputs = 3, .neurons = 5};
const Spec critic_spec{.cell = Cell::lstm, .inputs = 3, .neurons = 4};

Network make(const Spec& spec, std::string name, std::uint64_t seed = 0) {
  return Network(spec, {.batch = 1, .device = Device::cpu(1), .seed = seed, .name = std::move(name)});
}

TEST(Names, OneOptimizerTrainsTwoNetworks) {
  Network actor = make(actor_spec, "actor"), critic = make(critic_spec, "critic");
  std::vector<ParameterView> all = actor.parameters();
  EXPECT_EQ(all.front().name, "actor.w_in");
  for (ParameterView& view : critic.parameters()) all.push_back(std::move(view));
  Adam adam;
  adam.step(all);
  EXPECT_EQ(adam.steps(), 1);
}

TEST(Names, OneFileHoldsTwoNetworksAndAReadout) {
  Network actor = make(actor_spec, "actor", 1), critic = make(critic_spec, "critic", 1);
  Linear readout(5, 2, 7, "readout");
  io::TensorFile file;
  actor.save(file);
  critic.save(file);
  readout.save(file);
  EXPECT_TRUE(file.contains("param.actor.w"));
  EXPECT_TRUE(file.contains("param.readout.weight"));
  EXPECT_EQ(file.metadata.at("critic.cell"), "lstm");
  EXPECT_EQ(load_spec(file, "actor"), actor_spec);
  EXPECT_EQ(load_spec(file, "critic"), critic_spec);
  expect_error(
      [&] { load_spec(file); }, ErrorCode::format,
      "metadata 'cell': expected a value, got none; the file has networks with the names 'actor', 'critic'");
  expect_error([&] { load_spec(file, "readout"); }, ErrorCode::format, "metadata 'readout.cell'");

  Network other_actor = make(actor_spec, "actor", 2), other_critic = make(critic_spec, "critic", 2);
  Linear other_readout(5, 2, 8, "readout");
  other_actor.load(file);
  other_critic.load(file);
  other_readout.load(file);
  io::TensorFile again;
  other_readout.save(again);
  other_critic.save(again);
  other_actor.save(again);
  EXPECT_EQ(again, file);
  expect_error([&] { Network(make(actor_spec, "other")).load(file); }, ErrorCode::format, "'other.cell'");
  expect_error([&] { Linear(5, 3, 1, "readout").load(file); }, ErrorCode::format, "'param.readout.weight'");
  expect_error([&] { Linear(5, 2, 1, "value").load(file); }, ErrorCode::format, "param.value.weight");
}

// Files of version 0.1 have no names.
TEST(Names, AFileWithoutNamesLoads) {
  const io::TensorFile file = io::load(test_data() / "exported/plastic_rnn_2018.safetensors");
  Network network = make(load_spec(file), "");
  network.load(file);
  EXPECT_EQ(copied(network.parameter("w")), io::to_floats(file.at("param.w")));
  expect_error([&] { load_spec(file, "actor"); }, ErrorCode::format,
               "; the file has a network without a name");
}

TEST(Names, SaveNeverOverwrites) {
  Network first = make(actor_spec, ""), second = make(actor_spec, "");
  Linear a(2, 2, 1), b(2, 2, 2);
  io::TensorFile file;
  first.save(file);
  a.save(file);
  const io::TensorFile before = file;
  expect_error([&] { second.save(file); }, ErrorCode::invalid_argument, "'param.alpha'");
  expect_error([&] { second.save(file); }, ErrorCode::invalid_argument, "NetworkOptions::name");
  expect_error([&] { b.save(file); }, ErrorCode::invalid_argument, "'param.linear.bias'");
  EXPECT_EQ(file, before);
  io::TensorFile only_metadata;
  only_metadata.metadata["rule"] = "mine";
  expect_error([&] { first.save(only_metadata); }, ErrorCode::invalid_argument, "metadata 'rule'");
  EXPECT_TRUE(only_metadata.tensors.empty());

  Adam adam;
  adam.step(first.parameters());
  adam.save(file);
  expect_error([&] { adam.save(file); }, ErrorCode::invalid_argument, "'adam.");
}

TEST(Names, InitialWeightsDependOnSeedAndName) {
  const auto weights = [](const char* name, std::uint64_t seed) {
    Network network = make(actor_spec, name, seed);
    return copied(network.parameter("w"));
  };
  EXPECT_NE(weights("a", 0), weights("b", 0));
  EXPECT_NE(weights("a", 0), weights("", 0));
  EXPECT_NE(weights("a", 0), weights("a", 1));
  EXPECT_EQ(weights("a", 1), weights("a", 1));
  // Files and published results depend on these bits.
  EXPECT_EQ(weights("", 3)[0], -0x1.72d8dep-7f);
  EXPECT_EQ(weights("a", 3)[0], 0x1.6bf5b6p-8f);
}

TEST(Names, AParameterHasAShortAndAFullName) {
  Network network = make(actor_spec, "actor");
  EXPECT_EQ(network.parameter("w").data(), network.parameter("actor.w").data());
  network.set_trainable("actor.alpha", false);
  for (const ParameterView& view : network.parameters()) EXPECT_NE(view.name, "actor.alpha");
  expect_error([&] { network.parameter("critic.w"); }, ErrorCode::invalid_argument, "got 'critic.w'");
}

TEST(Names, TrainerAndAdamShareTheFilesOfANamedNetwork) {
  const Episode episode(actor_spec, 3, 1, 5);
  Network network = make(actor_spec, "actor");
  Trainer trainer(network), resumed(network);
  trainer.step(episode.sequence(), episode.target);
  io::TensorFile file;
  trainer.save(file);
  EXPECT_TRUE(file.contains("adam.actor.w.m"));
  resumed.load(file);
  EXPECT_EQ(resumed.steps(), 1);
  Adam adam;
  adam.load(file);
  adam.step(network.parameters());
  EXPECT_EQ(adam.steps(), 2);
}

TEST(Names, AFileWithoutAPathIsNamed) {
  const Spec spec{.rule = Rule::oja, .rate = Rate::modulated, .neurons = 5};
  Network network = make(spec, ""),
          smaller = make({.rule = Rule::oja, .rate = Rate::modulated, .neurons = 4}, "");
  io::TensorFile file;
  network.save(file);
  expect_error([&] { smaller.load(file); }, ErrorCode::format, "file: expected rnn oja");
  file.tensors.at("param.w").shape = {5 * 5};
  expect_error([&] { network.load(file); }, ErrorCode::format, "tensor 'param.w'");
}

// A rule without a clip does not use the field.
TEST(Names, AnUnusedClipMayDifferInAFile) {
  io::TensorFile file;
  make({.rule = Rule::decay, .neurons = 5, .clip = 2}, "").save(file);
  make({.rule = Rule::decay, .neurons = 5}, "").load(file);
}

}  // namespace
}  // namespace plasticity::testing
