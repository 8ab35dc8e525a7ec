#pragma once

#include <plasticity/plasticity.hpp>
#include <vector>

#include "common/random.hpp"

namespace examples {

/// Many worlds of one kind, stepped together.
class Worlds {
 public:
  virtual ~Worlds() = default;
  virtual std::size_t observations() const = 0;  ///< numbers that an agent sees at each step
  virtual std::size_t actions() const = 0;
  virtual void begin(Random& random) = 0;  ///< a new episode in each of them
  /// Every element's `x` [B,observations] is overwritten with what it sees now.
  virtual void observe(std::span<float> x) const = 0;
  /// Every element acts and gets its `rewards` [B].
  virtual void act(std::span<const std::size_t> actions, std::span<float> rewards, Random& random) = 0;
};

struct ActorCriticOptions {
  std::int64_t batch = 30, steps = 200, neurons = 100;
  double learning_rate = 1e-4, discount = .9;
  double entropy = .1, value = .1;  ///< weights of the entropy bonus and of the value loss
  double gradient_norm = 4;         ///< the gradient is clipped to it
};

/// Advantage actor-critic (A2C) with a recurrent network: a policy and a value are read out linearly from its
/// activity at every step. Each element of the batch is its own baseline: the value that the network gave to
/// that element at that step.
class ActorCritic {
 public:
  /// `spec` says what the network is; inputs and neurons are set here.
  ActorCritic(plasticity::Spec spec, const Worlds& worlds, const ActorCriticOptions& options,
              plasticity::Device device, std::uint64_t seed);

  /// One episode in every world, and a step down the gradient. Gives the mean reward per episode, from step
  /// `counted_from` on.
  double train(Worlds& worlds, Random& random, std::size_t counted_from = 0);

  plasticity::Network& network() { return network_; }
  std::vector<plasticity::ParameterView> readouts() { return readouts_; }
  std::size_t parameters() const;  ///< how many numbers are trained
  /// The values that the last episode's steps were given, [T,B].
  std::span<const float> values() const { return values_; }

 private:
  void play(Worlds& worlds, Random& random);
  void learn();

  ActorCriticOptions options_;
  std::size_t observations_, actions_;
  plasticity::Network network_;
  plasticity::Linear policy_, value_;
  std::vector<plasticity::ParameterView> readouts_, parameters_;
  plasticity::Adam adam_;
  std::vector<float> x_, rewards_;      // [T,B,observations], [T,B]
  std::vector<std::size_t> chosen_;     // [T,B] actions
  std::vector<float> logits_, values_;  // [T,B,actions], [T,B]
  std::vector<float> dlogits_, dvalues_, dy_, dy_value_;
};

/// How many neurons a network without plasticity must have, to have as many parameters as a plastic one of
/// `neurons` (which has an alpha beside each w).
std::int64_t neurons_without_plasticity(std::int64_t neurons, const Worlds& worlds);

}  // namespace examples
