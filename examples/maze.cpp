// Miconi et al. 2018 and 2019, maze: a grid with pillars and one invisible rewarded cell, drawn for each
// episode. An agent that enters the cell is rewarded and moved to a random cell. It must find the reward
// once, remember its position, and return as often as it can. It observes the 3x3 cells around it, its last
// action and its last reward. Six networks with about the same number of parameters are trained by A2C
// (common/actor_critic). Under mpirun every rank runs a part of the batch of 30.
#include <algorithm>

#include "common/actor_critic.hpp"
#include "common/experiment.hpp"

namespace {

using namespace examples;
using namespace plasticity;

/// As published. With a reward of 1 the gradient's norm is about .02, so clipping it at 4 does nothing. Then
/// a single large gradient can undo all learning.
constexpr float reward_of_goal = 10;

class Mazes final : public Environments {
 public:
  /// `interior` is the odd number of cells per side. Every second cell of every second row is a pillar.
  Mazes(std::size_t batch, std::size_t interior) : side_(interior + 2), agents_(batch) {}

  // The 3x3 cells around the agent (1: wall), the last action, the last reward, a constant.
  std::size_t observations() const override { return 9 + 4 + 2; }
  std::size_t actions() const override { return 4; }

  void reset(Random& random) override {
    for (Agent& agent : agents_) {
      agent = Agent();
      agent.goal = free_cell(random);
      agent.cell = free_cell_except(agent.goal, random);
    }
  }

  void observe(std::span<float> x) const override {
    std::fill(x.begin(), x.end(), 0.0f);
    for (std::size_t b = 0; b < agents_.size(); ++b) {
      const Agent& agent = agents_[b];
      float* seen = x.data() + b * observations();
      for (std::size_t k = 0; k < 9; ++k) {
        seen[k] = is_wall({agent.cell.row + k / 3 - 1, agent.cell.column + k % 3 - 1}) ? 1 : 0;
      }
      if (agent.moved) seen[9 + agent.action] = 1;
      seen[13] = agent.reward;
      seen[14] = 1;
    }
  }

  void step(std::span<const std::size_t> actions, std::span<float> rewards, Random& random) override {
    for (std::size_t b = 0; b < agents_.size(); ++b) {
      Agent& agent = agents_[b];
      GridCell to = agent.cell;
      switch (actions[b]) {
        case 0: --to.row; break;
        case 1: ++to.row; break;
        case 2: --to.column; break;
        default: ++to.column;
      }
      if (!is_wall(to)) agent.cell = to;
      agent.moved = true;
      agent.action = actions[b];
      agent.reward = agent.cell == agent.goal ? reward_of_goal : 0.0f;
      if (agent.reward > 0) agent.cell = free_cell_except(agent.goal, random);
      rewards[b] = agent.reward;
    }
  }

 private:
  struct GridCell {
    std::size_t row = 1, column = 1;
    bool operator==(const GridCell&) const = default;
  };
  struct Agent {
    GridCell cell, goal;
    bool moved = false;
    std::size_t action = 0;
    float reward = 0;
  };

  bool is_wall(GridCell at) const {
    return at.row == 0 || at.column == 0 || at.row + 1 == side_ || at.column + 1 == side_ ||
           (at.row % 2 == 0 && at.column % 2 == 0);
  }
  GridCell free_cell(Random& random) const {
    GridCell cell;
    do {
      cell = {1 + random.below(side_ - 2), 1 + random.below(side_ - 2)};
    } while (is_wall(cell));
    return cell;
  }
  GridCell free_cell_except(GridCell goal, Random& random) const {
    GridCell cell;
    do {
      cell = free_cell(random);
    } while (cell == goal);
    return cell;
  }

