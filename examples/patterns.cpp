// Miconi et al. 2018, binary patterns. A recurrent network sees a few random patterns in turn, with pauses.
// Then it sees one of them with half of the bits zeroed, and must output the missing bits. Patterns are
// strong input currents (gain 20), so only the Hebbian traces can supply a missing bit. Chance is 25 % wrong
// signs: half of the bits are shown, and half of the others are right by chance.
//
// As published: five patterns of 1000 bits, shown twice for six steps. A plastic network is compared with
// fixed weights.
//
// Under mpirun the batch is one episode per rank (--batch sets another size). Every rank draws all episodes
// and trains with its own.
//
// --small and --quick: two patterns of 50 bits, shown once for three steps. The comparison also has networks
// with another memory, a plain RNN and a plain LSTM with hidden neurons (the paper's comparison).
#include <algorithm>
#include <functional>
#include <numeric>

#include "common/experiment.hpp"
#include "common/random.hpp"

namespace {

using namespace examples;
using namespace plasticity;

struct Task {
  std::size_t bits, patterns, cycles, on, off, test;
  std::size_t steps() const { return patterns * cycles * (on + off) + test; }
};
constexpr Task full{1000, 5, 2, 6, 4, 6}, small{50, 2, 1, 3, 1, 3};

/// The inputs shown, [T,bits] of -1, 0 and 1, and the pattern to recall, [bits].
struct Episode {
  std::vector<float> shown, target;
};

Episode make_episode(const Task& task, Random& random) {
  Episode episode{std::vector<float>(task.steps() * task.bits), {}};
  std::vector<std::vector<float>> patterns(task.patterns, std::vector<float>(task.bits, 1));
  for (std::vector<float>& pattern : patterns) {  // as many -1 as 1
    const std::vector<std::size_t> order = random.permutation(task.bits);
    for (std::size_t k = 0; k < task.bits / 2; ++k) pattern[order[k]] = -1;
  }
  auto at = episode.shown.begin();
  for (std::size_t cycle = 0; cycle < task.cycles; ++cycle) {
    for (const std::size_t k : random.permutation(task.patterns)) {
      for (std::size_t t = 0; t < task.on; ++t) at = std::copy(patterns[k].begin(), patterns[k].end(), at);
      at += static_cast<std::ptrdiff_t>(task.off * task.bits);
    }
  }
  episode.target = patterns[random.below(task.patterns)];
  std::vector<float> cue = episode.target;
  const std::vector<std::size_t> order = random.permutation(task.bits);
  for (std::size_t k = 0; k < task.bits / 2; ++k) cue[order[k]] = 0;
  for (std::size_t t = 0; t < task.test; ++t) at = std::copy(cue.begin(), cue.end(), at);
  return episode;
}

/// The episodes of one rank, and the size of the global batch.
struct Batch {
  std::vector<Episode> episodes;
  double size;
};

/// Draws the episodes of the global batch and returns those of this rank.
Batch make_batch(const Task& task, std::int64_t size, const Communicator* communicator, Random& random) {
  const BatchSlice slice = slice_of(communicator, size);
  Batch batch{{}, static_cast<double>(size)};
  for (std::int64_t b = 0; b < size; ++b) {
    Episode episode = make_episode(task, random);
    if (b >= slice.first && b < slice.first + slice.count) batch.episodes.push_back(std::move(episode));
  }
  return batch;
}

/// Writes the input currents of episodes, [T,B,N]: the inputs shown and, if N > bits, one neuron that is
/// always on.
void write_currents(const Task& task, std::span<const Episode> episodes, std::size_t N,
                    std::vector<float>& u) {
  constexpr float gain = 20;
  u.resize(task.steps() * episodes.size() * N);
  for (std::size_t t = 0; t < task.steps(); ++t) {
    for (std::size_t b = 0; b < episodes.size(); ++b) {
      float* const row = u.data() + (t * episodes.size() + b) * N;
      for (std::size_t j = 0; j < N; ++j)
        row[j] = gain * (j < task.bits ? episodes[b].shown[t * task.bits + j] : 1);
    }
  }
}

/// The share of wrong signs among `y`.
double sign_error(std::span<const float> y, std::span<const float> target) {
  double wrong = 0;
  for (std::size_t k = 0; k < target.size(); ++k) wrong += (y[k] > 0) != (target[k] > 0) ? 1 : 0;
  return wrong / static_cast<double>(target.size());
}

struct TestErrors {
  double mean, median;
};

/// The errors in 200 new episodes, equal for every network and seed. A single episode is not representative:
/// the network recalls the pattern that was shown last best.
TestErrors test(const Task& task, const std::function<std::span<const float>(const Episode&)>& output) {
  constexpr int episodes = 200;
  Random random(0);
  std::vector<double> errors;
  for (int k = 0; k < episodes; ++k) {
    const Episode episode = make_episode(task, random);
    errors.push_back(sign_error(output(episode), episode.target));
  }
  std::sort(errors.begin(), errors.end());
  return {std::accumulate(errors.begin(), errors.end(), 0.0) / episodes, errors[episodes / 2]};
}

/// Trains the paper's network: one neuron per bit. The patterns are input currents, and the activity is the
/// output. `bias` adds one neuron whose input is always on.
void learn_directly(Trial& trial, const Task& task, const std::string& name, bool plastic, bool bias,
                    std::int64_t batch_size) {
  const std::size_t T = task.steps(), N = task.bits + (bias ? 1 : 0);
  const std::int64_t own = slice_of(trial.communicator(), batch_size).count;
  Network network({.cell = Cell::rnn,
                   .alpha = plastic ? Granularity::connection : Granularity::scalar,
                   .neurons = static_cast<std::int64_t>(N)},
                  {.batch = own, .device = trial.device(), .seed = trial.seed()});
  if (!plastic) remove_plasticity(network);
  Adam adam({.learning_rate = task.bits == full.bits ? 3e-4 : 3e-3});
  Random random(trial.seed());
  std::vector<float> u, dy(T * static_cast<std::size_t>(own) * N);
  for (std::int64_t iteration = 0; iteration < trial.iterations(); ++iteration) {
    const Batch batch = make_batch(task, batch_size, trial.communicator(), random);
    write_currents(task, batch.episodes, N, u);
    network.reset();
    const std::span<const float> y = network.forward({.steps = static_cast<std::int64_t>(T), .u = u});
    double error = 0;
    for (std::size_t b = 0; b < batch.episodes.size(); ++b) {
      const std::vector<float>& target = batch.episodes[b].target;
      const std::size_t last = ((T - 1) * batch.episodes.size() + b) * N;
      const std::span<float> gradient = std::span(dy).subspan(last, task.bits);
      mse_loss(y.subspan(last, task.bits), target, gradient);
      // The published loss is the sum over the bits; a batch has the mean of its episodes.
      for (float& value : gradient) value *= static_cast<float>(static_cast<double>(task.bits) / batch.size);
      error += sign_error(y.subspan(last, task.bits), target) / static_cast<double>(batch.episodes.size());
    }
    trial.step(name, trial.mean_of_ranks(error));
    network.zero_gradients();
    network.backward(dy);
    if (trial.communicator() != nullptr) all_reduce(*trial.communicator(), network.parameters());
    adam.step(network.parameters());
  }
  const TestErrors errors = test(task, [&](const Episode& episode) {
    write_currents(task, {&episode, 1}, N, u);
    network.reset(1);
    return network.infer({.steps = static_cast<std::int64_t>(T), .u = u}).subspan((T - 1) * N, task.bits);
  });
  trial.result(name, errors.mean);
  if (plastic) trial.result(name + ", median episode", errors.median);
  trial.save(name, network);
}

/// Trains a network without plasticity, with input weights, hidden neurons and a linear readout.
void learn_with_hidden_neurons(Trial& trial, const Task& task, const std::string& name, Cell cell,
                               std::int64_t neurons, std::int64_t batch_size) {
  const std::size_t T = task.steps(), N = static_cast<std::size_t>(neurons), bits_count = task.bits;
  const auto bits = static_cast<std::int64_t>(task.bits);
  const std::int64_t own = slice_of(trial.communicator(), batch_size).count;
  const auto samples = static_cast<std::size_t>(own);
  Network network({.cell = cell, .alpha = Granularity::scalar, .inputs = bits, .neurons = neurons},
                  {.batch = own, .device = trial.device(), .seed = trial.seed()});
  remove_plasticity(network);
  Linear readout(neurons, bits, trial.seed() + 1, "readout");
  const std::vector<ParameterView> parameters = concatenate({network.parameters(), readout.parameters()});
  Adam adam({.learning_rate = 1e-3});
  Random random(trial.seed());
  std::vector<float> x(T * samples * bits_count), dy(T * samples * N), output(samples * bits_count), target,
      doutput(output.size());
  for (std::int64_t iteration = 0; iteration < trial.iterations(); ++iteration) {
    const Batch batch = make_batch(task, batch_size, trial.communicator(), random);
    target.clear();
    for (std::size_t b = 0; b < samples; ++b) {
      const Episode& episode = batch.episodes[b];
      target.insert(target.end(), episode.target.begin(), episode.target.end());
      for (std::size_t t = 0; t < T; ++t)
        std::copy_n(episode.shown.data() + t * bits_count, bits_count,
                    x.data() + (t * samples + b) * bits_count);
    }
    network.reset();
    const std::span<const float> last =
        network.forward({.steps = static_cast<std::int64_t>(T), .x = x}).subspan((T - 1) * samples * N);
    readout.forward(last, output);
    mse_loss(output, target, doutput);  // the mean over the samples of this rank
    trial.step(name, trial.mean_of_ranks(sign_error(output, target)));
    network.zero_gradients();
    readout.zero_gradients();
    readout.backward(last, doutput, std::span(dy).subspan((T - 1) * samples * N), own);
    network.backward(dy);
    if (trial.communicator() != nullptr) all_reduce(*trial.communicator(), parameters, Combine::mean);
    adam.step(parameters);
  }
  output.resize(bits_count);
  const TestErrors errors = test(task, [&](const Episode& episode) {
    network.reset(1);
    readout.forward(
        network.infer({.steps = static_cast<std::int64_t>(T), .x = episode.shown}).subspan((T - 1) * N),
        output);
    return std::span<const float>(output);
  });
  trial.result(name, errors.mean);
  trial.save(name, network, readout.parameters());
}

}  // namespace

