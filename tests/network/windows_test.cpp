// Recorded windows: many of them, refused changes between forward and backward, gradients of states and of M.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t B = 2;
using Tensors = std::map<std::string, std::vector<float>>;

// Windows and the whole sequence add the gradients of a parameter in different orders: about a hundred float
// roundings of 6e-8, relative to the norm of the gradient.
constexpr double tolerance = 2e-5;

Network make(const Spec& spec) { return Network(spec, {.batch = B, .device = Device::cpu(1), .seed = 3}); }

void expect_refused(const std::function<void()>& call, const std::string& part) {
  expect_error(call, ErrorCode::invalid_argument, part);
}

/// Runs a sequence in windows of these lengths, forward and backward, and compares outputs, final state and
/// gradients with those of the whole sequence.
void expect_windows_match(const Spec& spec, const std::vector<std::int64_t>& lengths, std::uint64_t seed) {
  std::int64_t T = 0;
  for (const std::int64_t length : lengths) T += length;
  const MaskChoice masks{.reset = seed % 2 == 0, .clamp = seed % 3 == 0};
  const Episode all(spec, T, B, seed, masks);
  const std::vector<float>& dy = all.target;
  const auto row = static_cast<std::size_t>(B * spec.neurons);
  const auto dinput = [&](std::vector<float>& memory, std::int64_t first, std::int64_t length) {
    const std::size_t columns = memory.size() / static_cast<std::size_t>(T);
    return std::span(memory).subspan(static_cast<std::size_t>(first) * columns,
                                     static_cast<std::size_t>(length) * columns);
  };
  const char* const input = spec.cell == Cell::feedforward ? "pre" : spec.inputs > 0 ? "x" : "u";
  std::vector<float> want_dx(static_cast<std::size_t>(input_shape(spec, T, B, input)->elements())),
      got_dx(want_dx.size());
  const auto views = [&](std::span<float> view) {
    SequenceGradients result;
    (spec.cell == Cell::feedforward ? result.pre : spec.inputs > 0 ? result.x : result.u) = view;
    return result;
  };

  Network whole = make(spec), cut = make(spec);
  const std::vector<float> want_y = copied(whole.forward(all.sequence()));
  whole.backward(dy, views(want_dx));
  std::vector<float> got_y;
  std::int64_t t = 0;
  for (const std::int64_t length : lengths) {
    const TestCase part = window(all.problem, t, t + length);
    const Buffers<float> buffers(part);
    const auto y = cut.forward(sequence_of(part, buffers));
    got_y.insert(got_y.end(), y.begin(), y.end());
    t += length;
  }
  const Tensors got_state = snapshot(cut), want_state = snapshot(whole);
  for (std::size_t k = lengths.size(); k-- > 0;) {
    t -= lengths[k];
    const auto first = static_cast<std::size_t>(t) * row, count = static_cast<std::size_t>(lengths[k]) * row;
    cut.backward(std::span(dy).subspan(first, count), views(dinput(got_dx, t, lengths[k])));
  }
  EXPECT_EQ(cut.windows(), 0);
  EXPECT_EQ(got_y, want_y) << to_string(spec);
  for (const auto& [name, values] : want_state) {
    if (!name.starts_with("state")) continue;
    EXPECT_EQ(got_state.at(name), values) << name << ' ' << to_string(spec);
  }
  const auto [error, name] = worst(gradients_of(cut), gradients_of(whole));
  EXPECT_LT(error, tolerance) << name << ' ' << to_string(spec);
  EXPECT_LT(difference(got_dx, want_dx), tolerance) << to_string(spec);
}

TEST(Windows, ManyOfOneStepMatchTheWholeSequence) {
  std::mt19937_64 random(17);
  for (int trial = 0; trial < 30; ++trial)
    expect_windows_match(random_spec(random, 7, 3), std::vector<std::int64_t>(53, 1), random());
}

