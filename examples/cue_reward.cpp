// Miconi et al. 2019 (Backpropamine), cue-reward association: four random cues, one of which (nobody says
// which) is the target of the episode. In each trial two of them are shown, then a go signal asks "was the
// target among them?": reward 1 for the right answer, -1 for the wrong one. The network must find the target
// from its rewards and remember it. Modulated networks decide themselves when to store; retroactive ones also
// mark with an eligibility trace what a later decision may store. Trained by A2C (common/actor_critic). The
// cues of a trial come one after the other, with pauses of random length, as published; with --together (and
// --quick) at once, which is learned in a tenth of the time. Easier than published in one thing: what was
// answered and whether it was right is one of four inputs rather than an answer and a reward.
#include <algorithm>
#include <cmath>

#include "common/actor_critic.hpp"
#include "common/experiment.hpp"

namespace {

using namespace examples;
using namespace plasticity;

class CueReward final : public Worlds {
 public:
  CueReward(std::size_t batch, std::size_t bits, bool in_turn)
      : bits_(bits), in_turn_(in_turn), worlds_(batch) {}

  // The cue's bits, the go signal, the last answer and whether it was right (one of four), a constant.
  std::size_t observations() const override { return bits_ + 6; }
  std::size_t actions() const override { return 2; }

  void begin(Random& random) override {
    for (World& world : worlds_) {
      world = World();
      world.cues.resize(cues_ * bits_);
      for (float& bit : world.cues) bit = random.sign();
      world.target = random.below(cues_);
      new_trial(world, random);
    }
  }

  void observe(std::span<float> x) const override {
    std::fill(x.begin(), x.end(), 0.0f);
    for (std::size_t b = 0; b < worlds_.size(); ++b) {
      const World& world = worlds_[b];
      float* seen = x.data() + b * observations();
      for (const std::size_t which : {0, 1}) {
        if (world.at != (which == 0 ? world.first : world.second)) continue;
        const float* cue = world.cues.data() + world.shown[which] * bits_;
        for (std::size_t k = 0; k < bits_; ++k) seen[k] += cue[k];
      }
      seen[bits_] = world.at == world.go ? 1 : 0;
      if (world.answered) seen[bits_ + 1 + world.answer * 2 + (world.reward > 0 ? 1 : 0)] = 1;
      seen[bits_ + 5] = 1;
    }
  }

  void act(std::span<const std::size_t> actions, std::span<float> rewards, Random& random) override {
    for (std::size_t b = 0; b < worlds_.size(); ++b) {
      World& world = worlds_[b];
      const bool among = world.shown[0] == world.target || world.shown[1] == world.target;
      world.answered = world.at == world.go;
      world.answer = actions[b];
      world.reward = !world.answered ? 0.0f : (actions[b] == 1) == among ? 1.0f : -1.0f;
      trials_ += world.answered ? 1 : 0;
      right_ += world.reward > 0 ? 1 : 0;
      rewards[b] = world.reward;
      if (++world.at == world.end) new_trial(world, random);
    }
  }

  /// The share of right answers since the last call.
  double take_right() {
    const double share = static_cast<double>(right_) / static_cast<double>(std::max<std::size_t>(trials_, 1));
    right_ = trials_ = 0;
    return share;
  }

 private:
  struct World {
    std::vector<float> cues;  // [cues,bits]
    std::size_t target = 0, shown[2] = {}, answer = 0;
    std::size_t at = 0, first = 0, second = 0, go = 0, end = 0;  // steps of the trial
    bool answered = false;
    float reward = 0;
  };

  /// Two different cues. Pauses of random length keep the network from learning a time-table.
  void new_trial(World& world, Random& random) const {
    const std::vector<std::size_t> order = random.permutation(cues_);
    std::copy_n(order.begin(), 2, world.shown);
    world.at = 0;
    world.first = random.below(2);
    world.second = world.first + (in_turn_ ? 1 + random.below(2) : 0);
    world.go = world.second + 1 + (in_turn_ ? random.below(2) : 0);
    world.end = world.go + 2;  // at least one empty step, in which the reward is seen
  }

  static constexpr std::size_t cues_ = 4;
  std::size_t bits_, trials_ = 0, right_ = 0;
  bool in_turn_;
  std::vector<World> worlds_;
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

/// Activity that persists, and plasticity that is felt from the start, instead of the library's .01 normal. A
/// modulator begins as good as constant, its bias: with the library's weights every trace is noise at its
/// clip from the first trial on, and what is worth storing is never found.
void start_lively(Network& network) {
  const double gain = .8 / std::sqrt(static_cast<double>(network.spec().neurons));
  for (float& w : network.parameter("w")) w *= static_cast<float>(gain / .01);
  for (float& alpha : network.parameter("alpha")) alpha *= 10;
  for (float& w : network.parameter("w_in")) w *= 2;
  if (!network.spec().has_modulator()) return;
  for (float& v : network.parameter("modulator.weight")) v *= .03f;
}

void learn(Trial& trial, const Variant& variant, ActorCriticOptions options, bool in_turn) {
  CueReward worlds(static_cast<std::size_t>(options.batch), trial.quick() ? 8 : 20, in_turn);
  if (!variant.plastic) options.neurons = neurons_without_plasticity(options.neurons, worlds);
  ActorCritic agent(variant.spec, worlds, options, trial.device(), trial.seed());
  start_lively(agent.network());
  if (!variant.plastic) remove_plasticity(agent.network());
  Random random(trial.seed());
  for (std::int64_t iteration = 0; iteration < trial.iterations(); ++iteration) {
    agent.train(worlds, random);
    trial.step(variant.name, worlds.take_right());
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
                         .quick = 600});
  std::string only;
  bool together = false;
  std::int64_t neurons = 40, steps = 0;
  double learning_rate = 2e-3;
  std::vector<std::string> names;
  for (const Variant& variant : variants) names.emplace_back(variant.name);
  experiment.app().add_option("--only", only, "One of the networks alone")->check(CLI::IsMember(names));
  experiment.app().add_flag("--together", together, "The two cues of a trial at once, as with --quick");
  experiment.app()
      .add_option("--neurons", neurons, "Published: 200")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  experiment.app()
      .add_option("--steps", steps, "Of an episode. Published: 120. Default: 60, with --quick 40")
      ->check(CLI::Range(10, 10'000));
  experiment.app()
      .add_option("--learning-rate", learning_rate, "Of Adam; more neurons want less")
      ->check(CLI::Range(1e-9, 1.0))
      ->capture_default_str();
  return experiment.run(argc, argv, [&](Trial& trial) {
    if (trial.quick()) together = true;
    // With cues in turn it takes longer until an answer is better than chance, and answers must vary till
    // then.
    ActorCriticOptions options{
        .steps = 60, .neurons = neurons, .learning_rate = learning_rate, .entropy = together ? .03 : .1};
    if (trial.quick()) options.steps = 40;
    if (steps > 0) options.steps = steps;
    for (const Variant& variant : variants) {
      if (!only.empty() && only != variant.name) continue;
      learn(trial, variant, options, !together);
    }
    if (only.empty() || only == "modulated")
      trial.expect_above("modulated", .6);  // retroactive gets there too, but not with every seed
  });
}
