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

/// The softmax of `logits`, written to `probabilities`.
void softmax(std::span<const float> logits, std::vector<double>& probabilities) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  probabilities.resize(logits.size());
  double sum = 0;
  for (std::size_t k = 0; k < logits.size(); ++k) sum += probabilities[k] = std::exp(logits[k] - largest);
  for (double& probability : probabilities) probability /= sum;
}

}  // namespace

ActorCritic::ActorCritic(plasticity::Spec spec, const Worlds& worlds, const ActorCriticOptions& options,
                         plasticity::Device device, std::uint64_t seed)
    : options_(options),
      observations_(worlds.observations()),
      actions_(worlds.actions()),
      network_(sized(spec, observations_, options.neurons),
               {.batch = options.batch, .device = device, .seed = seed}),
      policy_(options.neurons, static_cast<std::int64_t>(actions_), seed + 1, "policy"),
      value_(options.neurons, 1, seed + 2, "value"),
      readouts_(together({policy_.parameters(), value_.parameters()})),
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

double ActorCritic::train(Worlds& worlds, Random& random, std::size_t counted_from) {
  play(worlds, random);
  learn();
  const auto batch = static_cast<std::size_t>(options_.batch);
  return std::accumulate(rewards_.begin() + static_cast<std::ptrdiff_t>(counted_from * batch), rewards_.end(),
                         0.0) /
         static_cast<double>(batch);
}

/// Acts without recording, step by step: what is seen depends on what was done.
void ActorCritic::play(Worlds& worlds, Random& random) {
  const auto B = static_cast<std::size_t>(options_.batch), T = static_cast<std::size_t>(options_.steps);
  std::vector<double> probabilities;
  worlds.begin(random);
  network_.reset();
  for (std::size_t t = 0; t < T; ++t) {
    const std::span<float> x = std::span(x_).subspan(t * B * observations_, B * observations_);
    worlds.observe(x);
    const std::span<float> logits = std::span(logits_).subspan(t * B * actions_, B * actions_);
    policy_.forward(network_.infer({.steps = 1, .x = x}), logits);
    const std::span<std::size_t> chosen = std::span(chosen_).subspan(t * B, B);
    for (std::size_t b = 0; b < B; ++b) {
      softmax(logits.subspan(b * actions_, actions_), probabilities);
      double left = random.uniform();
      chosen[b] = 0;
      while (chosen[b] + 1 < actions_ && left >= probabilities[chosen[b]]) left -= probabilities[chosen[b]++];
    }
    worlds.act(chosen, std::span(rewards_).subspan(t * B, B), random);
  }
}

/// Runs the whole episode again, now recorded, as one sequence; and takes it back.
void ActorCritic::learn() {
  const auto B = static_cast<std::size_t>(options_.batch), T = static_cast<std::size_t>(options_.steps);
  if (parameters_.empty()) parameters_ = together({network_.parameters(), readouts_});
  network_.reset();
  const std::span<const float> y = network_.forward({.steps = options_.steps, .x = x_});
  policy_.forward(y, logits_);
  value_.forward(y, values_);

  // L = sum_t -log pi(a_t) A_t - entropy H(pi_t) + value A_t^2, the mean over the batch and over the steps;
  // A_t = R_t - V_t, R_t the discounted reward to come. No gradient through A_t in the first term.
  const double scale = 1 / static_cast<double>(B * T);
  std::vector<double> probabilities, to_come(B, 0.0);
  for (std::size_t t = T; t-- > 0;) {
    for (std::size_t b = 0; b < B; ++b) {
      const std::size_t row = t * B + b;
      to_come[b] = rewards_[row] + options_.discount * to_come[b];
      const double advantage = to_come[b] - values_[row];
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

std::int64_t neurons_without_plasticity(std::int64_t neurons, const Worlds& worlds) {
  // w_in, b, policy and value grow with N; w, and alpha if there is one, with N^2.
  const auto linear = static_cast<std::int64_t>(worlds.observations() + worlds.actions() + 2);
  std::int64_t more = neurons;
  while (more * (more + linear) < neurons * (2 * neurons + linear)) ++more;
  return more;
}

}  // namespace examples
