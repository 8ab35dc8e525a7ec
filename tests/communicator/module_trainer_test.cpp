// A Trainer of several modules on several ranks compared in bits with one rank that has the whole batch.
#include <gtest/gtest.h>

#include <stdexcept>

#include "communicator/on_ranks.hpp"
#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 3, B = 8, I = 2, E = 5, N = 6, O = 2;
using Tensors = std::map<std::string, std::vector<float>>;

/// Returns the samples of a slice of [T,B,width] random numbers.
std::vector<float> samples(const BatchSlice& slice, std::int64_t width, std::uint64_t seed) {
  const std::vector<float> whole = noise(static_cast<std::size_t>(T * B * width), seed);
  std::vector<float> part;
  for (std::int64_t t = 0; t < T; ++t) {
    const auto from = whole.begin() + (t * B + slice.first) * width;
    part.insert(part.end(), from, from + slice.count * width);
  }
  return part;
}

/// An encoder, a network behind it, and a readout, on one rank or on several.
struct Training {
  BatchSlice slice;
  Network encoder, memory;
  Linear readout;
  Trainer trainer;
  std::vector<double> losses{};

  // Every rank has another seed: the first step copies the parameters of rank 0.
  Training(Communicator* communicator, TrainerOptions options)
      : slice(slice_of(communicator, B)),
        encoder({.rule = Rule::oja, .inputs = I, .neurons = E}, network_options(communicator, "encoder")),
        memory({.cell = Cell::lstm, .inputs = E, .neurons = N}, network_options(communicator, "memory")),
        readout(N, O, seed_of(communicator), "readout"),
        trainer({encoder, memory, readout}, with(options, communicator)) {}

  static std::uint64_t seed_of(const Communicator* communicator) {
    return 3 + (communicator == nullptr ? 0 : static_cast<std::uint64_t>(communicator->rank()));
  }
  NetworkOptions network_options(const Communicator* communicator, const std::string& name) const {
    return {.batch = slice.count, .device = Device::cpu(1), .seed = seed_of(communicator), .name = name};
  }
  static TrainerOptions with(TrainerOptions options, Communicator* communicator) {
    options.communicator = communicator;
    return options;
  }

  double run(std::uint64_t seed) {
    const std::vector<float> x = samples(slice, I, seed), target = samples(slice, O, seed + 1);
    const auto rows = static_cast<std::size_t>(T * slice.count);
    std::vector<float> out(rows * O), dout(rows * O), dy(rows * N), de(rows * E);
    encoder.reset();
    memory.reset();
    const std::span<const float> y = memory.forward({.steps = T, .x = encoder.forward({.steps = T, .x = x})});
    readout.forward(y, out);
    double loss = 0;
    for (std::size_t k = 0; k < out.size(); ++k) {
      dout[k] = (out[k] - target[k]) / (T * B * O);  // divided by the size of the global batch
      loss += .5 * static_cast<double>(dout[k] * (out[k] - target[k]));
    }
    readout.backward(y, dout, dy, slice.count);
    memory.backward(dy, {.x = de});
    encoder.backward(de);
    return loss;
  }
  void step(std::uint64_t seed) {
    losses.push_back(trainer.step([&] { return run(seed); }));
  }

  Tensors snapshot() {
    Tensors tensors;
    for (const Module& module : {Module(encoder), Module(memory), Module(readout)}) {
      for (const ParameterView& view : module.parameters()) {
        tensors["value " + view.name] = copied(view.value);
        tensors["gradient " + view.name] = copied(view.gradient);
      }
    }
    return tensors;
  }
  void save(io::TensorFile& file) {
    encoder.save(file);
    memory.save(file);
    readout.save(file);
    trainer.save(file);
  }
  void load(const io::TensorFile& file) {
    encoder.load(file);
    memory.load(file);
    readout.load(file);
    trainer.load(file);
  }
};

std::vector<TrainerOptions> some_options() {
  OptimizerOptions grouped = OptimizerOptions::sgd(.1, .9);
  grouped.clip_norm = .01;
  grouped.groups = {{.names = {"encoder.w", "readout.bias"}, .learning_rate_factor = 2, .clip_norm = .02}};
  return {{.adam = {.learning_rate = 1e-2}},
          {.adam = {.learning_rate = 1e-2}, .clip_norm = .01},
          {.optimizer = grouped}};
}

