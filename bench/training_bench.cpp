// One training iteration of a Trainer: forward, squared error, backward, Adam.
#include <algorithm>
#include <cmath>

#include "harness.hpp"

namespace plasticity::bench {
namespace {

constexpr double learning_rate = 1e-3, epsilon = 1e-8;

class Training {
 public:
  Training(const Case& c, std::int64_t steps, Device device)
      : data(c, steps, Device::cpu(1)),
        network(c.spec, {.batch = c.batch, .device = device, .precision = c.precision, .seed = 1}),
        target(data.values("dy")),
        trainer_(network, {.adam = {.learning_rate = learning_rate, .epsilon = epsilon}}) {
    const auto input = [&](const char* name) {
      return data.tensors().contains(name) ? data.values(name) : std::vector<float>{};
    };
    x_ = input("input.x"), u_ = input("input.u"), pre_ = input("input.pre"), rate_ = input("input.rate");
    sequence_ = {.steps = steps, .x = x_, .u = u_, .pre = pre_, .rate = rate_};
  }

  void iteration() {
    network.reset();
    trainer_.step(sequence_, target);
  }

  CaseTensors<float> data;
  Network network;
  std::vector<float> target;

 private:
  Trainer trainer_;
  std::vector<float> x_, u_, pre_, rate_;
  Sequence sequence_;
};

/// Compares the gradients of the first iteration with the reference, and the parameters after it with Adam's
/// first step, lr g / (|g| + epsilon).
Check check(const Case& c, Device device) {
  Training training(c, checked_steps, device);
  std::vector<std::int64_t> all(static_cast<std::size_t>(c.batch));
  for (std::size_t b = 0; b < all.size(); ++b) all[b] = static_cast<std::int64_t>(b);

  // Uses the network's parameters, and the gradient of the loss at the reference's outputs.
  for (const ParameterView& p : training.network.parameters()) training.data.set("param." + p.name, p.value);
  CaseTensors<double> oracle(training.data, all);
  reference::forward(c.spec, checked_steps, c.batch, oracle.forward);
  std::vector<double> dy = oracle.values("y");
  for (std::size_t k = 0; k < dy.size(); ++k)
    dy[k] = 2 * (dy[k] - static_cast<double>(training.target[k])) / static_cast<double>(dy.size());
  oracle.set("dy", dy);
  reference::backward(c.spec, checked_steps, c.batch, oracle.backward);

  std::vector<std::vector<double>> expected;
  for (const ParameterView& p : training.network.parameters())
    expected.emplace_back(p.value.begin(), p.value.end());
  training.iteration();
  Check worst{-1, "(none)", c.precision == Precision::bf16 ? 3e-2 : 1e-4};
  const auto note = [&](const std::string& name, std::span<const float> got, std::span<const double> want) {
    const double error = difference(std::vector<double>(got.begin(), got.end()), want);
    if (error > worst.error) worst = {error, name, worst.tolerance};
  };
  std::size_t index = 0;
  for (const ParameterView& p : training.network.parameters()) {
    note("grad." + p.name, p.gradient, oracle.values("grad." + p.name));
    std::vector<double>& values = expected[index++];
    for (std::size_t k = 0; k < values.size(); ++k) {
      const auto g = static_cast<double>(p.gradient[k]);
      values[k] -= learning_rate * g / (std::abs(g) + epsilon);
    }
    note("after Adam, " + p.name, p.value, values);
  }
  return worst;
}

const bool added = add_operation(
    {.name = "training",
     .contender = "plasticity",
     .applies = [](const Case& c, Device) { return c.group == "experiments" || c.group == "sweep_N"; },
     .check = check,
     .prepare = [](const Case& c, Device d) -> Work {
       auto training = std::make_shared<Training>(c, c.steps, d);
       return [training] { training->iteration(); };
     },
     .cost =
         [](const Case& c, Device d) {
           return forward_cost(c, c.steps, d) + backward_cost(c, c.steps, d) + adam_cost(c);
         },
     .steps = [](const Case& c) { return c.steps; }});

}  // namespace
}  // namespace plasticity::bench
