// Network compared with the reference; windows, saving and training.
#include "plasticity/network.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "model/for_each_tensor.hpp"
#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"

namespace plasticity::testing {
namespace {

const Spec spec{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 6, .clip = .5};
constexpr std::int64_t B = 2;

// The network and the reference add float products in different orders. Each rounding is 6e-8 of a value near
// 1, and a sequence has a few hundred of them. Gradients are larger, because they are sums over all steps and
// samples.
constexpr double output_tolerance = 1e-5, gradient_tolerance = 1e-4;

Network make() { return Network(spec, {.batch = B, .device = Device::cpu(2), .seed = 3}); }

TEST(Network, GradientsMatchTheReference) {
  Network network = make();
  const std::vector<float> x = noise(5 * B * 3, 1), dy = noise(5 * B * 6, 2);
  std::vector<float> dx(x.size());
  const std::vector<float> y = [&] {
    const auto view = network.forward({.steps = 5, .x = x});
    return std::vector<float>(view.begin(), view.end());
  }();
  network.backward(dy, {.x = dx});

  ForwardArgs<float> forward;
  BackwardArgs<float> backward;
  std::map<std::string, std::vector<float>> expected;
  for_each_tensor(spec, 5, B, forward.parameters,
                  [&](std::string_view name, const float*& pointer, const std::optional<Shape>& shape) {
                    if (shape) pointer = network.parameter(name).data();
                  });
  for_each_tensor(spec, 5, B, backward.dparameters,
                  [&](std::string_view name, float*& pointer, const std::optional<Shape>& shape) {
                    if (!shape) return;
                    std::vector<float>& values = expected[std::string(name)];
                    values.resize(static_cast<std::size_t>(shape->elements()));
                    pointer = values.data();
                  });
  std::vector<float> want_y(y.size()), want_dx(x.size());
  forward.inputs.x = x.data();
  forward.y = want_y.data();
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
  backward.dy = dy.data();
  backward.dinputs.x = want_dx.data();
  reference::forward(spec, 5, B, forward);
  reference::backward(spec, 5, B, backward);
  for (std::size_t k = 0; k < y.size(); ++k) EXPECT_NEAR(y[k], want_y[k], output_tolerance);
  for (std::size_t k = 0; k < dx.size(); ++k) EXPECT_NEAR(dx[k], want_dx[k], gradient_tolerance);
  for (const auto& [name, values] : gradients_of(network)) {
    for (std::size_t k = 0; k < values.size(); ++k)
      EXPECT_NEAR(values[k], expected.at(name)[k], gradient_tolerance) << name;
  }
}

TEST(Network, WindowGradientsMatchTheWholeSequence) {
  const std::vector<float> x = noise(6 * B * 3, 4), dy = noise(6 * B * 6, 5);
  Network whole = make(), cut = make();
  whole.forward({.steps = 6, .x = x});
  whole.backward(dy);
  const std::span<const float> all_x(x), all_dy(dy);
  cut.forward({.steps = 4, .x = all_x.first(4 * B * 3)});
  cut.forward({.steps = 2, .x = all_x.last(2 * B * 3)});
  EXPECT_EQ(cut.windows(), 2);
  cut.backward(all_dy.last(2 * B * 6));
  EXPECT_THROW(cut.forward({.steps = 1, .x = all_x.first(B * 3)}), Error) << "the first window is left";
  cut.backward(all_dy.first(4 * B * 6));
  EXPECT_EQ(cut.windows(), 0);
  const auto want = gradients_of(whole), got = gradients_of(cut);
  for (const auto& [name, values] : want) {
    for (std::size_t k = 0; k < values.size(); ++k)
      EXPECT_NEAR(got.at(name)[k], values[k], gradient_tolerance / 10) << name;
  }
}

TEST(Network, DetachStopsTheGradientAndKeepsTheState) {
  const std::vector<float> x = noise(2 * B * 3, 6), dy = noise(B * 6, 7);
  const std::span<const float> all(x);
  Network cut = make(), later = make();
  cut.forward({.steps = 1, .x = all.first(B * 3)});
  cut.detach();
  const std::vector<float> state(cut.state("hebb").begin(), cut.state("hebb").end());
  const std::vector<float> y0(cut.state("y").begin(), cut.state("y").end());
  cut.forward({.steps = 1, .x = all.last(B * 3)});
  cut.backward(dy);
  EXPECT_EQ(cut.windows(), 0);
  std::copy(state.begin(), state.end(), later.state("hebb").begin());
  std::copy(y0.begin(), y0.end(), later.state("y").begin());
  later.forward({.steps = 1, .x = all.last(B * 3)});
  later.backward(dy);
  EXPECT_EQ(gradients_of(cut), gradients_of(later));
}

TEST(Network, InferMatchesForward) {
  const std::vector<float> x = noise(4 * B * 3, 8);
  Network recorded = make(), inferred = make();
  const auto a = recorded.forward({.steps = 4, .x = x}), b = inferred.infer({.steps = 4, .x = x});
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  EXPECT_EQ(recorded.modulation().size(), 4u * B);
  EXPECT_EQ(inferred.windows(), 0);
  recorded.reset();
  for (const float value : recorded.state("hebb")) EXPECT_EQ(value, 0);
}

TEST(Network, SaveAndLoadRoundTrip) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "network.safetensors";
  Network first = make();
  io::TensorFile file;
  first.save(file);
  io::save(path, file);
  const io::TensorFile read = io::load(path);
  EXPECT_EQ(load_spec(read), spec);
  Network second(spec, {.batch = B, .device = Device::cpu(1), .seed = 99});
  EXPECT_NE(first.parameter("w")[0], second.parameter("w")[0]);
  second.load(read);
  for (const ParameterView& view : first.parameters()) {
    const auto other = second.parameter(view.name);
    EXPECT_TRUE(std::equal(view.value.begin(), view.value.end(), other.begin(), other.end())) << view.name;
  }
}

TEST(Network, NamesClipsThatDifferInTheirLastDigits) {
  const auto with_clip = [](double clip) {
    return Network({.rule = Rule::hard_clip, .neurons = 2, .clip = clip}, {.device = Device::cpu(1)});
  };
  io::TensorFile file;
  with_clip(.1).save(file);
  expect_exact_error([&] { with_clip(double{.1f}).load(file); }, ErrorCode::format,
                     "file: expected rnn hard_clip fixed alpha=connection tanh clip=0.10000000149011612 I=0 "
                     "N=2, got rnn hard_clip fixed alpha=connection tanh clip=0.1 I=0 N=2");
}

TEST(Network, RejectsParametersOfAnotherSize) {
  Network small({.neurons = 3}, {.batch = 1}), large({.neurons = 4}, {.batch = 1});
  io::TensorFile file, before, after;
  large.save(file);
  small.save(before);
  // The metadata claims the right size, so load() must check the tensors too.
  file.metadata = before.metadata;
  expect_error([&] { small.load(file); }, ErrorCode::format, "expected shape [");
  small.save(after);
  EXPECT_EQ(before.tensors, after.tensors);
}

TEST(Network, MovingKeepsItsParameters) {
  Network first({.neurons = 3}, {.batch = 2, .seed = 1}), second({.neurons = 5}, {.batch = 1});
  const std::vector<float> u(6, .5f);
  const auto run = [&u](Network& network) {
    network.reset();
    const auto y = network.infer({.steps = 1, .u = u});
    return std::vector<float>(y.begin(), y.end());
  };
  const std::vector<float> y = run(first);
  second = std::move(first);
  EXPECT_EQ(second.spec().neurons, 3);
  EXPECT_EQ(run(second), y);
  Network third(std::move(second));
  EXPECT_EQ(run(third), y);
}

TEST(Network, ParametersListsOnlyTrainableOnes) {
  Network network = make();
  network.set_trainable("alpha", false);
  for (const ParameterView& view : network.parameters()) EXPECT_NE(view.name, "alpha");
  network.set_trainable("alpha", true);
  EXPECT_EQ(network.parameters().size(), 8u);
}

// A plastic network learns to recall a pattern that it has seen once.
TEST(Network, LearnsToRecall) {
  constexpr std::size_t T = 7, N = 24, batch = 8;
  Network network({.neurons = N}, {.batch = batch, .device = Device::cpu(1), .seed = 1});
  Adam adam({.learning_rate = 1e-2});
  std::mt19937 random(1);
  double first = 0, last = 0;
  for (int episode = 0; episode < 300; ++episode) {
    std::vector<std::uint8_t> clamp(T * batch * N), mask(T * batch * N);
    std::vector<float> value(T * batch * N), gradient(T * batch * N);
    for (std::size_t k = 0; k < value.size(); ++k) {
      const std::size_t t = k / (batch * N);
      value[k] = t == 0 ? (random() % 2 == 0 ? 1.0f : -1.0f) : value[k % (batch * N)];
      clamp[k] = t < 4 || k % 2 == 0;
      mask[k] = t == T - 1 && k % 2 != 0;
    }
    network.reset();
    const auto y = network.forward({.steps = T, .clamp = clamp, .clamp_value = value});
    last = mse_loss(y, value, gradient, mask);
    if (episode == 0) first = last;
    network.zero_gradients();
    network.backward(gradient);
    EXPECT_TRUE(std::isfinite(clip_gradients(network.parameters(), 5)));
    adam.step(network.parameters());
  }
  EXPECT_GT(first, .9);
  EXPECT_LT(last, .1);
}

}  // namespace
}  // namespace plasticity::testing
