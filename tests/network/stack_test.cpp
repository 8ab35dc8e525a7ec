// Stack compared with networks that are connected by hand, and its gradients with differences.
#include "plasticity/stack.hpp"

#include <gtest/gtest.h>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 4, B = 2, I = 3;

std::vector<StackLayer> skipping() {
  return {{.spec = {.rate = Rate::fan_out, .neurons = 5}},
          {.spec = {.cell = Cell::lstm, .neurons = 4}, .from = {0, Stack::input}},
          {.spec = {.cell = Cell::feedforward, .rule = Rule::oja, .neurons = 6}, .from = {1, 0}}};
}

Stack make(std::string name = "") {
  return Stack(I, skipping(), {.batch = B, .device = Device::cpu(1), .seed = 5, .name = std::move(name)});
}

/// Larger weights than the initial ones, so that all layers have an effect.
void enlarge(Stack& stack) {
  std::uint64_t seed = 1;
  for (const ParameterView& view : stack.parameters()) {
    const std::vector<float> values = noise(view.value.size(), seed++);
    for (std::size_t k = 0; k < values.size(); ++k) view.value[k] = .5f * values[k];
  }
}

TEST(Stack, MatchesNetworksConnectedByHand) {
  Stack stack = make();
  enlarge(stack);
  Network a = stack.layer(0).clone(), b = stack.layer(1).clone(), c = stack.layer(2).clone();
  const auto join = [](std::span<const float> left, std::size_t n, std::span<const float> right,
                       std::size_t m) {
    std::vector<float> rows;
    for (std::size_t row = 0; row < left.size() / n; ++row) {
      rows.insert(rows.end(), left.begin() + static_cast<long>(row * n),
                  left.begin() + static_cast<long>((row + 1) * n));
      rows.insert(rows.end(), right.begin() + static_cast<long>(row * m),
                  right.begin() + static_cast<long>((row + 1) * m));
    }
    return rows;
  };
  const std::vector<float> x = noise(T * B * I, 3);
  const std::vector<std::uint8_t> reset{0, 0, 1, 0, 0, 1, 0, 0};
  const std::vector<float> ya = copied(a.forward({.steps = T, .x = x, .reset = reset}));
  const std::vector<float> xb = join(ya, 5, x, I);
  const std::vector<float> yb = copied(b.forward({.steps = T, .x = xb, .reset = reset}));
  const std::vector<float> xc = join(yb, 4, ya, 5);
  const std::vector<float> yc = copied(c.forward({.steps = T, .pre = xc, .reset = reset}));
  EXPECT_EQ(copied(stack.forward({.steps = T, .x = x, .reset = reset})), yc);
  stack.reset();
  EXPECT_EQ(copied(stack.infer({.steps = T, .x = x, .reset = reset})), yc);
  EXPECT_EQ(stack.layers()[1].spec.inputs, 8);
  EXPECT_EQ(stack.outputs(), 6);
}

TEST(Stack, ACloneHasItsOwnParametersAndASharedStackThoseOfTheFirst) {
  Stack stack = make("name");
  enlarge(stack);
  stack.layer(1).set_trainable("alpha", false);
  const std::vector<float> x = noise(T * B * I, 3), upstream = noise(T * B * 6, 4);
  const auto run = [&](Stack& of) { return copied(of.infer({.steps = T, .x = x})); };
  const std::vector<float> from_zero = run(stack);
  Stack clone = stack.clone(), shared = stack.share(), wide = stack.share(2 * B);
  EXPECT_EQ(run(clone), run(stack));
  EXPECT_EQ(run(shared), from_zero);
  EXPECT_EQ(wide.batch(), 2 * B);
  EXPECT_EQ(clone.parameters().size(), stack.parameters().size());
  EXPECT_EQ(clone.parameters()[0].name, "name.layer0.w_in");

  shared.forward({.steps = T, .x = x});
  EXPECT_EQ(stack.windows(), 0);
  shared.backward(upstream);
  EXPECT_EQ(copied(stack.parameters()[0].gradient), copied(shared.parameters()[0].gradient));
  EXPECT_NE(copied(clone.parameters()[0].gradient), copied(shared.parameters()[0].gradient));
  clone.reset();
  stack.layer(0).parameter("w")[0] += 1;
  EXPECT_EQ(run(clone), from_zero);
  shared.reset();
  stack.reset();
  EXPECT_EQ(run(shared), run(stack));
  EXPECT_THROW(stack.share(-1), Error);
}

