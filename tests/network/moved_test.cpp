// A moved-from object throws an error with the reason.
#include <gtest/gtest.h>

#include "plasticity/plasticity.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

template <class Call>
void expect_moved_from(const std::string& name, Call call) {
  expect_exact_error(call, ErrorCode::invalid_argument,
                     name + ": expected an object that owns its data, got one that was moved from");
}

TEST(MovedFrom, Trainer) {
  Network network({.neurons = 3}, {.device = Device::cpu(1)});
  Trainer trainer(network);
  Trainer other(std::move(trainer));
  expect_moved_from("trainer", [&] { trainer.step({}, {}); });
  expect_moved_from("trainer", [&] { trainer.step([] { return 0.0; }); });
  expect_moved_from("trainer", [&] { trainer.y(); });
  expect_moved_from("trainer", [&] { trainer.modulation(); });
  expect_moved_from("trainer", [&] { (void)trainer.learning_rate(); });
  expect_moved_from("trainer", [&] { trainer.set_learning_rate(1); });
  expect_moved_from("trainer", [&] { (void)trainer.steps(); });
  io::TensorFile file;
  expect_moved_from("trainer", [&] { trainer.save(file); });
  other.save(file);
  expect_moved_from("trainer", [&] { trainer.load(file); });
  trainer = std::move(other);
  EXPECT_EQ(trainer.steps(), 0);
}

TEST(MovedFrom, Network) {
  Network network({.neurons = 3}, {.device = Device::cpu(1)});
  Network other(std::move(network));
  io::TensorFile file;
  expect_moved_from("network", [&] { network.forward({}); });
  expect_moved_from("network", [&] { network.infer({}); });
  expect_moved_from("network", [&] { network.backward({}); });
  expect_moved_from("network", [&] { network.parameters(); });
  expect_moved_from("network", [&] { network.reset(); });
  expect_moved_from("network", [&] { network.save(file); });
  expect_moved_from("network", [&] { network.load(file); });
  expect_moved_from("network", [&] { (void)network.spec(); });
  expect_moved_from("network", [&] { Trainer trainer(network); });
  network = std::move(other);
  network.infer({});
}

TEST(MovedFrom, Stack) {
  Stack stack(2, {{.spec = {.neurons = 3}}}, {.device = Device::cpu(1)});
  const Stack other(std::move(stack));
  expect_moved_from("stack", [&] { stack.reset(); });
  expect_moved_from("stack", [&] { (void)stack.inputs(); });
}

TEST(MovedFrom, Linear) {
  Linear layer(2, 3, 1);
  Linear other(std::move(layer));
  std::vector<float> x(2), y(3);
  expect_moved_from("linear", [&] { layer.forward(x, y); });
  expect_moved_from("linear", [&] { layer.backward(x, y, {}); });
  io::TensorFile file;
  expect_moved_from("linear", [&] { layer.parameters(); });
  expect_moved_from("linear", [&] { layer.save(file); });
  other.save(file);
  expect_moved_from("linear", [&] { layer.load(file); });
  expect_moved_from("linear", [&] { (void)layer.inputs(); });
  expect_moved_from("linear", [&] { const Linear copy(layer); });
  layer = other;
  layer.forward(x, y);
  layer = std::move(other);
  layer.forward(x, y);
}

TEST(MovedFrom, PlanStaysUsable) {
  Plan plan({.neurons = 3}, {.device = Device::cpu(1)});
  const Plan other(std::move(plan));
  EXPECT_EQ(plan.tape_bytes(), other.tape_bytes());
}

}  // namespace
}  // namespace plasticity::testing
