// Miconi et al. 2019 (Backpropamine), cue-reward association: four random cues, one of which (nobody says
// which) is the target of the episode. In each trial two of them are shown one after the other, then a go
// signal asks "was the target among them?": reward 1 for the right answer, -1 for the wrong one. The network
// must find the target from its rewards and remember it. Modulated networks decide themselves when to store;
// retroactive ones also mark with an eligibility trace what a later decision may store. Trained by A2C
// (common/actor_critic).
#include <algorithm>

#include "common/actor_critic.hpp"
#include "common/experiment.hpp"

namespace {

using namespace examples;
using namespace plasticity;

class CueReward final : public Worlds {
 public:
  CueReward(std::size_t batch, std::size_t cues, std::size_t bits)
      : cues_(cues), bits_(bits), worlds_(batch) {}

  // The cue's bits, the go signal, whether each answer was just given, the last reward, a constant.
  std::size_t observations() const override { return bits_ + 5; }
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
      const std::size_t at = world.at;
      if (at == world.first) std::copy_n(world.cues.begin() + offset(world.shown[0]), bits_, seen);
      if (at == world.second) std::copy_n(world.cues.begin() + offset(world.shown[1]), bits_, seen);
      seen[bits_] = at == world.go ? 1 : 0;
      if (world.answered) seen[bits_ + 1 + world.answer] = 1;
      seen[bits_ + 3] = world.reward;
      seen[bits_ + 4] = 1;
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
  std::ptrdiff_t offset(std::size_t cue) const { return static_cast<std::ptrdiff_t>(cue * bits_); }

  /// Two different cues. Pauses of random length keep the network from learning a time-table.
  void new_trial(World& world, Random& random) const {
    const std::vector<std::size_t> order = random.permutation(cues_);
    std::copy_n(order.begin(), 2, world.shown);
    world.at = 0;
    world.first = random.below(2);
    world.second = world.first + 1 + random.below(2);
    world.go = world.second + 1 + random.below(2);
    world.end = world.go + 2;  // at least one empty step, in which the reward is seen
  }

  std::size_t cues_, bits_, trials_ = 0, right_ = 0;
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

void learn(Trial& trial, const Variant& variant, const ActorCriticOptions& options, std::size_t bits) {
  CueReward worlds(static_cast<std::size_t>(options.batch), 4, bits);
  ActorCritic agent(variant.spec, worlds, options, trial.device(), trial.seed());
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
                         .iterations = 3000,
                         .quick = 400});
  std::string only;
  double rate = 0, entropy = 0;
  std::int64_t neurons = 0, steps = 0;
  std::size_t bits = 0;
  experiment.app().add_option("--only", only, "One of the networks alone");
  experiment.app().add_option("--rate", rate, "");
  experiment.app().add_option("--entropy", entropy, "");
  experiment.app().add_option("--neurons", neurons, "");
  experiment.app().add_option("--steps", steps, "");
  experiment.app().add_option("--bits", bits, "");
  return experiment.run(argc, argv, [&](Trial& trial) {
    ActorCriticOptions options{.batch = 30, .steps = 120, .neurons = 200, .learning_rate = 1e-4};
    if (rate > 0) options.learning_rate = rate;
    if (entropy > 0) options.entropy = entropy;
    if (neurons > 0) options.neurons = neurons;
    if (steps > 0) options.steps = steps;
    for (const Variant& variant : variants) {
      if (only.empty() || only == variant.name) learn(trial, variant, options, bits ? bits : 20);
    }
  });
}
