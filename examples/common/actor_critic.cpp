#include "common/actor_critic.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/experiment.hpp"

namespace examples {
namespace {

plasticity::Spec sized(plasticity::Spec spec, std::size_t inputs, std::int64_t neurons) {
  spec.inputs = static_cast<std::int64_t>(inputs);
  spec.neurons = neurons;
  return spec;
}

/// Writes the softmax of `logits` to `probabilities`.
void softmax(std::span<const float> logits, std::vector<double>& probabilities) {
  const double max_logit = *std::max_element(logits.begin(), logits.end());
  probabilities.resize(logits.size());
  double sum = 0;
  for (std::size_t k = 0; k < logits.size(); ++k) sum += probabilities[k] = std::exp(logits[k] - max_logit);
  for (double& probability : probabilities) probability /= sum;
}

}  // namespace

ActorCritic::ActorCritic(plasticity::Spec spec, const Environments& environments,
                         const ActorCriticOptions& options, plasticity::Device device, std::uint64_t seed)
    : options_(options),
      observations_(environments.observations()),
      actions_(environments.actions()),
      network_(sized(spec, observations_, options.neurons),
               {.batch = options.batch, .device = device, .seed = seed}),
      policy_(options.neurons, static_cast<std::int64_t>(actions_), seed + 1, "policy"),
      value_(options.neurons, 1, seed + 2, "value"),
      readouts_(concatenate({policy_.parameters(), value_.parameters()})),
      adam_({.learning_rate = options.learning_rate}) {
  const auto rows = static_cast<std::size_t>(options.steps * options.batch);
  x_.resize(rows * observations_);
  rewards_.resize(rows);
  chosen_.resize(rows);
  values_.resize(rows);
  dvalues_.resize(rows);
  logits_.resize(rows * actions_);
  dlogits_.resize(rows * actions_);
  dy_.resize(rows * static_cast<std::size_t>(options.neurons));
  dy_value_.resize(dy_.size());
}

double ActorCritic::train(Environments& environments, Random& random, std::size_t first_counted) {
  play(environments, random);
  learn();
  const auto batch = static_cast<std::size_t>(options_.batch);
  return std::accumulate(rewards_.begin() + static_cast<std::ptrdiff_t>(first_counted * batch),
                         rewards_.end(), 0.0) /
         static_cast<double>(batch);
}

/// Acts step by step, without recording, because observations depend on actions.
void ActorCritic::play(Environments& environments, Random& random) {
  const auto B = static_cast<std::size_t>(options_.batch), T = static_cast<std::size_t>(options_.steps);
  std::vector<double> probabilities;
  environments.reset(random);
  network_.reset();
  for (std::size_t t = 0; t < T; ++t) {
    const std::span<float> x = std::span(x_).subspan(t * B * observations_, B * observations_);
    environments.observe(x);
    const std::span<float> logits = std::span(logits_).subspan(t * B * actions_, B * actions_);
    policy_.forward(network_.infer({.steps = 1, .x = x}), logits);
    const std::span<std::size_t> chosen = std::span(chosen_).subspan(t * B, B);
    for (std::size_t b = 0; b < B; ++b) {
      softmax(logits.subspan(b * actions_, actions_), probabilities);
      double remainder = random.uniform();
      chosen[b] = 0;
      while (chosen[b] + 1 < actions_ && remainder >= probabilities[chosen[b]])
        remainder -= probabilities[chosen[b]++];
    }
    environments.step(chosen, std::span(rewards_).subspan(t * B, B), random);
  }
}

/// Runs the episode again as one recorded sequence, and updates the parameters.
void ActorCritic::learn() {
  const auto B = static_cast<std::size_t>(options_.batch), T = static_cast<std::size_t>(options_.steps);
  if (parameters_.empty()) parameters_ = concatenate({network_.parameters(), readouts_});
  network_.reset();
  const std::span<const float> y = network_.forward({.steps = options_.steps, .x = x_});
  policy_.forward(y, logits_);
  value_.forward(y, values_);

  // L = sum_t -log pi(a_t) A_t - entropy H(pi_t) + value A_t^2, the mean over the batch and over the steps;
  // A_t = R_t - V_t, where R_t is the discounted return. No gradient through A_t in the first term.
  const double scale = 1 / static_cast<double>(B * T);
  std::vector<double> probabilities, returns(B, 0.0);
  for (std::size_t t = T; t-- > 0;) {
    for (std::size_t b = 0; b < B; ++b) {
      const std::size_t row = t * B + b;
      returns[b] = rewards_[row] + options_.discount * returns[b];
      const double advantage = returns[b] - values_[row];
      softmax(std::span(logits_).subspan(row * actions_, actions_), probabilities);
      double entropy = 0;
      for (const double p : probabilities) entropy -= p * std::log(std::max(p, 1e-30));
      for (std::size_t k = 0; k < actions_; ++k) {
        const double p = probabilities[k];
        const double policy = (p - (k == chosen_[row] ? 1 : 0)) * advantage;
        const double bonus = p * (std::log(std::max(p, 1e-30)) + entropy);  // of -H
        dlogits_[row * actions_ + k] = static_cast<float>(scale * (policy + options_.entropy * bonus));
      }
      dvalues_[row] = static_cast<float>(-2 * scale * options_.value * advantage);
    }
  }
  network_.zero_gradients();
  policy_.zero_gradients();
  value_.zero_gradients();
  policy_.backward(y, dlogits_, dy_);
  value_.backward(y, dvalues_, dy_value_);
  for (std::size_t k = 0; k < dy_.size(); ++k) dy_[k] += dy_value_[k];
  network_.backward(dy_);
  plasticity::clip_gradients(parameters_, options_.gradient_norm);
  adam_.step(parameters_);
}

std::size_t ActorCritic::parameters() const {
  std::size_t count = 0;
  for (const plasticity::ParameterView& view : parameters_) count += view.value.size();
  return count;
}

std::int64_t neurons_without_plasticity(std::int64_t neurons, const Environments& environments) {
  // w_in, b, policy and value grow with N; w, and alpha if there is one, with N^2.
  const auto linear = static_cast<std::int64_t>(environments.observations() + environments.actions() + 2);
  std::int64_t count = neurons;
  while (count * (count + linear) < neurons * (2 * neurons + linear)) ++count;
  return count;
}

}  // namespace examples