int main(int argc, char** argv) {
  Experiment experiment({.name = "patterns",
                         .about = "Completing binary patterns (Miconi et al. 2018)",
                         .metric = "share of wrong signs",
                         .x_label = "episodes",
                         .chance = .25,
                         .iterations = 250,
                         .quick = 1500});
  bool is_small = false, bias = false;
  std::int64_t hidden = 200, batch = 0;
  experiment.app().add_flag("--small", is_small, "50 bits, compared with a plain RNN and a plain LSTM");
  experiment.app().add_flag("--bias", bias, "Add one neuron that is always on (N = 1001)");
  experiment.app()
      .add_option("--hidden", hidden, "Neurons of the plain RNN and LSTM (published: 2050)")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  experiment.app()
      .add_option("--batch", batch, "Episodes per iteration. Default: one per rank of mpirun (published: 1)")
      ->check(CLI::Range(1, 4096));
  return experiment.run(argc, argv, [&](Trial& trial) {
    if (batch == 0) batch = trial.communicator() == nullptr ? 1 : trial.communicator()->size();
    const bool use_small = is_small || trial.quick();
    const Task& task = use_small ? small : full;
    learn_directly(trial, task, "plastic", true, bias, batch);
    learn_directly(trial, task, "fixed weights", false, bias, batch);
    if (use_small) {
      learn_with_hidden_neurons(trial, task, "plain RNN", Cell::rnn, hidden, batch);
      learn_with_hidden_neurons(trial, task, "plain LSTM", Cell::lstm, hidden, batch);
    }
    trial.expect_below("plastic", use_small ? .10 : .05);
  });
}