TEST(Windows, ManyOfAnyLengthMatchTheWholeSequence) {
  std::mt19937_64 random(18);
  for (int trial = 0; trial < 30; ++trial) {
    std::vector<std::int64_t> lengths(random() % 30);
    for (std::int64_t& length : lengths) length = static_cast<std::int64_t>(random() % 4);
    lengths.push_back(1);
    expect_windows_match(random_spec(random, 7, 3), lengths, random());
  }
}

TEST(Windows, AreReusedFromEpisodeToEpisode) {
  const Spec spec{.rule = Rule::oja, .inputs = 3, .neurons = 6};
  const Episode episode(spec, 1, B, 4);
  Network network = make(spec);
  Tensors first;
  for (const int windows : {40, 7, 40, 2}) {
    for (int repetition = 0; repetition < 2; ++repetition) {
      network.reset();
      network.zero_gradients();
      for (int t = 0; t < windows; ++t) network.forward(episode.sequence());
      if (repetition == 0 && windows == 7) {
        network.detach();
        continue;
      }
      for (int t = 0; t < windows; ++t) network.backward(episode.target);
      if (windows != 40) continue;
      if (first.empty()) first = gradients_of(network);
      EXPECT_EQ(gradients_of(network), first);
    }
  }
}

const Spec modulated{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 6, .clip = .5};

TEST(Windows, AnOptimizersStepBeforeBackwardIsRefused) {
  const Episode episode(modulated, 2, B, 5);
  Network network = make(modulated);
  Adam adam;
  network.forward(episode.sequence());
  adam.step(network.parameters());
  const Tensors before = gradients_of(network);
  expect_refused([&] { network.backward(episode.target); }, "parameters that have changed");
  EXPECT_EQ(gradients_of(network), before);
  EXPECT_EQ(network.windows(), 1);
  network.detach();
  network.forward(episode.sequence());
  network.backward(episode.target);
  adam.step(network.parameters());
}

// Without a tape a window's backward pass starts at an earlier state, and runs the windows in between again.
TEST(Windows, AnOptimizersStepBetweenWindowsIsRefusedIfAWindowRunsAgain) {
  const Episode episode(modulated, 1, B, 5);
  for (int earlier = 0; earlier < 12; ++earlier) {
    Network network = make(modulated);
    network.forward(episode.sequence());
    network.backward(episode.target);
    for (int t = 0; t < earlier; ++t) network.forward(episode.sequence());
    Adam({.learning_rate = .1}).step(network.parameters());
    network.zero_gradients();
    Network alone = network.clone();
    network.forward(episode.sequence());
    alone.forward(episode.sequence());
    alone.backward(episode.target);
    try {
      network.backward(episode.target);
    } catch (const Error& error) {
      EXPECT_GT(earlier, 3) << error.what();
      EXPECT_NE(std::string(error.what()).find("parameters that have changed"), std::string::npos);
      EXPECT_EQ(network.windows(), earlier + 1);
      continue;
    }
    EXPECT_EQ(gradients_of(network), gradients_of(alone)) << earlier;
  }
}

TEST(Windows, LoadingWithOpenWindowsIsRefused) {
  const Episode episode(modulated, 2, B, 5);
  Network network = make(modulated), sharing = network.share();
  io::TensorFile file;
  network.save(file);
  network.save_state(file);
  network.forward(episode.sequence());
  expect_refused([&] { network.load(file); }, "load: expected a network without recorded windows");
  expect_refused([&] { network.load_state(file); }, "load_state: expected a network without");
  sharing.load(file);  // the same parameters
  expect_refused([&] { network.backward(episode.target); }, "parameters that have changed");
}

TEST(Windows, AChangedStateBetweenWindowsIsRefused) {
  const Episode episode(modulated, 2, B, 5);
  Network network = make(modulated);
  network.forward(episode.sequence());
  EXPECT_EQ(network.state("hebb").size(), 2u * 36);  // reading is allowed
  network.forward(episode.sequence());
  network.state("hebb")[7] += 1;
  expect_refused([&] { network.forward(episode.sequence()); }, "a state that the caller has changed");
  network.detach();
  network.forward(episode.sequence());
  network.infer(episode.sequence());
  expect_refused([&] { network.forward(episode.sequence()); }, "a state that infer() has advanced");
  network.backward(episode.target);  // the window itself is right
  network.forward(episode.sequence());
  network.backward(episode.target);
}

