// Miconi 2016: three tasks in which a small feed-forward network must remember, within an episode, what it
// was shown moments ago. Its first layer is plastic (Hebbian decay, fixed rate); what backpropagation trains
// is how it stores and uses memories, never the memories themselves.
//
// completion: a pattern of 8 bits; then one bit of it, and the other seven must come back.
//
// one-shot: two patterns, each shown once with its label; then 18 times one of them, and the label is asked.
//
// reversal: as one-shot, but half-way the labels change places, shown once each.
#include <cmath>

#include "common/experiment.hpp"
#include "common/random.hpp"

namespace {

using namespace examples;
using namespace plasticity;
constexpr std::size_t bits = 8, labels = 2;

struct Task {
  const char* name;
  float rate;           // of the trace; the author's printed gamma is 1 - this
  std::int64_t length;  // in units of the experiment's episodes
  double margin;        // the loss must get below it: chance is 7 (completion), ln 2 = .69 (the others)
};
constexpr Task tasks[] = {{"completion", .5f, 1, .7}, {"one-shot", .02f, 2, .14}, {"reversal", .02f, 2, .14}};

/// What an episode needs until its gradient is known: forward does not copy its inputs.
struct Episode {
  std::vector<float> pre, dy, dlogits;
};

/// The completion task: y is the answer itself. One episode is two steps; gives the loss, and its gradient.
double complete(Network& network, Random& random, Episode& episode) {
  std::vector<float>&pre = episode.pre, &dy = episode.dy;
  pre.assign(2 * (bits + 1), 0);
  std::vector<float> pattern(bits);
  for (float& bit : pattern) bit = random.sign();
  const std::size_t kept = random.below(bits);
  std::copy(pattern.begin(), pattern.end(), pre.begin());
  pre[bits] = pre[2 * bits + 1] = 1;  // the bias
  pre[bits + 1 + kept] = pattern[kept];

  const std::span<const float> y = network.forward({.steps = 2, .pre = pre}).subspan(bits);
  dy.assign(2 * bits, 0);
  return bits * mse_loss(y, pattern, std::span(dy).subspan(bits));  // the author's loss is the sum
}

/// One-shot and reversal: the two plastic units are read out by a layer of fixed weights, with softmax.
double classify(Network& network, Linear& readout, bool reversal, Random& random, Episode& episode) {
  constexpr std::size_t inputs = labels + bits + 1, T = 20;
  auto& [pre, dy, dlogits] = episode;
  pre.assign(T * inputs, 0);
  std::vector<float> patterns(labels * bits), logits(T * labels);
  do {
    for (float& bit : patterns) bit = random.sign();
  } while (std::equal(patterns.begin(), patterns.begin() + bits, patterns.begin() + bits));

  std::vector<std::int64_t> wanted(T);
  for (std::size_t t = 0; t < T; ++t) {
    const std::size_t half = reversal ? T / 2 : T,
                      since = t % half;  // steps since the labels are as they are
    const std::size_t label = t % labels, shown = t < half ? label : 1 - label;
    float* x = pre.data() + t * inputs;
    if (since < labels) x[label] = 1;
    std::copy_n(patterns.begin() + static_cast<std::ptrdiff_t>(shown * bits), bits, x + labels);
    x[inputs - 1] = 1;
    wanted[t] = since < labels ? -1 : static_cast<std::int64_t>(label);  // while it learns nothing is asked
  }
  const std::span<const float> y = network.forward({.steps = T, .pre = pre});
  readout.forward(y, logits);
  dlogits.resize(logits.size());
  dy.resize(y.size());
  const double loss = softmax_cross_entropy(logits, wanted, labels, dlogits);
  readout.backward(y, dlogits, dy);
  return loss;
}

/// The author's L1 penalty on weights and plasticities ("really useful", says the 2016 program): a step
/// towards zero.
void shrink(const std::vector<ParameterView>& parameters, double step) {
  for (const ParameterView& parameter : parameters) {
    if (parameter.name.ends_with("bias")) continue;
    for (float& value : parameter.value) value -= std::copysign(static_cast<float>(step), value);
  }
}

void learn(Trial& trial, const Task& task) {
  const std::string name = task.name;
  const bool completion = name == "completion";
  const std::int64_t inputs = bits + 1 + (completion ? 0 : labels), neurons = completion ? bits : labels;
  Network network({.cell = Cell::feedforward, .inputs = inputs, .neurons = neurons},
                  {.device = trial.device(), .seed = trial.seed()});
  for (const char* each : {"w", "alpha"}) {
    for (float& value : network.parameter(each)) value *= 10;  // .1 normal, as the author has it
  }
  network.parameter("eta")[0] = task.rate;
  network.set_trainable("eta", false);
  Linear readout(labels, labels, trial.seed() + 1, "readout");
  const std::vector<ParameterView> readouts =
      completion ? std::vector<ParameterView>() : readout.parameters();
  const std::vector<ParameterView> parameters = together({network.parameters(), readouts});

  Adam adam({.beta2 = .99});
  Random random(trial.seed());
  Episode memory;
  const std::int64_t episodes = trial.iterations() * task.length;
  const std::int64_t frozen = std::clamp<std::int64_t>(episodes / 10, 1, 500);  // at the end it only acts
  for (std::int64_t episode = 0; episode < episodes; ++episode) {
    network.reset();
    trial.step(name, completion ? complete(network, random, memory)
                                : classify(network, readout, name == "reversal", random, memory));
    if (episode >= episodes - frozen) continue;
    network.zero_gradients();
    network.backward(memory.dy);
    const double left = 1 - static_cast<double>(episode) / static_cast<double>(episodes);
    adam.set_learning_rate(.03 * left);
    adam.step(parameters);
    shrink(parameters, 3e-4 * left);
    readout.zero_gradients();
  }
  trial.result(name, trial.recent(name, static_cast<std::size_t>(frozen)));
  trial.expect_below(name, task.margin);
  trial.save(name, network, readouts);
}

}  // namespace

int main(int argc, char** argv) {
  Experiment experiment({.name = "tasks_2016",
                         .about = "Pattern completion, one-shot and reversal learning (Miconi 2016)",
                         .metric = "loss of the last episodes",
                         .x_label = "episodes",
                         .chance = .693,
                         .iterations = 5000,
                         .quick = 5000,
                         .log_y = true});
  return experiment.run(argc, argv, [&](Trial& trial) {
    for (const Task& task : tasks) learn(trial, task);
  });
}
