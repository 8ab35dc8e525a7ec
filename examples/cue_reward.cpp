// Miconi et al. 2019 (Backpropamine), cue-reward association. An episode has four random cues, and one of
// them is the hidden target. A trial shows two cues, then a go signal: was the target shown? The reward is 1
// for the right answer and -1 for the wrong one. The network must find the target from its rewards and
// remember it. A modulated network controls when its traces change. A retroactive one also has an eligibility
// trace, so a later reward can store an earlier event. Training uses A2C (common/actor_critic).
//
// As published, the cues of a trial are shown one after the other, with pauses of random length. With
// --together (and --quick) they are shown at once, which is learned in a tenth of the time. One thing is
// easier than published: one of four inputs encodes the last answer and its reward together.
#include <algorithm>
#include <cmath>

#include "common/actor_critic.hpp"
#include "common/experiment.hpp"

namespace {

using namespace examples;
using namespace plasticity;

class CueReward final : public Environments {
 public:
  CueReward(std::size_t batch, std::size_t bits, bool in_turn)
      : bits_(bits), in_turn_(in_turn), environments_(batch) {}

  // The bits of the cue, the go signal, the last answer with its reward (one of four), a constant.
  std::size_t observations() const override { return bits_ + 6; }
  std::size_t actions() const override { return 2; }

  void reset(Random& random) override {
    for (Environment& environment : environments_) {
      environment = Environment();
      environment.cues.resize(cues_ * bits_);
      for (float& bit : environment.cues) bit = random.sign();
      environment.target = random.below(cues_);
      new_trial(environment, random);
    }
  }

  void observe(std::span<float> x) const override {
    std::fill(x.begin(), x.end(), 0.0f);
    for (std::size_t b = 0; b < environments_.size(); ++b) {
      const Environment& environment = environments_[b];
      float* seen = x.data() + b * observations();
      for (const std::size_t which : {0, 1}) {
        if (environment.step != (which == 0 ? environment.first : environment.second)) continue;
        const float* cue = environment.cues.data() + environment.shown[which] * bits_;
        for (std::size_t k = 0; k < bits_; ++k) seen[k] += cue[k];
      }
      seen[bits_] = environment.step == environment.go ? 1 : 0;
      if (environment.answered)
        seen[bits_ + 1 + environment.answer * 2 + (environment.reward > 0 ? 1 : 0)] = 1;
      seen[bits_ + 5] = 1;
    }
  }

  void step(std::span<const std::size_t> actions, std::span<float> rewards, Random& random) override {
    for (std::size_t b = 0; b < environments_.size(); ++b) {
      Environment& environment = environments_[b];
      const bool target_shown =
          environment.shown[0] == environment.target || environment.shown[1] == environment.target;
      environment.answered = environment.step == environment.go;
      environment.answer = actions[b];
      environment.reward = !environment.answered ? 0.0f : (actions[b] == 1) == target_shown ? 1.0f : -1.0f;
      trials_ += environment.answered ? 1 : 0;
      right_ += environment.reward > 0 ? 1 : 0;
      rewards[b] = environment.reward;
      if (++environment.step == environment.end) new_trial(environment, random);
    }
  }

  /// Returns the share of right answers since the last call.
  double take_accuracy() {
    const double share = static_cast<double>(right_) / static_cast<double>(std::max<std::size_t>(trials_, 1));
    right_ = trials_ = 0;
    return share;
  }

 private:
  struct Environment {
    std::vector<float> cues;  // [cues,bits]
    std::size_t target = 0, shown[2] = {}, answer = 0;
    std::size_t step = 0, first = 0, second = 0, go = 0, end = 0;  // within the trial
    bool answered = false;
    float reward = 0;
  };

  /// Draws two different cues. Random pauses prevent the network from learning a fixed schedule.
  void new_trial(Environment& environment, Random& random) const {
    const std::vector<std::size_t> order = random.permutation(cues_);
    std::copy_n(order.begin(), 2, environment.shown);
    environment.step = 0;
    environment.first = random.below(2);
    environment.second = environment.first + (in_turn_ ? 1 + random.below(2) : 0);
    environment.go = environment.second + 1 + (in_turn_ ? random.below(2) : 0);
    environment.end = environment.go + 2;  // at least one empty step, which shows the reward
  }