TEST(Windows, ChecksOnRefusesEveryChangeOfTheParameters) {
  const Episode episode(modulated, 2, B, 5);
  Network without = make(modulated);
  setenv("PLASTICITY_CHECKS", "on", 1);
  Network network = make(modulated);
  setenv("PLASTICITY_CHECKS", "yes", 1);
  expect_refused([] { make(modulated); }, "PLASTICITY_CHECKS: expected on or off, got 'yes'");
  unsetenv("PLASTICITY_CHECKS");
  for (Network* each : {&without, &network}) {
    each->forward(episode.sequence());
    each->parameter("alpha")[3] += .5f;
  }
  without.backward(episode.target);
  expect_refused([&] { network.backward(episode.target); }, "parameters that have changed");
  network.parameter("alpha")[3] -= .5f;
  network.detach();
  network.forward(episode.sequence());
  network.backward(episode.target);
}

/// The loss sum dy y + sum da a + sum dM M + sum dfinal final of a spec, in double.
class Loss {
 public:
  Loss(const Spec& spec, std::int64_t steps, MaskChoice masks, std::uint64_t seed)
      : problem(with_preactivation(make_test_case(spec, steps, B, seed, masks))),
        dmodulation_(steps * B, seed + 9) {}

  double operator()(const TestCase& at) const {
    Buffers<double> buffers(at);
    reference::forward(at.spec, at.steps, at.batch, buffers.forward);
    double sum = 0;
    for (const auto& [name, weights] : at.upstream) sum += dot(weights, buffers.outputs.at(name));
    return sum + dot(dmodulation(), buffers.outputs.at("modulation"));
  }
  std::vector<double> dmodulation() const {
    const std::vector<float> values =
        noise(static_cast<std::size_t>(dmodulation_.first), dmodulation_.second);
    return {values.begin(), values.end()};
  }

  TestCase problem;

 private:
  static double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
    return sum;
  }
  std::pair<std::int64_t, std::uint64_t> dmodulation_;
};

std::vector<float> floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

TEST(Windows, GradientsOfStatesModulationAndPreactivationMatchDifferences) {
  std::mt19937_64 random(19);
  for (int trial = 0; trial < 20; ++trial) {
    Spec spec = random_spec(random, 5, 3);
    if (!spec.has_modulator()) spec.rate = Rate::fan_out;
    spec.modulator_source = ModulatorSource::hidden;
    const Loss loss(spec, 4, {.reset = trial % 3 == 0, .length = trial % 2 == 0, .clamp = trial % 5 == 0},
                    random());
    const TestCase& problem = loss.problem;
    const Buffers<float> buffers(problem);
    Network network = make(spec);
    Tensors upstream, initial;
    for (const auto& [name, values] : problem.upstream) upstream[name] = floats(values);
    for (const auto& [name, values] : problem.inputs) {
      if (name.starts_with("param."))
        std::copy(values.begin(), values.end(), network.parameter(name.substr(6)).begin());
      if (!name.starts_with("state.")) continue;
      std::copy(values.begin(), values.end(), network.state(name.substr(6)).begin());
      initial[name].resize(values.size());
    }
    network.forward(sequence_of(problem, buffers));
    const std::vector<float> dmodulation = floats(loss.dmodulation());
    network.backward(upstream.at("y"),
                     {.initial_state = {.y = initial["state.y"],
                                        .c = initial["state.c"],
                                        .hebb = initial["state.hebb"],
                                        .eligibility = initial["state.eligibility"]}},
                     {.modulation = dmodulation,
                      .preactivation = upstream.at("a"),
                      .final_state = {.y = upstream["state.y"],
                                      .c = upstream["state.c"],
                                      .hebb = upstream["state.hebb"],
                                      .eligibility = upstream["state.eligibility"]}});
    Tensors got = initial;
    for (const auto& [name, values] : gradients_of(network)) got["param." + name] = values;
    for (const auto& [name, values] : got) {
      for (int element = 0; element < 3 && !values.empty(); ++element) {
        const std::size_t k = random() % values.size();
        constexpr double h = 1e-6;
        TestCase up = problem, down = problem;
        up.inputs.at(name)[k] += h;
        down.inputs.at(name)[k] -= h;
        const double want = (loss(up) - loss(down)) / (2 * h);
        // Floats: roundings of 6e-8 in sums of some hundred terms.
        EXPECT_NEAR(values[k], want, 1e-4 * std::max(1.0, std::abs(want))) << name << ' ' << to_string(spec);
      }
    }
  }
}