TEST(Stack, GradientsMatchDifferences) {
  Stack stack = make();
  enlarge(stack);
  std::vector<float> x = noise(T * B * I, 3), dx(x.size());
  const std::vector<float> dy = noise(T * B * 6, 4);
  const std::vector<std::int64_t> length{4, 3};
  const auto loss = [&] {
    stack.reset();
    double sum = 0;
    const auto y = stack.infer({.steps = T, .x = x, .length = length});
    for (std::size_t k = 0; k < y.size(); ++k) sum += static_cast<double>(y[k]) * dy[k];
    return sum;
  };
  stack.forward({.steps = 1, .x = std::span(x).first(B * I)});  // discarded
  stack.reset();
  stack.forward({.steps = T, .x = x, .length = length});
  stack.backward(dy, dx);
  EXPECT_EQ(stack.windows(), 0);
  const auto expect_slope = [&](float& at, float gradient, const std::string& name) {
    const float before = at, h = 4e-3f;
    at = before + h;
    const double up = loss();
    at = before - h;
    const double down = loss();
    at = before;
    // The error of a central difference is of order h^2; float rounding adds 1e-6 / h.
    EXPECT_NEAR(gradient, (up - down) / (2 * h),
                2e-3 * std::max(1.0, std::abs(static_cast<double>(gradient))))
        << name;
  };
  for (std::size_t k = 0; k < x.size(); k += 5) expect_slope(x[k], dx[k], "x");
  for (const ParameterView& view : stack.parameters()) {
    for (std::size_t k = 0; k < view.value.size(); k += 7)
      expect_slope(view.value[k], view.gradient[k], view.name);
  }
}

TEST(Stack, WindowsMatchTheWholeSequence) {
  Stack whole = make(), cut = make();
  enlarge(whole);
  enlarge(cut);
  constexpr std::size_t steps = 20;
  const std::vector<float> x = noise(steps * B * I, 3), dy = noise(steps * B * 6, 4);
  const std::vector<float> want = copied(whole.forward({.steps = steps, .x = x}));
  whole.backward(dy);
  std::vector<float> observation(B * I), got;
  for (std::size_t t = 0; t < steps; ++t) {
    std::copy_n(x.begin() + static_cast<long>(t * B * I), B * I, observation.begin());
    const auto y = cut.forward({.x = observation});
    got.insert(got.end(), y.begin(), y.end());
  }
  for (std::size_t t = steps; t-- > 0;) cut.backward(std::span(dy).subspan(t * B * 6, B * 6));
  EXPECT_EQ(got, want);
  const auto a = whole.parameters(), b = cut.parameters();
  // Sums of 20 steps in another order: roundings of 6e-8 relative to the norm.
  for (std::size_t k = 0; k < a.size(); ++k)
    EXPECT_LT(difference(copied(b[k].gradient), copied(a[k].gradient)), 2e-5) << a[k].name;
}