  static constexpr std::size_t cues_ = 4;
  std::size_t bits_, trials_ = 0, right_ = 0;
  bool in_turn_;
  std::vector<Environment> environments_;
};

struct Variant {
  const char* name;
  Spec spec;
  bool plastic;
};
const Variant variants[] = {
    {"plain RNN", {.cell = Cell::rnn, .alpha = Granularity::scalar}, false},
    {"plastic", {.cell = Cell::rnn, .rule = Rule::hard_clip}, true},
    {"modulated", {.cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::modulated}, true},
    {"retroactive",
     {.cell = Cell::rnn,
      .rule = Rule::hard_clip,
      .rate = Rate::modulated,
      .eligibility = Eligibility::before},
     true},
};

/// Scales the library's initial w (.01 normal) and w_in, so that activity persists. The small alphas stay:
/// with a deviation of .1 the traces of the first trials are a noise in every neuron's current, and several
/// seeds of eight never learned to use them.
void scale_initial_values(Network& network) {
  const double neurons = static_cast<double>(network.spec().neurons);
  for (float& w : network.parameter("w")) w *= static_cast<float>(.8 / std::sqrt(neurons) / .01);
  for (float& w : network.parameter("w_in")) w *= 2;
}

void learn(Trial& trial, const Variant& variant, ActorCriticOptions options, bool in_turn) {
  CueReward environments(static_cast<std::size_t>(options.batch), trial.quick() ? 8 : 20, in_turn);
  if (!variant.plastic) options.neurons = neurons_without_plasticity(options.neurons, environments);
  ActorCritic agent(variant.spec, environments, options, trial.device(), trial.seed());
  scale_initial_values(agent.network());
  if (!variant.plastic) remove_plasticity(agent.network());
  Random random(trial.seed());
  for (std::int64_t iteration = 0; iteration < trial.iterations(); ++iteration) {
    agent.train(environments, random);
    trial.step(variant.name, environments.take_accuracy());
  }
  trial.result(variant.name,
               trial.recent(variant.name, static_cast<std::size_t>(trial.iterations() / 20 + 1)));
  trial.save(variant.name, agent.network(), agent.readouts());
}

}  // namespace

int main(int argc, char** argv) {
  Experiment experiment({.name = "cue_reward",
                         .about = "Cue-reward association (Miconi et al. 2019)",
                         .metric = "share of right answers",
                         .x_label = "iterations",
                         .chance = .5,
                         .iterations = 10000,
                         .quick = 600,
                         .learners = names_of(variants)});
  bool together = false;
  std::int64_t neurons = 40, steps = 0;
  double learning_rate = 0;
  experiment.app().add_flag("--together", together,
                            "Show the two cues of a trial at once (also with --quick)");
  experiment.app()
      .add_option("--neurons", neurons, "Published: 200")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  experiment.app()
      .add_option("--steps", steps, "Steps per episode. Published: 120. Default: 60, with --quick 40")
      ->check(CLI::Range(10, 10'000));
  experiment.app()
      .add_option("--learning-rate", learning_rate, "Of Adam. Default: 1e-3, with --together 2e-3")
      ->check(CLI::Range(1e-9, 1.0));
  return experiment.run(argc, argv, [&](Trial& trial) {
    if (trial.quick()) together = true;
    // With cues in turn it takes longer until answers are better than chance. The entropy bonus keeps them
    // varied until then. At a rate of 2e-3 one seed of three learned and forgot.
    ActorCriticOptions options{.steps = 60,
                               .neurons = neurons,
                               .adam = {.learning_rate = together ? 2e-3 : 1e-3},
                               .entropy = together ? .03 : .1};
    if (trial.quick()) options.steps = 40;
    if (learning_rate != 0) options.adam.learning_rate = learning_rate;
    if (steps > 0) options.steps = steps;
    for (const Variant& variant : variants) {
      if (!trial.trains(variant.name)) continue;
      learn(trial, variant, options, !together);
    }
    trial.expect_above("modulated", .6);  // retroactive succeeds too, but not with every seed
  });
}
