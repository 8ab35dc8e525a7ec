// Trainers on several ranks compared in bits with one trainer of the whole batch.
#include <gtest/gtest.h>

#include <chrono>
#include <deque>

#include "communicator/on_ranks.hpp"
#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"

namespace plasticity::testing {
namespace {

using Tensors = std::map<std::string, std::vector<float>>;

/// A part of an episode for one rank.
struct Part {
  Part(const Episode& whole, std::int64_t first, std::int64_t count)
      : problem(slice(whole.problem, first, count)), buffers(problem) {
    const auto T = static_cast<std::size_t>(problem.steps), B = static_cast<std::size_t>(whole.problem.batch);
    const std::size_t N = whole.target.size() / (T * B);
    for (std::size_t t = 0; t < T; ++t) {
      for (std::size_t b = 0; b < static_cast<std::size_t>(count); ++b) {
        const std::size_t row = t * B + static_cast<std::size_t>(first) + b;
        for (std::size_t k = row * N; k < (row + 1) * N; ++k) {
          target.push_back(whole.target[k]);
          mask.push_back(whole.mask[k]);
        }
        rows.push_back(row);
      }
    }
  }
  Sequence sequence() const { return sequence_of(problem, buffers); }
  std::vector<std::int64_t> labels(const std::vector<std::int64_t>& all) const {
    std::vector<std::int64_t> own;
    for (const std::size_t row : rows) own.push_back(all[row]);
    return own;
  }

  TestCase problem;
  Buffers<float> buffers;
  std::vector<float> target{};
  std::vector<std::uint8_t> mask{};
  std::vector<std::size_t> rows{};  // t B + b in the whole episode
};

enum class Loss { squared, masked, labels, function };

/// A training of a few iterations, on one rank or on several.
struct Training {
  Spec spec;
  std::int64_t batch;
  TrainerOptions options;
  Loss loss;
  std::deque<Episode> episodes{};
  std::vector<std::vector<std::int64_t>> labels{};

  Training(const Spec& of, std::int64_t B, const TrainerOptions& with, Loss kind, std::uint64_t seed)
      : spec(of), batch(B), options(with), loss(kind) {
    std::mt19937_64 random(seed);
    for (int k = 0; k < 3; ++k) {
      episodes.emplace_back(spec, 4 + k, B, random(), random_masks(random));
      std::vector<std::int64_t>& list = labels.emplace_back();
      for (std::int64_t row = 0; row < (4 + k) * B; ++row)
        list.push_back(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(spec.neurons + 1)) -
                       1);
    }
  }

  /// Runs iterations first .. last-1, from `file` if it has tensors. Returns the tensors of the parameters,
  /// the gradients and the losses, and writes the checkpoint to `file`.
  Tensors run(Communicator* communicator, int first, int last, io::TensorFile& file) const {
    const BatchSlice part = slice_of(communicator, batch);
    TrainerOptions own = options;
    own.communicator = communicator;
    const int rank = communicator == nullptr ? 0 : communicator->rank();
    // Every rank has another seed: the first step copies the parameters of rank 0.
    Network network(
        spec, {.batch = part.count, .device = Device::cpu(2), .seed = 5 + static_cast<std::uint64_t>(rank)});
    Trainer trainer(network, own);
    if (!file.tensors.empty()) {
      network.load(file);
      trainer.load(file);
    }
    Tensors results;
    for (int k = first; k < last; ++k) {
      const auto index = static_cast<std::size_t>(k);
      const Part episode(episodes[index], part.first, part.count);
      network.reset();
      results["loss"].push_back(static_cast<float>(step(trainer, episode, index)));
      results["low bits of the loss"].push_back(
          static_cast<float>(last_loss_ - static_cast<double>(static_cast<float>(last_loss_))));
    }
    for (const ParameterView& view : network.parameters()) {
      results["value " + view.name] = copied(view.value);
      results["gradient " + view.name] = copied(view.gradient);
    }
    file = {};
    network.save(file);
    trainer.save(file);
    return results;
  }

