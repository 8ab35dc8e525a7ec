// NetworkF64: a network in double on the CPU.
#include <gtest/gtest.h>

#include <complex>

#include "plasticity/plasticity.hpp"
#include "problems/answers.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t B = 2;
using Tensors = std::map<std::string, std::vector<double>>;

// Network and reference add in different orders: a few hundred roundings of 1e-16.
constexpr double tolerance = 1e-12;

NetworkF64 make(const Spec& spec, std::int64_t batch = B) {
  return NetworkF64(spec, {.batch = batch, .device = Device::cpu(2), .seed = 3, .preactivation = true});
}

std::vector<double> copied(std::span<const double> view) { return {view.begin(), view.end()}; }

/// Returns a network with the parameters and the initial state of a test case.
NetworkF64 network_of(const TestCase& problem) {
  NetworkF64 network = make(problem.spec, problem.batch);
  for (const auto& [name, values] : problem.inputs) {
    if (name.starts_with("param.")) std::ranges::copy(values, network.parameter(name.substr(6)).begin());
    if (name.starts_with("state.")) std::ranges::copy(values, network.state(name.substr(6)).begin());
  }
  return network;
}

template <class Real>
StateViews<Real> state_views(std::map<std::string, std::vector<double>>& tensors) {
  const auto view = [&](const char* name) -> std::span<Real> {
    const auto found = tensors.find(name);
    return found == tensors.end() ? std::span<Real>() : std::span<Real>(found->second);
  };
  return {view("state.y"), view("state.c"), view("state.hebb"), view("state.eligibility")};
}

/// Runs a test case on a network, forward and backward.
Answers<double> answers_of(TestCase problem) {
  NetworkF64 network = network_of(problem);
  const Buffers<double> buffers(problem);
  Answers<double> answers;
  answers.outputs["y"] = copied(network.forward(sequence_of(problem, buffers)));
  answers.outputs["a"] = copied(network.preactivation());
  if (problem.spec.has_modulator()) answers.outputs["modulation"] = copied(network.modulation());
  for (const auto& member : State<double>::members()) {
    if (state_shape(problem.spec, problem.batch, member.name))
      answers.outputs["state." + std::string(member.name)] = copied(network.state(member.name));
  }
  const auto room = [&](const std::string& name) -> std::span<double> {
    const auto input = problem.inputs.find(name);
    if (input == problem.inputs.end()) return {};
    return answers.gradients[name] = std::vector<double>(input->second.size());
  };
  for (const char* name : {"y", "c", "hebb", "eligibility"}) room(std::string("state.") + name);
  const SequenceGradientsF64 gradients{.x = room("input.x"),
                                       .u = room("input.u"),
                                       .pre = room("input.pre"),
                                       .rate = room("input.rate"),
                                       .initial_state = state_views<double>(answers.gradients)};
  const auto da = problem.upstream.find("a");
  network.backward(problem.upstream.at("y"), gradients,
                   {.preactivation = da == problem.upstream.end() ? std::span<const double>() : da->second,
                    .final_state = state_views<const double>(problem.upstream)});
  for (const ParameterViewF64& view : network.parameters())
    answers.gradients["param." + view.name] = copied(view.gradient);
  return answers;
}

TEST(NetworkF64, MatchesTheReference) {
  std::mt19937_64 random(31);
  for (const Spec& spec : every_mix(random, 9, 3)) {
    const TestCase problem = with_preactivation(make_test_case(spec, 6, B, random(), random_masks(random)));
    expect_close(problem, answers_of(problem), reference_answers<double>(problem), tolerance);
  }
  const TestCase fixed = with_preactivation(make_test_case(nonplastic_spec(random, 9, 3), 6, B, random()));
  expect_close(fixed, answers_of(fixed), reference_answers<double>(fixed), tolerance);
}