TEST(Stack, OneFileHoldsTheStackAndItsState) {
  Stack stack = make("agent"), other = make("agent");
  enlarge(stack);
  const std::vector<float> x = noise(T * B * I, 3);
  stack.infer({.steps = T, .x = x});
  io::TensorFile file;
  stack.save(file);
  stack.save_state(file);
  EXPECT_TRUE(file.contains("param.agent.layer1.w"));
  const StackDescription description = load_stack(file, "agent");
  EXPECT_EQ(description.inputs, I);
  EXPECT_EQ(description.layers[2].from, (std::vector<int>{1, 0}));
  Stack resumed(description.inputs, description.layers,
                {.batch = 1, .device = Device::cpu(1), .name = "agent"});
  resumed.load(file);
  resumed.load_state(file);
  EXPECT_EQ(resumed.batch(), B);
  EXPECT_EQ(copied(resumed.infer({.steps = T, .x = x})), copied(stack.infer({.steps = T, .x = x})));

  const io::TensorFile before = file;
  expect_error([&] { stack.save(file); }, ErrorCode::invalid_argument,
               "already has the tensor 'param.agent.");
  EXPECT_EQ(file, before);
  io::TensorFile wrong = file, unchanged, after;
  wrong.tensors["param.agent.layer2.w"] = io::make_tensor({1}, std::vector<float>(1));
  other.save(unchanged);
  expect_error([&] { other.load(wrong); }, ErrorCode::format, "'param.agent.layer2.w'");
  wrong = file;
  wrong.metadata["agent.stack.from1"] = "0";
  expect_error([&] { other.load(wrong); }, ErrorCode::format,
               "'agent.stack.from1': expected '0,-1', got '0'");
  other.save(after);
  EXPECT_EQ(after, unchanged);
  wrong.metadata["agent.stack.from1"] = "0,x";
  expect_error([&] { load_stack(file); }, ErrorCode::format, "'stack.inputs'");
}

TEST(Stack, AWrongDescriptionIsAnError) {
  io::TensorFile file;
  make().save(file);
  const auto expect_wrong = [&](const char* key, const char* value, const std::string& expected) {
    io::TensorFile wrong = file;
    wrong.metadata[key] = value;
    expect_error([&] { load_stack(wrong); }, ErrorCode::format,
                 "metadata '" + std::string(key) + "': expected " + expected + ", got ");
  };
  for (const char* value : {"0", "-5"}) {
    expect_wrong("stack.layers", value, "at least 1");
    expect_wrong("stack.inputs", value, "at least 1");
  }
  for (const char* value : {"", "0,", ",0", "0,x", "0;-1"})
    expect_wrong("stack.from1", value, "numbers separated by commas");
  for (const char* value : {"7", "1", "-2", "0,1"})
    expect_wrong("stack.from1", value, "indices from -1 to 0");
  expect_wrong("stack.from0", "0", "indices from -1 to -1");
}

TEST(Stack, WrongCallsAreErrors) {
  const NetworkOptions options{.batch = B, .device = Device::cpu(1)};
  const auto build = [&](std::vector<StackLayer> layers) { Stack stack(I, std::move(layers), options); };
  expect_error([&] { build({}); }, ErrorCode::invalid_argument, "layers: expected at least 1 layer");
  expect_error([&] { build({{.from = {0}}}); }, ErrorCode::invalid_argument,
               "layers[0].from: expected indices from -1 to -1, got 0");
  expect_error([&] { build({{.spec = {.inputs = 4}}}); }, ErrorCode::invalid_argument,
               "layers[0].spec.inputs: expected 0 or 3");
  expect_error([&] { build({{.spec = {.rate = Rate::external}}}); }, ErrorCode::invalid_argument,
               "spec.rate");
  Stack stack = make();
  const std::vector<float> x(T * B * I), dy(5);
  expect_error([&] { stack.forward({.steps = T, .x = dy}); }, ErrorCode::invalid_argument,
               "sequence.x: expected 24 elements, got 5");
  expect_error([&] { stack.backward(dy); }, ErrorCode::invalid_argument, "a window that forward() recorded");
  stack.forward({.steps = T, .x = x});
  expect_error([&] { stack.backward(dy); }, ErrorCode::invalid_argument, "dy: expected 48 elements, got 5");
  io::TensorFile file;
  stack.save(file);
  expect_error([&] { stack.load(file); }, ErrorCode::invalid_argument, "without recorded windows");
  expect_error([&] { stack.layer(3); }, ErrorCode::invalid_argument, "index: expected below 3, got 3");
  stack.detach();
  EXPECT_EQ(stack.windows(), 0);
}