TEST(Windows, AnUpstreamGradientOfTheStateAddsToThatOfALaterWindow) {
  const Episode first(modulated, 3, B, 6), second(modulated, 2, B, 7);
  const std::vector<float> dhebb = noise(B * 36, 8);
  Network both = make(modulated), chained = make(modulated), direct = make(modulated);
  for (Network* each : {&both, &chained, &direct}) each->forward(first.sequence());
  both.forward(second.sequence());
  chained.forward(second.sequence());
  both.backward(second.target);
  chained.backward(second.target);
  std::vector<float> dfirst(first.target.size());  // zero: gradients then add up
  both.zero_gradients();
  chained.zero_gradients();
  both.backward(dfirst, {}, {.final_state = {.hebb = dhebb}});
  chained.backward(dfirst);
  direct.backward(dfirst, {}, {.final_state = {.hebb = dhebb}});
  const Tensors got = gradients_of(both), a = gradients_of(chained), b = gradients_of(direct);
  for (const auto& [name, values] : got) {
    std::vector<float> sum = a.at(name);
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += b.at(name)[k];
    EXPECT_LT(difference(values, sum), tolerance) << name;
  }
}

TEST(Windows, UpstreamGradientsOfWrongSizesAreRefused) {
  const Spec fixed{.inputs = 3, .neurons = 6};
  const Episode episode(fixed, 2, B, 5);
  Network network = make(fixed);
  network.forward(episode.sequence());
  const std::vector<float> some(4);
  std::vector<float> to(4);
  expect_refused([&] { network.backward({}, {}, {.modulation = some}); }, "no modulator");
  expect_refused([&] { network.backward({}, {}, {.preactivation = some}); },
                 "upstream.preactivation: expected 24 elements, got 4");
  expect_refused([&] { network.backward({}, {}, {.final_state = {.hebb = some}}); },
                 "upstream.final_state.hebb: expected 72 elements, got 4");
  expect_refused([&] { network.backward({}, {.initial_state = {.c = to}}); },
                 "gradients.initial_state.c: expected an empty view");
  expect_refused([&] { network.backward({}, {.x = to}); }, "gradients.x: expected 12 elements, got 4");
  network.backward({});
}

TEST(Windows, OnlyRecordingIsLimitedByTheMemoryBudget) {
  constexpr std::int64_t steps = 200, N = 5;
  const Spec spec{.rule = Rule::oja, .rate = Rate::modulated, .neurons = N};
  const std::vector<float> u = noise(steps * B * N, 1);
  const NetworkOptions options{.batch = B, .device = Device::cpu(1)};
  NetworkOptions limited = options;
  limited.memory_budget = 3000;
  Network network(spec, limited), free(spec, options);
  const std::vector<float> y = copied(free.infer({.steps = steps, .u = u}));
  EXPECT_EQ(copied(network.infer({.steps = steps, .u = u})), y);
  expect_refused([&] { network.forward({.steps = steps, .u = u}); },
                 "options.memory_budget: expected at least");
}

}  // namespace
}  // namespace plasticity::testing