/// Returns dy . y and da . a of the reference with parameters w + i h d.
std::complex<double> loss_along(const TestCase& problem, const Tensors& direction, double h) {
  Buffers<std::complex<double>> buffers(problem);
  for (const auto& [name, values] : direction) {
    for (std::size_t k = 0; k < values.size(); ++k)
      buffers.inputs.at(name)[k] += std::complex<double>(0, h * values[k]);
  }
  reference::forward(problem.spec, problem.steps, problem.batch, buffers.forward);
  std::complex<double> loss = 0;
  for (const auto& [name, upstream] : problem.upstream) {
    const std::vector<std::complex<double>>& output = buffers.outputs.at(name);
    for (std::size_t k = 0; k < output.size(); ++k) loss += upstream[k] * output[k];
  }
  return loss;
}

TEST(NetworkF64, GradientMatchesTheComplexStep) {
  std::mt19937_64 random(32);
  constexpr double h = 1e-60;
  for (int trial = 0; trial < 20; ++trial) {
    const TestCase problem = with_preactivation(make_test_case(random_spec(random, 7, 3), 8, B, random()));
    const Answers<double> got = answers_of(problem);
    for (const auto& [name, gradient] : got.gradients) {
      std::uniform_real_distribution<double> uniform(-1, 1);
      std::vector<double> along(gradient.size());
      double want = 0, size = 0;
      for (std::size_t k = 0; k < along.size(); ++k) {
        along[k] = uniform(random);
        want += along[k] * gradient[k];
        size += std::abs(along[k] * gradient[k]);
      }
      EXPECT_NEAR(loss_along(problem, {{name, along}}, h).imag() / h, want, tolerance * std::max(size, 1.0))
          << name << " of " << problem.name();
    }
  }
}

const Spec spec{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 7, .clip = .5};

// In double the order of additions shows at 1e-16; a float would differ by 1e-7.
TEST(NetworkF64, WindowsAndStepsMatchTheWholeSequence) {
  const TestCase problem = make_test_case(spec, 40, B, 5, {.reset = true});
  const Buffers<double> buffers(problem);
  NetworkF64 whole = make(spec), cut = make(spec), stepped = make(spec);
  const std::vector<double> want = copied(whole.forward(sequence_of(problem, buffers)));
  std::vector<double> recorded, inferred;
  for (std::int64_t t = 0; t < problem.steps; ++t) {
    const TestCase part = window(problem, t, t + 1);
    const Buffers<double> step(part);
    const auto y = cut.forward(sequence_of(part, step)), z = stepped.infer(sequence_of(part, step));
    recorded.insert(recorded.end(), y.begin(), y.end());
    inferred.insert(inferred.end(), z.begin(), z.end());
  }
  EXPECT_EQ(recorded, want);
  EXPECT_EQ(inferred, want);
  EXPECT_EQ(copied(stepped.state("hebb")), copied(whole.state("hebb")));
  const std::vector<double>& dy = problem.upstream.at("y");
  const std::size_t row = dy.size() / static_cast<std::size_t>(problem.steps);
  whole.backward(dy);
  for (auto t = static_cast<std::size_t>(problem.steps); t-- > 0;)
    cut.backward(std::span(dy).subspan(t * row, row));
  const std::vector<ParameterViewF64> got = cut.parameters(), expected = whole.parameters();
  for (std::size_t k = 0; k < got.size(); ++k)
    EXPECT_LT(difference(copied(got[k].gradient), copied(expected[k].gradient)), tolerance) << got[k].name;
}

