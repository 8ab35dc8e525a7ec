#pragma once

#include <plasticity/plasticity.hpp>
#include <vector>

#include "common/random.hpp"

namespace examples {

/// A batch of B environments that are stepped together.
class Environments {
 public:
  virtual ~Environments() = default;
  virtual std::size_t observations() const = 0;  ///< numbers per observation
  virtual std::size_t actions() const = 0;
  virtual void reset(Random& random) = 0;  ///< starts an episode in every environment
  /// Writes the current observations to `x` [B,observations].
  virtual void observe(std::span<float> x) const = 0;
  /// Applies `actions` [B] and writes `rewards` [B].
  virtual void step(std::span<const std::size_t> actions, std::span<float> rewards, Random& random) = 0;
};

struct ActorCriticOptions {
  std::int64_t batch = 30, steps = 200, neurons = 100;
  plasticity::AdamOptions adam{.learning_rate = 1e-4};
  double discount = .9;
  double entropy = .1, value = .1;  ///< weights of the entropy bonus and of the value loss
  double gradient_norm = 4;         ///< the maximum 2-norm of the gradient
  /// The ranks that train together, or null. Each runs its slice of the batch; all simulate all environments.
  plasticity::Communicator* communicator = nullptr;
};

/// Advantage actor-critic (A2C) with a recurrent network. Two linear readouts of the network's activity are
/// the policy and the value at every step. The baseline is the value of the same environment at the same
/// step.
class ActorCritic {
 public:
  /// Uses `spec` with `inputs` from the environments and `neurons` from the options.
  ActorCritic(plasticity::Spec spec, const Environments& environments, const ActorCriticOptions& options,
              plasticity::Device device, std::uint64_t seed);

  ActorCritic(const ActorCritic&) = delete;  // the trainer refers to the members
  ActorCritic& operator=(const ActorCritic&) = delete;

  /// Runs one episode in every environment and updates the parameters. Returns the mean reward per episode
  /// from step `first_counted` on.
  double train(Environments& environments, Random& random, std::size_t first_counted = 0);

  plasticity::Network& network() { return network_; }
  std::vector<plasticity::ParameterView> readouts() { return readouts_; }
  std::size_t parameters();  ///< number of trained values
  /// The value of each step of the last episode, [T,B]; with ranks those of this rank's slice of the batch.
  std::span<const float> values() const { return values_; }

 private:
  void play(Environments& environments, Random& random);
  void learn();
  void run_passes();

  ActorCriticOptions options_;
  std::size_t observations_, actions_;
  plasticity::BatchSlice slice_;
  plasticity::Network network_;
  plasticity::Linear policy_, value_;
  std::vector<plasticity::ParameterView> readouts_;
  plasticity::Trainer trainer_;
  std::vector<float> observed_;         // [B,observations] of the current step
  std::vector<float> rewards_;          // [T,B]
  std::vector<std::size_t> chosen_;     // [T,B] actions
  std::vector<float> x_;                // [T,b,observations]; b: samples of this rank
  std::vector<float> logits_, values_;  // [T,b,actions], [T,b]
  std::vector<float> dlogits_, dvalues_, dy_, dy_value_;
};

/// The smallest number of neurons with which a network without plasticity has at least as many parameters as
/// a plastic one with `neurons` neurons, which has an alpha for each w.
std::int64_t neurons_without_plasticity(std::int64_t neurons, const Environments& environments);

}  // namespace examples
