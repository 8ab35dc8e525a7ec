#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "plasticity/loss.hpp"
#include "plasticity/network.hpp"
#include "problems/random_problem.hpp"

// Inputs for the tests of Network and Trainer, and copies of a network's tensors.
namespace plasticity::testing {

/// Returns random numbers, uniform in [-1, 1).
inline std::vector<float> noise(std::size_t size, std::uint64_t seed) {
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(size);
  for (float& value : values) value = uniform(random);
  return values;
}

inline std::vector<float> copied(std::span<const float> view) { return {view.begin(), view.end()}; }

/// Returns the inputs and masks of a test case as views of its buffers.
template <class Real>
BasicSequence<Real> sequence_of(const TestCase& problem, const Buffers<Real>& buffers) {
  const auto input = [&](const char* name) -> std::span<const Real> {
    const auto found = buffers.inputs.find(name);
    return found == buffers.inputs.end() ? std::span<const Real>() : found->second;
  };
  return {.steps = problem.steps,
          .x = input("input.x"),
          .u = input("input.u"),
          .pre = input("input.pre"),
          .rate = input("input.rate"),
          .reset = problem.reset,
          .length = problem.length,
          .clamp = problem.clamp,
          .clamp_value = input("clamp_value")};
}

/// The inputs of a random test case, a random target, and a mask of about half its entries.
struct Episode {
  Episode(const Spec& spec, std::int64_t steps, std::int64_t batch, std::uint64_t seed, MaskChoice masks = {})
      : problem(make_test_case(spec, steps, batch, seed, masks)),
        buffers(problem),
        target(noise(static_cast<std::size_t>(steps * batch * spec.neurons), seed)) {
    for (const float value : noise(target.size(), seed + 1)) mask.push_back(value > 0);
  }
  Sequence sequence() const { return sequence_of(problem, buffers); }

  TestCase problem;
  Buffers<float> buffers;
  std::vector<float> target;
  std::vector<std::uint8_t> mask{};
};

/// Runs an episode forward, and the gradient of its squared error backward. Returns the error.
inline double squared_error_passes(Network& network, const Episode& episode) {
  const std::span<const float> y = network.forward(episode.sequence());
  std::vector<float> dy(y.size());
  const double error = mse_loss(y, episode.target, dy);
  network.backward(dy);
  return error;
}

/// Returns copies of the gradients by the names of their parameters.
inline std::map<std::string, std::vector<float>> gradients_of(Network& network) {
  std::map<std::string, std::vector<float>> copies;
  for (const ParameterView& view : network.parameters()) copies[view.name] = copied(view.gradient);
  return copies;
}

/// Returns copies of the parameters, their gradients and the state.
inline std::map<std::string, std::vector<float>> snapshot(Network& network) {
  std::map<std::string, std::vector<float>> copies;
  for (const ParameterView& view : network.parameters()) {
    copies["value " + view.name] = copied(view.value);
    copies["gradient " + view.name] = copied(view.gradient);
  }
  for (const auto& member : State<float>::members()) {
    const std::string name(member.name);
    if (state_shape(network.spec(), network.options().batch, name))
      copies["state " + name] = copied(network.state(name));
  }
  return copies;
}

}  // namespace plasticity::testing