void expect_no_errors(const std::vector<std::string>& errors) {
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

TEST(ModuleTrainerOnRanks, HasTheBitsOfOneRank) {
  for (const TrainerOptions& options : some_options()) {
    Training alone(nullptr, options);
    for (std::uint64_t k = 0; k < 3; ++k) alone.step(k);
    const Tensors want = alone.snapshot();
    for (const int ranks : {1, 2, 4, 8}) {
      expect_no_errors(on_ranks(ranks, [&](Communicator& communicator) {
        Training training(&communicator, options);
        for (std::uint64_t k = 0; k < 3; ++k) training.step(k);
        EXPECT_EQ(training.snapshot(), want) << ranks << " ranks";
        for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(training.losses[k], alone.losses[k], 1e-12);
      }));
    }
  }
}

/// A training of one rank: its file after two steps, and its tensors after the third.
struct Saved {
  io::TensorFile file{};
  Tensors want{};

  explicit Saved(const TrainerOptions& options) {
    Training alone(nullptr, options);
    for (std::uint64_t k = 0; k < 2; ++k) alone.step(k);
    alone.save(file);
    alone.step(2);
    want = alone.snapshot();
  }
};

// Rank 0 alone has the file.
TEST(ModuleTrainerOnRanks, Resumes) {
  const TrainerOptions options = some_options()[2];
  const Saved saved(options);
  for (const int ranks : {2, 4}) {
    expect_no_errors(on_ranks(ranks, [&](Communicator& communicator) {
      Training training(&communicator, options);
      if (communicator.rank() == 0) training.load(saved.file);
      training.step(2);
      EXPECT_EQ(training.snapshot(), saved.want) << ranks << " ranks";
      EXPECT_EQ(training.trainer.steps(), 3);
    }));
  }
}

// The moments that the first step copies from rank 0 stay if the program's part of that step throws.
TEST(ModuleTrainerOnRanks, ResumesAfterAFailedFirstStep) {
  const TrainerOptions options = some_options()[0];
  const Saved saved(options);
  expect_no_errors(on_ranks(2, [&](Communicator& communicator) {
    Training training(&communicator, options);
    if (communicator.rank() == 0) training.load(saved.file);
    EXPECT_THROW(training.trainer.step([]() -> double { throw std::runtime_error("of the program"); }),
                 std::runtime_error);
    training.step(2);
    EXPECT_EQ(training.snapshot(), saved.want);
  }));
}

TEST(ModuleTrainerOnRanks, NotFiniteIsTheSameOnAllRanks) {
  expect_no_errors(on_ranks(2, [&](Communicator& communicator) {
    Training training(&communicator, {});
    training.step(1);
    const std::vector<float> before = copied(training.memory.parameter("w"));
    const auto bad = [&] {
      const double loss = training.run(2);
      if (communicator.rank() == 1) training.readout.parameters()[1].gradient[0] = std::nanf("");
      return loss;
    };
    expect_exact_error([&] { training.trainer.step(bad); }, ErrorCode::invalid_argument,
                       "gradient of 'readout.bias': expected finite numbers, got NaN or infinity");
    EXPECT_EQ(copied(training.memory.parameter("w")), before);
    training.step(3);
    EXPECT_EQ(training.trainer.steps(), 2);
  }));
}

TEST(ModuleTrainerOnRanks, DifferencesAreNamed) {
  for (const std::string& error : on_ranks(2, [&](Communicator& communicator) {
         Training training(&communicator, {});
         training.step(1);
         if (communicator.rank() == 1) training.memory.set_trainable("alpha", false);
         training.step(2);
       })) {
    EXPECT_NE(error.find("number of trained parameters of rank 1: expected "), std::string::npos) << error;
  }
  // The same number of parameters and elements under another name.
  for (const std::string& error : on_ranks(2, [&](Communicator& communicator) {
         Linear layer(2, 3, 1, communicator.rank() == 0 ? "policy" : "value");
         Trainer trainer({layer}, {.communicator = &communicator});
         trainer.step([] { return 0.0; });
       })) {
    EXPECT_NE(error.find("names of parameters of rank 1: expected those of rank 0"), std::string::npos)
        << error;
  }
}

}  // namespace
}  // namespace plasticity::testing
