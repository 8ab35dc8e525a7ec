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
      slice_(plasticity::slice_of(options.communicator, options.batch)),
      network_(sized(spec, observations_, options.neurons),
               {.batch = slice_.count, .device = device, .seed = seed}),
      policy_(options.neurons, static_cast<std::int64_t>(actions_), seed + 1, "policy"),
      value_(options.neurons, 1, seed + 2, "value"),
      readouts_(concatenate({policy_.parameters(), value_.parameters()})),
      trainer_(
          {network_, policy_, value_},
          {.adam = options.adam, .clip_norm = options.gradient_norm, .communicator = options.communicator}) {
  const auto all_rows = static_cast<std::size_t>(options.steps * options.batch);
  rewards_.resize(all_rows);
  chosen_.resize(all_rows);
  observed_.resize(static_cast<std::size_t>(options.batch) * observations_);
  const auto rows = static_cast<std::size_t>(options.steps * slice_.count);
  x_.resize(rows * observations_);
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

/// Acts step by step, without recording, because observations depend on actions. Every rank chooses the
/// actions of its samples with the random numbers that one rank would use, and gets those of the others.
void ActorCritic::play(Environments& environments, Random& random) {
  const auto B = static_cast<std::size_t>(options_.batch), T = static_cast<std::size_t>(options_.steps);
  const auto first = static_cast<std::size_t>(slice_.first), own = static_cast<std::size_t>(slice_.count);
  std::vector<double> probabilities;
  std::vector<std::int64_t> first_of_rank;
  const int ranks = options_.communicator == nullptr ? 1 : options_.communicator->size();
  for (int r = 0; r <= ranks; ++r) first_of_rank.push_back(slice_.count * r);
  environments.reset(random);
  network_.reset();
  for (std::size_t t = 0; t < T; ++t) {
    environments.observe(observed_);
    const std::span<float> x = std::span(x_).subspan(t * own * observations_, own * observations_);
    std::copy_n(observed_.data() + first * observations_, x.size(), x.begin());
    const std::span<float> logits = std::span(logits_).subspan(t * own * actions_, own * actions_);
    policy_.forward(network_.infer({.steps = 1, .x = x}), logits);
    const std::span<std::size_t> chosen = std::span(chosen_).subspan(t * B, B);
    for (std::size_t sample = 0; sample < B; ++sample) {
      double remainder = random.uniform();
      if (sample < first || sample >= first + own) continue;
      softmax(logits.subspan((sample - first) * actions_, actions_), probabilities);
      chosen[sample] = 0;
      while (chosen[sample] + 1 < actions_ && remainder >= probabilities[chosen[sample]])
        remainder -= probabilities[chosen[sample]++];
    }
    if (ranks > 1) options_.communicator->all_gather(chosen, first_of_rank);
    environments.step(chosen, std::span(rewards_).subspan(t * B, B), random);
  }
}

void ActorCritic::learn() {
  trainer_.step([&] {
    run_passes();
    return 0.0;  // nothing reads the loss
  });
}

/// Runs the episode again as one recorded sequence, and computes the gradients.
void ActorCritic::run_passes() {
  const auto B = static_cast<std::size_t>(options_.batch), T = static_cast<std::size_t>(options_.steps);
  const auto first = static_cast<std::size_t>(slice_.first), own = static_cast<std::size_t>(slice_.count);
  network_.reset();
  const std::span<const float> y = network_.forward({.steps = options_.steps, .x = x_});
  policy_.forward(y, logits_);
  value_.forward(y, values_);

  // L = sum_t -log pi(a_t) A_t - entropy H(pi_t) + value A_t^2, the mean over the batch and over the steps;
  // A_t = R_t - V_t, where R_t is the discounted return. No gradient through A_t in the first term.
  const double scale = 1 / static_cast<double>(B * T);
  std::vector<double> probabilities, returns(own, 0.0);
  for (std::size_t t = T; t-- > 0;) {
    for (std::size_t b = 0; b < own; ++b) {
      const std::size_t row = t * own + b, of_all = t * B + first + b;
      returns[b] = rewards_[of_all] + options_.discount * returns[b];
      const double advantage = returns[b] - values_[row];
      softmax(std::span(logits_).subspan(row * actions_, actions_), probabilities);
      double entropy = 0;
      for (const double p : probabilities) entropy -= p * std::log(std::max(p, 1e-30));
      for (std::size_t k = 0; k < actions_; ++k) {
        const double p = probabilities[k];
        const double policy = (p - (k == chosen_[of_all] ? 1 : 0)) * advantage;
        const double bonus = p * (std::log(std::max(p, 1e-30)) + entropy);  // of -H
        dlogits_[row * actions_ + k] = static_cast<float>(scale * (policy + options_.entropy * bonus));
      }
      dvalues_[row] = static_cast<float>(-2 * scale * options_.value * advantage);
    }
  }
  policy_.backward(y, dlogits_, dy_, slice_.count);
  value_.backward(y, dvalues_, dy_value_, slice_.count);
  for (std::size_t k = 0; k < dy_.size(); ++k) dy_[k] += dy_value_[k];
  network_.backward(dy_);
}

std::size_t ActorCritic::parameters() {
  std::size_t count = 0;
  for (const plasticity::ParameterView& view : concatenate({network_.parameters(), readouts_}))
    count += view.value.size();
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