 private:
  double step(Trainer& trainer, const Part& episode, std::size_t index) const {
    const auto total = static_cast<double>(episodes[index].target.size());
    switch (loss) {
      case Loss::squared: last_loss_ = trainer.step(episode.sequence(), episode.target); break;
      case Loss::masked: last_loss_ = trainer.step(episode.sequence(), episode.target, episode.mask); break;
      case Loss::labels:
        last_loss_ = trainer.step_labels(episode.sequence(), episode.labels(labels[index]));
        break;
      case Loss::function:
        last_loss_ =
            trainer.step_with(episode.sequence(), [&](std::span<const float> y, std::span<float> dy) {
              for (std::size_t k = 0; k < y.size(); ++k)
                dy[k] = static_cast<float>(
                    (static_cast<double>(y[k]) - static_cast<double>(episode.target[k])) / total);
              return 0.25;
            });
    }
    if (loss == Loss::function) last_loss_ = 0;  // the sum of the ranks' values, which has its own test
    return last_loss_;
  }
  static thread_local double last_loss_;
};
thread_local double Training::last_loss_ = 0;

/// Runs a training on `ranks` ranks and returns the results of each.
std::vector<Tensors> run_on(int ranks, const Training& training, int first, int last, io::TensorFile& file) {
  std::vector<Tensors> results(static_cast<std::size_t>(ranks));
  std::vector<io::TensorFile> files(results.size(), file);
  const std::vector<std::string> errors = on_ranks(ranks, [&](Communicator& communicator) {
    const auto r = static_cast<std::size_t>(communicator.rank());
    results[r] = training.run(&communicator, first, last, files[r]);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  file = files[0];
  return results;
}

std::vector<TrainerOptions> some_options() {
  OptimizerOptions sgd = OptimizerOptions::sgd(.1, .9), rmsprop = OptimizerOptions::rmsprop(1e-2);
  sgd.clip_norm = .01;
  return {{.adam = {.learning_rate = 1e-2}, .clip_norm = .05, .reduction = Reduction::relative},
          {.adam = {.learning_rate = 1e-2}, .reduction = Reduction::mean},
          {.reduction = Reduction::sum, .optimizer = sgd},
          {.reduction = Reduction::mean, .optimizer = rmsprop}};
}

TEST(TrainerOnRanks, HasTheBitsOfOneRank) {
  std::mt19937_64 random(31);
  const std::vector<TrainerOptions> options = some_options();
  for (int trial = 0; trial < 24; ++trial) {
    const Spec spec = trial % 8 == 7 ? nonplastic_spec(random, 9, 3) : random_spec(random, 9, 3);
    const std::int64_t batch = pick<std::int64_t>(random, {8, 16, 24, 40});
    const Training training(spec, batch, options[static_cast<std::size_t>(trial) % 4],
                            static_cast<Loss>(trial / 4 % 4), random());
    io::TensorFile file;
    const Tensors want = training.run(nullptr, 0, 3, file);
    for (const int ranks : {1, 2, 4, 8}) {
      io::TensorFile of_ranks;
      const std::vector<Tensors> got = run_on(ranks, training, 0, 3, of_ranks);
      for (const Tensors& tensors : got)
        ASSERT_EQ(tensors, want) << to_string(spec) << ", " << ranks << " ranks, B " << batch << ", trial "
                                 << trial;
      EXPECT_TRUE(of_ranks == file);
    }
  }
}

// The bits of three ranks are another sum's, but those of every rank and of every run.
TEST(TrainerOnRanks, OddNumbersOfRanksAgree) {
  const Training training({.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 9}, 15,
                          {.clip_norm = .1}, Loss::masked, 3);
  io::TensorFile file;
  const Tensors one = training.run(nullptr, 0, 3, file);
  for (const int ranks : {3, 5}) {
    io::TensorFile first_file, second_file;
    const std::vector<Tensors> first = run_on(ranks, training, 0, 3, first_file),
                               second = run_on(ranks, training, 0, 3, second_file);
    for (const Tensors& tensors : first) EXPECT_EQ(tensors, first[0]);
    EXPECT_EQ(second, first);
    for (std::size_t k = 0; k < one.at("value w").size(); ++k)
      EXPECT_NEAR(first[0].at("value w")[k], one.at("value w")[k], 1e-4);
  }
}

TEST(TrainerOnRanks, AnyNumberOfRanksResumes) {
  const Training training({.rule = Rule::oja, .inputs = 3, .neurons = 9}, 8, {.clip_norm = .1}, Loss::squared,
                          4);
  io::TensorFile whole;
  const Tensors want = training.run(nullptr, 0, 3, whole);
  for (const int before : {1, 2, 8}) {
    for (const int after : {1, 4}) {
      io::TensorFile file;
      run_on(before, training, 0, 2, file);
      run_on(after, training, 2, 3, file);
      EXPECT_TRUE(file == whole) << before << " ranks, then " << after;
    }
  }
}

// Only rank 0 has the file.
TEST(TrainerOnRanks, RankZeroAloneLoads) {
  const Training training({.inputs = 3, .neurons = 9}, 8, {}, Loss::squared, 5);
  io::TensorFile whole, file;
  training.run(nullptr, 0, 3, whole);
  training.run(nullptr, 0, 2, file);
  std::vector<io::TensorFile> files(4);
  files[0] = file;
  for (const std::string& error : on_ranks(4, [&](Communicator& communicator) {
         training.run(&communicator, 2, 3, files[static_cast<std::size_t>(communicator.rank())]);
       })) {
    EXPECT_EQ(error, "");
  }
  for (const io::TensorFile& each : files) EXPECT_TRUE(each == whole);
}

// The moments that the first step copies from rank 0 stay if the caller's loss throws in that step.
TEST(TrainerOnRanks, ResumesAfterALossThatThrows) {
  const Training training({.inputs = 3, .neurons = 9}, 8, {}, Loss::squared, 6);
  io::TensorFile whole, file;
  training.run(nullptr, 0, 3, whole);
  training.run(nullptr, 0, 2, file);
  const std::vector<std::string> errors = on_ranks(2, [&](Communicator& communicator) {
    const BatchSlice slice = slice_of(&communicator, 8);
    Network network(training.spec, {.batch = slice.count, .device = Device::cpu(1)});
    Trainer trainer(network, {.communicator = &communicator});
    if (communicator.rank() == 0) {
      network.load(file);
      trainer.load(file);
    }
    const Part episode(training.episodes[2], slice.first, slice.count);
    const auto throws = [](std::span<const float>, std::span<float>) -> double {
      throw std::runtime_error("of the program");
    };
    EXPECT_THROW(trainer.step_with(episode.sequence(), throws), std::runtime_error);
    network.reset();
    trainer.step(episode.sequence(), episode.target);
    io::TensorFile own;
    network.save(own);
    trainer.save(own);
    EXPECT_TRUE(own == whole);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

/// Runs a loop without a trainer: a readout, an upstream gradient of the pre-activation, an optimizer.
Tensors run_loop(const Training& training, Communicator* communicator) {
  const BatchSlice slice = slice_of(communicator, training.batch);
  Network network(training.spec, {.batch = slice.count, .device = Device::cpu(2), .seed = 5});
  const std::int64_t N = training.spec.neurons;
  Linear readout(N, 3, 6, "readout");
  std::vector<ParameterView> parameters = network.parameters();
  for (const ParameterView& view : readout.parameters()) parameters.push_back(view);
  if (communicator != nullptr) broadcast(*communicator, parameters);
  Adam adam({.learning_rate = 1e-2});
  for (const Episode& whole : training.episodes) {
    const Part episode(whole, slice.first, slice.count);
    network.reset();
    network.zero_gradients();
    readout.zero_gradients();
    const std::span<const float> y = network.forward(episode.sequence());
    const auto rows = static_cast<std::size_t>(episode.problem.steps * slice.count);
    std::vector<float> output(rows * 3), doutput(rows * 3), dy(y.size());
    readout.forward(y, output);
    for (std::size_t k = 0; k < output.size(); ++k) doutput[k] = output[k] / 7;
    readout.backward(y, doutput, dy, slice.count);
    network.backward(dy, {}, {.preactivation = episode.target});
    if (communicator != nullptr) all_reduce(*communicator, parameters);
    clip_gradients(parameters, .5);
    adam.step(parameters);
  }
  Tensors results;
  for (const ParameterView& view : parameters) {
    results["value " + view.name] = copied(view.value);
    results["gradient " + view.name] = copied(view.gradient);
  }
  return results;
}

TEST(LoopOnRanks, HasTheBitsOfOneRank) {
  std::mt19937_64 random(37);
  for (const std::int64_t batch : {8, 24}) {
    for (const Rate rate : {Rate::modulated, Rate::fan_out}) {
      const Training training({.rule = Rule::hard_clip, .rate = rate, .inputs = 3, .neurons = 9}, batch, {},
                              Loss::squared, random());
      const Tensors want = run_loop(training, nullptr);
      for (const int ranks : {2, 4, 8}) {
        for (const std::string& error : on_ranks(ranks, [&](Communicator& communicator) {
               for (const auto& [name, values] : run_loop(training, &communicator))
                 EXPECT_EQ(values, want.at(name)) << name << ", " << ranks << " ranks, B " << batch;
             })) {
          EXPECT_EQ(error, "");
        }
      }
    }
  }
}

TEST(TrainerOnRanks, AddsTheCallersLosses) {
  for (const std::string& error : on_ranks(4, [&](Communicator& communicator) {
         Network network({.neurons = 5}, {.device = Device::cpu(1)});
         Trainer trainer(network, {.communicator = &communicator});
         const double loss = trainer.step_with({.steps = 2}, [&](std::span<const float>, std::span<float>) {
           return communicator.rank() + 1.0;
         });
         EXPECT_EQ(loss, 10);
       })) {
    EXPECT_EQ(error, "");
  }
}

// A gradient of one rank that is not finite is an error on all, and changes nothing on any.
TEST(TrainerOnRanks, NotFiniteIsTheSameOnAllRanks) {
  for (const NotFinite reaction : {NotFinite::fail, NotFinite::skip}) {
    const std::vector<std::string> errors = on_ranks(3, [&](Communicator& communicator) {
      Network network({.neurons = 5}, {.device = Device::cpu(1)});
      Trainer trainer(network, {.adam = {.not_finite = reaction}, .communicator = &communicator});
      const std::vector<float> target(10), u(10, .5f);
      trainer.step({.steps = 2, .u = u}, target);
      const std::vector<float> before = copied(network.parameter("w"));
      const auto bad = [&] {
        trainer.step_with({.steps = 2, .u = u}, [&](std::span<const float>, std::span<float> dy) {
          if (communicator.rank() == 1) dy[7] = std::numeric_limits<float>::infinity();
          return 0.0;
        });
      };
      if (reaction == NotFinite::fail) {
        EXPECT_THROW(bad(), Error);
      } else {
        bad();
      }
      EXPECT_EQ(copied(network.parameter("w")), before);
      EXPECT_EQ(trainer.steps(), 1);
      EXPECT_EQ(trainer.skipped(), reaction == NotFinite::skip ? 1 : 0);
      trainer.step({.steps = 2, .u = u}, target);
      EXPECT_EQ(trainer.steps(), 2);
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
  }
}

}  // namespace
}  // namespace plasticity::testing
