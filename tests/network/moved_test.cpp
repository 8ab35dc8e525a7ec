// A moved-from object throws an error with the reason.
#include <gtest/gtest.h>

#include "plasticity/plasticity.hpp"

namespace plasticity::testing {
namespace {

template <class Call>
void expect_moved_from(const std::string& name, Call call) {
  try {
    call();
    ADD_FAILURE() << name << ": no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_EQ(error.what(), name + ": expected an object that owns its data, got one that was moved from");
  }
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

TEST(Linear, TooLargeIsAnErrorOfTheLibrary) {
  try {
    Linear(1'000'000'000, 1'000'000'000, 1);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_STREQ(error.what(), "outputs: expected at most 281474 for 1000000000 inputs, got 1000000000");
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose operator new ends the program
  try {
    Linear(1'000'000'000, 200'000, 1);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
  }
#endif
}

TEST(Linear, NamesTheWrongArgument) {
  Linear layer(2, 3, 1);
  std::vector<float> x(4), dy(5), dx(4);
  try {
    layer.backward(x, dy, dx);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "dy: expected 2 rows of 3 elements, got 5 elements");
  }
}

TEST(Messages, NameAFileThatHasNoName) {
  Adam adam;
  try {
    adam.load({});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "file: expected metadata 'adam.steps', got none");
  }
}

TEST(Plan, LoadsZeros) {
  for (const Precision precision : {Precision::f32, Precision::f64}) {
    const Plan plan({.neurons = 3}, {.device = Device::cpu(1), .precision = precision});
    const DeviceMemory live(Device::cpu(1), plan.step_state_bytes());
    plan.load({}, {}, live.as<StepState>());
    plan.load({}, nullptr, live.as<StepState>());
    EXPECT_THROW(plan.load({}, {}, {}), Error);
  }
}

}  // namespace
}  // namespace plasticity::testing
