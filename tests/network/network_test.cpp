// Network against Plan and the reference; training, windows, saving.
#include "plasticity/network.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"

namespace plasticity {
namespace {

const Spec spec{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 6, .clip = .5};
constexpr std::int64_t B = 2;

using testing::noise;

Network make() { return Network(spec, {.batch = B, .device = Device::cpu(2), .seed = 3}); }

std::map<std::string, std::vector<float>> gradients(Network& network) {
  std::map<std::string, std::vector<float>> copies;
  for (const ParameterView& view : network.parameters())
    copies[view.name] = {view.gradient.begin(), view.gradient.end()};
  return copies;
}

TEST(Network, GradientIsThatOfTheReference) {
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
  for (const auto& member : Parameters<const float>::members()) {
    if (parameter_shape(spec, member.name))
      forward.parameters.*member.pointer = network.parameter(member.name).data();
  }
  for (const auto& member : Parameters<float>::members()) {
    const auto shape = parameter_shape(spec, member.name);
    if (!shape) continue;
    std::vector<float>& values = expected[std::string(member.name)];
    values.resize(static_cast<std::size_t>(shape->elements()));
    backward.dparameters.*member.pointer = values.data();
  }
  std::vector<float> want_y(y.size()), want_dx(x.size());
  forward.inputs.x = x.data();
  forward.y = want_y.data();
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
  backward.dy = dy.data();
  backward.dinputs.x = want_dx.data();
  reference::forward(spec, 5, B, forward);
  reference::backward(spec, 5, B, backward);
  for (std::size_t k = 0; k < y.size(); ++k) EXPECT_NEAR(y[k], want_y[k], 1e-5);
  for (std::size_t k = 0; k < dx.size(); ++k) EXPECT_NEAR(dx[k], want_dx[k], 1e-4);
  for (const auto& [name, values] : gradients(network)) {
    for (std::size_t k = 0; k < values.size(); ++k)
      EXPECT_NEAR(values[k], expected.at(name)[k], 1e-4) << name;
  }
}

TEST(Network, WindowsGiveTheGradientOfTheWhole) {
  const std::vector<float> x = noise(6 * B * 3, 4), dy = noise(6 * B * 6, 5);
  Network whole = make(), cut = make();
  whole.forward({.steps = 6, .x = x});
  whole.backward(dy);
  const std::span<const float> all_x(x), all_dy(dy);
  cut.forward({.steps = 4, .x = all_x.first(4 * B * 3)});
  cut.forward({.steps = 2, .x = all_x.last(2 * B * 3)});
  EXPECT_EQ(cut.windows(), 2);
  cut.backward(all_dy.last(2 * B * 6));
  EXPECT_THROW(cut.forward({.steps = 1, .x = all_x.first(B * 3)}), Error) << "a window is left";
  cut.backward(all_dy.first(4 * B * 6));
  EXPECT_EQ(cut.windows(), 0);
  const auto want = gradients(whole), got = gradients(cut);
  for (const auto& [name, values] : want) {
    for (std::size_t k = 0; k < values.size(); ++k) EXPECT_NEAR(got.at(name)[k], values[k], 1e-5) << name;
  }
}

TEST(Network, DetachCutsTheGradientAndKeepsTheState) {
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
  EXPECT_EQ(gradients(cut), gradients(later));
}

TEST(Network, InferAndForwardGiveTheSame) {
  const std::vector<float> x = noise(4 * B * 3, 8);
  Network recorded = make(), inferred = make();
  const auto a = recorded.forward({.steps = 4, .x = x}), b = inferred.infer({.steps = 4, .x = x});
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  EXPECT_EQ(recorded.modulation().size(), 4u * B);
  EXPECT_EQ(inferred.windows(), 0);
  recorded.reset();
  for (const float value : recorded.state("hebb")) EXPECT_EQ(value, 0);
}

TEST(Network, SavedAndLoadedItIsTheSame) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / "plasticity_network_test.safetensors";
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
  std::filesystem::remove(path);
}

TEST(Network, WeightsOfAnotherSizeAreRefusedAndChangeNothing) {
  Network small({.neurons = 3}, {.batch = 1}), large({.neurons = 4}, {.batch = 1});
  io::TensorFile file, before, after;
  large.save(file);
  small.save(before);
  // As if it were a network of the right size: its metadata alone must not be what is believed.
  file.metadata = before.metadata;
  try {
    small.load(file);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::format);
    EXPECT_NE(std::string(error.what()).find("elements in its shape, got "), std::string::npos)
        << error.what();
  }
  small.save(after);
  EXPECT_EQ(before.tensors, after.tensors);
}

TEST(Network, Moves) {
  Network first({.neurons = 3}, {.batch = 2, .seed = 1}), second({.neurons = 5}, {.batch = 1});
  const std::vector<float> u(6, .5f);
  const auto answer = [&u](Network& network) {
    network.reset();
    const auto y = network.infer({.steps = 1, .u = u});
    return std::vector<float>(y.begin(), y.end());
  };
  const std::vector<float> y = answer(first);
  second = std::move(first);
  EXPECT_EQ(second.spec().neurons, 3);
  EXPECT_EQ(answer(second), y);
  Network third(std::move(second));
  EXPECT_EQ(answer(third), y);
}

TEST(Network, AnUntrainedParameterIsLeftAlone) {
  Network network = make();
  network.set_trainable("alpha", false);
  for (const ParameterView& view : network.parameters()) EXPECT_NE(view.name, "alpha");
  network.set_trainable("alpha", true);
  EXPECT_EQ(network.parameters().size(), 8u);
}

// The point of it all: a plastic network learns to recall, from one look.
TEST(Network, LearnsToRecall) {
  constexpr std::size_t T = 7, N = 24, batch = 8;
  Network network({.neurons = N}, {.batch = batch, .device = Device::cpu(1), .seed = 1});
  Adam adam({.learning_rate = 1e-2});
  std::mt19937 random(1);
  double first = 0, last = 0;
  for (int episode = 0; episode < 300; ++episode) {
    std::vector<std::uint8_t> clamp(T * batch * N), asked(T * batch * N);
    std::vector<float> value(T * batch * N), gradient(T * batch * N);
    for (std::size_t k = 0; k < value.size(); ++k) {
      const std::size_t t = k / (batch * N);
      value[k] = t == 0 ? (random() % 2 == 0 ? 1.0f : -1.0f) : value[k % (batch * N)];
      clamp[k] = t < 4 || k % 2 == 0;
      asked[k] = t == T - 1 && k % 2 != 0;
    }
    network.reset();
    const auto y = network.forward({.steps = T, .clamp = clamp, .clamp_value = value});
    last = mse_loss(y, value, gradient, asked);
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
}  // namespace plasticity