  std::size_t side_;
  std::vector<Agent> agents_;
};

struct Variant {
  const char* name;
  Spec spec;
  bool plastic = true;
};
const Variant variants[] = {
    {"plain RNN", {.cell = Cell::rnn, .alpha = Granularity::scalar}, false},
    {"decay", {.cell = Cell::rnn, .rule = Rule::decay}},
    {"Oja", {.cell = Cell::rnn, .rule = Rule::oja}},
    {"modulated", {.cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::modulated}},
    {"fan-out", {.cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::fan_out, .clip = 2}},
    {"retroactive",
     {.cell = Cell::rnn,
      .rule = Rule::hard_clip,
      .rate = Rate::modulated,
      .eligibility = Eligibility::before}},
};

/// The chance level: the mean reward per episode of an agent that moves at random.
double reward_of_chance(Mazes& mazes, const ActorCriticOptions& options, Random& random) {
  std::vector<std::size_t> actions(static_cast<std::size_t>(options.batch));
  std::vector<float> rewards(actions.size());
  double sum = 0;
  constexpr int episodes = 20;
  for (int episode = 0; episode < episodes; ++episode) {
    mazes.reset(random);
    for (std::int64_t t = 0; t < options.steps; ++t) {
      for (std::size_t& action : actions) action = random.below(4);
      mazes.step(actions, rewards, random);
      for (const float reward : rewards) sum += reward;
    }
  }
  return sum / episodes / static_cast<double>(options.batch);
}

void learn(Trial& trial, const Variant& variant, ActorCriticOptions options, std::size_t interior) {
  Mazes mazes(static_cast<std::size_t>(options.batch), interior);
  if (!variant.plastic) options.neurons = neurons_without_plasticity(options.neurons, mazes);
  ActorCritic agent(variant.spec, mazes, options, trial.device(), trial.seed());
  if (!variant.plastic) remove_plasticity(agent.network());
  Random random(trial.seed());
  const double chance = reward_of_chance(mazes, options, random);
  for (std::int64_t iteration = 0; iteration < trial.iterations(); ++iteration) {
    trial.step(variant.name, agent.train(mazes, random) / chance);
  }
  trial.result(variant.name,
               trial.recent(variant.name, static_cast<std::size_t>(trial.iterations() / 20 + 1)));
  trial.save(variant.name, agent.network(), agent.readouts());
}

}  // namespace

int main(int argc, char** argv) {
  Experiment experiment({.name = "maze",
                         .about = "Returning to a hidden reward in a maze (Miconi et al. 2018, 2019)",
                         .metric = "reward of an episode, in those of a random walk",
                         .x_label = "iterations",
                         .chance = 1,
                         .iterations = 3000,
                         .quick = 400,
                         .learners = names_of(variants)});
  std::int64_t neurons = 0, steps = 0;
  std::size_t interior = 0;
  double learning_rate = 0;
  experiment.app()
      .add_option("--neurons", neurons, "Default: 100, with --quick 40")
      ->check(CLI::Range(1, 10'000));
  experiment.app()
      .add_option("--interior", interior, "Cells per side, odd. Default: 9, with --quick 5")
      ->check(CLI::IsMember({3, 5, 7, 9, 11, 13, 15}));
  experiment.app()
      .add_option("--steps", steps, "Steps per episode. Default: 200, with --quick 60")
      ->check(CLI::Range(10, 10'000));
  experiment.app()
      .add_option("--learning-rate", learning_rate,
                  "Of Adam. Published: 1e-4, for 200,000 iterations. Default: 1e-3")
      ->check(CLI::Range(1e-9, 1.0));
  return experiment.run(argc, argv, [&](Trial& trial) {
    ActorCriticOptions options{
        .steps = 200, .neurons = 100, .adam = {.learning_rate = 1e-3, .epsilon = 1e-4}, .entropy = .03};
    if (trial.quick()) {
      options.steps = 60;
      options.neurons = 40;
    }
    if (neurons > 0) options.neurons = neurons;
    if (learning_rate != 0) options.adam.learning_rate = learning_rate;
    if (steps > 0) options.steps = steps;
    options.communicator = trial.communicator();
    if (interior == 0) interior = trial.quick() ? 5 : 9;
    for (const Variant& variant : variants) {
      if (!trial.trains(variant.name)) continue;
      learn(trial, variant, options, interior);
      trial.expect_above(variant.name, 1.5);
    }
  });
}