TEST(NetworkF64, FilesKeepEveryBitAndConvert) {
  const TestCase problem = make_test_case(spec, 5, B, 6);
  const Buffers<double> buffers(problem);
  NetworkF64 network = make(spec), other = make(spec, 1);
  for (double& value : network.parameter("w")) value += 1e-13;
  network.infer(sequence_of(problem, buffers));
  io::TensorFile file;
  network.save(file);
  network.save_state(file);
  EXPECT_EQ(file.at("param.w").dtype, io::DType::f64);
  EXPECT_EQ(file.at("state.hebb").dtype, io::DType::f64);
  EXPECT_EQ(load_spec(file), spec);
  other.load(file);
  other.load_state(file);
  EXPECT_EQ(copied(other.parameter("w")), copied(network.parameter("w")));
  EXPECT_EQ(copied(other.state("hebb")), copied(network.state("hebb")));
  EXPECT_EQ(copied(other.infer(sequence_of(problem, buffers))),
            copied(network.infer(sequence_of(problem, buffers))));

  Network single(spec, {.device = Device::cpu(1)});
  single.load(file);
  for (std::size_t k = 0; k < 49; ++k)
    EXPECT_EQ(single.parameter("w")[k], static_cast<float>(network.parameter("w")[k]));
  io::TensorFile of_single;
  single.save(of_single);
  other.load(of_single);
  for (std::size_t k = 0; k < 49; ++k)
    EXPECT_EQ(other.parameter("w")[k], static_cast<double>(single.parameter("w")[k]));
}

TEST(NetworkF64, BeginsWithTheValuesOfANetwork) {
  const NetworkOptions options{.device = Device::cpu(1), .seed = 9, .name = "actor"};
  Network single(spec, options);
  NetworkF64 network(spec, options);
  const std::vector<ParameterView> want = single.parameters();
  const std::vector<ParameterViewF64> got = network.parameters();
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    EXPECT_EQ(got[k].name, want[k].name);
    for (std::size_t j = 0; j < got[k].value.size(); ++j)
      EXPECT_EQ(static_cast<float>(got[k].value[j]), want[k].value[j]) << got[k].name;
  }
}

TEST(NetworkF64, ClonesAndShares) {
  const TestCase problem = make_test_case(spec, 4, B, 7);
  const Buffers<double> buffers(problem);
  NetworkF64 network = make(spec);
  network.infer(sequence_of(problem, buffers));
  NetworkF64 clone = network.clone(), shared = network.share();
  EXPECT_EQ(copied(clone.state("hebb")), copied(network.state("hebb")));
  EXPECT_EQ(shared.state("hebb")[0], 0);
  const std::vector<double> next = copied(network.infer(sequence_of(problem, buffers)));
  EXPECT_EQ(copied(clone.infer(sequence_of(problem, buffers))), next);
  network.parameter("w")[0] += 1;
  EXPECT_EQ(shared.parameter("w")[0], network.parameter("w")[0]);
  EXPECT_NE(clone.parameter("w")[0], network.parameter("w")[0]);
  shared.forward(sequence_of(problem, buffers));
  shared.backward(problem.upstream.at("y"));
  EXPECT_EQ(copied(network.parameters()[0].gradient), copied(shared.parameters()[0].gradient));
  EXPECT_EQ(clone.parameters()[0].gradient[0], 0);
}

TEST(NetworkF64, ChecksItsArguments) {
  EXPECT_EQ(make(spec).options().precision, Precision::f64);
  EXPECT_NO_THROW(NetworkF64(spec, {.device = Device::cpu(1), .precision = Precision::f64}));
  expect_error([] { NetworkF64(spec, {.device = Device::cpu(1), .precision = Precision::bf16}); },
               ErrorCode::invalid_argument,
               "options.precision: expected f64 (or f32, the default) for a NetworkF64, got bf16");
  expect_error([] { Network(spec, {.device = Device::cpu(1), .precision = Precision::f64}); },
               ErrorCode::invalid_argument,
               "options.precision: expected f32 or bf16 (a NetworkF64 runs in f64), got f64");
  NetworkF64 network = make(spec);
  const std::vector<double> x(5);
  expect_error([&] { network.infer({.x = x}); }, ErrorCode::invalid_argument,
               "sequence.x: expected 6 elements, got 5");
  expect_error([&] { network.backward({}); }, ErrorCode::invalid_argument,
               "backward: expected a window that forward() recorded");
  io::TensorFile file;
  NetworkF64(Spec{.inputs = 3, .neurons = 7}, {.device = Device::cpu(1)}).save(file);
  expect_error([&] { network.load(file); }, ErrorCode::format, "got rnn decay");
  static_assert(!std::is_constructible_v<Trainer, NetworkF64&>);
}

}  // namespace
}  // namespace plasticity::testing