// Under the identity y is the pre-activation, so dy and da have the same effect.
TEST(Stack, ThePreactivationOfTheLastLayerAndItsGradient) {
  const std::vector<StackLayer> layers{
      {.spec = {.neurons = 4}},
      {.spec = {.rule = Rule::oja, .activation = Activation::identity, .neurons = 3},
       .from = {Stack::input, 0}}};
  const std::vector<float> x = noise(3 * 2 * 2, 1), dy = noise(3 * 2 * 3, 2);
  std::vector<float> dx[2]{std::vector<float>(x.size()), std::vector<float>(x.size())};
  std::vector<std::vector<float>> gradients[2];
  for (const std::size_t through_a : {std::size_t{0}, std::size_t{1}}) {
    Stack stack(2, layers, {.batch = 2, .device = Device::cpu(1), .seed = 3, .preactivation = true});
    const std::span<const float> y = stack.forward({.steps = 3, .x = x});
    EXPECT_EQ(copied(stack.preactivation()), copied(y));
    stack.backward(through_a == 1 ? std::span<const float>() : dy, dx[through_a],
                   through_a == 1 ? dy : std::span<const float>());
    for (const ParameterView& each : stack.parameters())
      gradients[through_a].push_back(copied(each.gradient));
  }
  constexpr double tolerance = 1e-5;  // the sums have another order
  EXPECT_LT(difference(dx[1], dx[0]), tolerance);
  for (std::size_t k = 0; k < gradients[0].size(); ++k)
    EXPECT_LT(difference(gradients[1][k], gradients[0][k]), tolerance);
  Stack without(2, layers, {.batch = 2, .device = Device::cpu(1)});
  without.forward({.steps = 3, .x = x});
  EXPECT_TRUE(without.preactivation().empty());
  EXPECT_THROW(without.backward({}, {}, x), Error);
}

// backward() refuses before any layer has run.
TEST(Stack, ARefusedBackwardChangesNothing) {
  Stack stack = make();
  const std::vector<float> x = noise(T * B * I, 3), dy = noise(T * B * 6, 4);
  stack.forward({.steps = T, .x = x});
  ++*stack.layer(0).parameters()[0].version;  // as an optimizer's step
  expect_error([&] { stack.backward(dy); }, ErrorCode::invalid_argument,
               "parameters that have changed since");
  EXPECT_EQ(stack.windows(), 1);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(stack.layer(k).windows(), 1);
  for (const ParameterView& view : stack.parameters()) {
    for (const float value : view.gradient) ASSERT_EQ(value, 0);
  }
  stack.detach();
}

TEST(Stack, ARefusedResetOrForwardChangesNothing) {
  Stack stack = make();
  const std::vector<float> x = noise(T * B * I, 3);
  stack.forward({.steps = T, .x = x});
  EXPECT_THROW(stack.reset(-1), Error);
  EXPECT_EQ(stack.windows(), 1);
  stack.layer(1).state("y")[0] += 1;
  expect_error([&] { stack.forward({.steps = T, .x = x}); }, ErrorCode::invalid_argument,
               "a state that the caller has changed");
  EXPECT_EQ(stack.windows(), 1);
}

TEST(Stack, TheInputsGradientMayAliasThatOfThePreactivation) {
  const std::vector<float> x = noise(T * B * I, 3), da = noise(T * B * I, 4);
  const auto gradient = [&](bool aliased) {
    Stack stack(I, {{.spec = {.neurons = 4}}, {.spec = {.neurons = I}}},
                {.batch = B, .device = Device::cpu(1), .preactivation = true});
    stack.forward({.steps = T, .x = x});
    std::vector<float> memory = da, separate(x.size());
    stack.backward({}, aliased ? memory : separate, memory);
    return aliased ? memory : separate;
  };
  EXPECT_EQ(gradient(true), gradient(false));
}

TEST(Stack, ALayerWithoutStateHasTheBatchOfTheOthers) {
  const auto make_two = [](std::int64_t batch) {
    return Stack(I,
                 {{.spec = {.neurons = 4}},
                  {.spec = {.cell = Cell::feedforward, .alpha = Granularity::none, .neurons = 2}}},
                 {.batch = batch, .device = Device::cpu(1)});
  };
  io::TensorFile file;
  make_two(5).save_state(file);
  Stack stack = make_two(1);
  stack.load_state(file);
  EXPECT_EQ(stack.batch(), 5);
  stack.infer({.steps = 1, .x = noise(5 * I, 1)});
  EXPECT_EQ(stack.layer(1).clone().batch(), 5);
}

}  // namespace
}  // namespace plasticity::testing
