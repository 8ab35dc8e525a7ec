// The freedoms of the argument structs: absent tensors, gradients that are not asked for, aliasing, padding.
#include "plasticity/error.hpp"
#include "problems/implementations.hpp"

namespace plasticity::testing {
namespace {

template <class Implementation>
class Arguments : public ::testing::Test {};
TYPED_TEST_SUITE(Arguments, Implementations);

void zero(std::map<std::string, std::vector<double>>& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found != tensors.end()) std::fill(found->second.begin(), found->second.end(), 0.0);
}

// Any optional tensor may be absent. Its gradient is computed nevertheless.
TYPED_TEST(Arguments, AbsentTensorsAreZero) {
  std::mt19937_64 random(80);
  for (int trial = 0; trial < 150; ++trial) {
    TestCase problem = make_test_case(random_spec(random, 5, 4), 4, 3, random(), random_masks(random));
    if (problem.spec.activation == Activation::relu)
      problem.spec.activation = Activation::tanh;      // relu has a corner at 0
    std::vector<std::pair<std::string, bool>> absent;  // name, and whether it is an upstream gradient
    for (const char* name : {"input.u", "state.y", "state.c", "state.hebb", "state.eligibility"}) {
      if (random() % 2 != 0) absent.emplace_back(name, false);
    }
    for (const char* name : {"y", "state.y", "state.c", "state.hebb", "state.eligibility"}) {
      if (random() % 2 != 0) absent.emplace_back(name, true);
    }
    for (const auto& [name, is_upstream] : absent)
      zero(is_upstream ? problem.upstream : problem.inputs, name);
    Buffers<double> zeros(problem), without(problem);
    for (const auto& [name, is_upstream] : absent) {
      if (name == "input.u") without.forward.inputs.u = nullptr;
      if (name == "y") without.backward.dy = nullptr;
      for (const auto& member : State<const double>::members()) {
        if (name != "state." + std::string(member.name)) continue;
        (is_upstream ? without.backward.dfinal_state : without.forward.initial_state).*member.pointer =
            nullptr;
      }
    }
    without.backward.inputs = without.forward.inputs;
    without.backward.initial_state = without.forward.initial_state;
    TypeParam::run(problem, zeros);
    TypeParam::run(problem, without);
    EXPECT_EQ(without.outputs, zeros.outputs) << problem.name();
    EXPECT_EQ(without.gradients, zeros.gradients) << problem.name();
  }
}

TYPED_TEST(Arguments, NullOutputsDoNotChangeTheOthers) {
  std::mt19937_64 random(81);
  for (int trial = 0; trial < 100; ++trial) {
    const TestCase problem = make_test_case(random_spec(random, 5, 4), 4, 3, random(), random_masks(random));
    Buffers<double> all(problem), some(problem);
    TypeParam::run(problem, all);
    // A dropped output keeps its initial value: NaN, or zero for the gradient of a parameter.
    const auto drop = [&](auto& group, auto& tensors, const std::string& prefix) {
      for (const auto& member : std::remove_cvref_t<decltype(group)>::members()) {
        const std::string name = prefix + std::string(member.name);
        if (group.*member.pointer == nullptr || random() % 2 == 0) continue;
        group.*member.pointer = nullptr;
        tensors.erase(name);
      }
    };
    drop(some.forward.final_state, some.outputs, "state.");
    drop(some.backward.dparameters, some.gradients, "param.");
    drop(some.backward.dinputs, some.gradients, "input.");
    drop(some.backward.dinitial_state, some.gradients, "state.");
    if (random() % 2 == 0) {
      some.forward.modulation = nullptr;
      some.outputs.erase("modulation");
    }
    TypeParam::run(problem, some);
    for (const auto& [name, values] : some.outputs) EXPECT_EQ(values, all.outputs.at(name)) << name;
    for (const auto& [name, values] : some.gradients)
      EXPECT_EQ(values, all.gradients.at(name)) << name << " of " << problem.name();
  }
}

TYPED_TEST(Arguments, TheFinalStateMayAliasTheInitialState) {
  std::mt19937_64 random(82);
  for (int trial = 0; trial < 100; ++trial) {
    const TestCase problem = make_test_case(random_spec(random, 5, 4), 4, 3, random(), random_masks(random));
    Buffers<double> apart(problem), together(problem);
    TypeParam::run(problem, apart);
    std::map<std::string, std::vector<double>> state, gradient;
    const State<const double> initial = together.forward.initial_state;
    for (const auto& member : State<double>::members()) {
      const std::string name = "state." + std::string(member.name);
      if (!problem.inputs.contains(name)) continue;
      state[name] = problem.inputs.at(name);
      gradient[name] = problem.upstream.at(name);
      together.forward.final_state.*member.pointer = state[name].data();
      together.backward.dinitial_state.*member.pointer = gradient[name].data();
    }
    const State<double>&in_place = together.forward.final_state, &back = together.backward.dinitial_state;
    together.forward.initial_state = {in_place.y, in_place.c, in_place.hebb, in_place.eligibility};
    together.backward.initial_state = initial;
    together.backward.dfinal_state = {back.y, back.c, back.hebb, back.eligibility};
    TypeParam::run(problem, together);
    for (const auto& [name, values] : state) {
      EXPECT_EQ(values, apart.outputs.at(name)) << name << " of " << problem.name();
      EXPECT_EQ(gradient.at(name), apart.gradients.at(name)) << name << " of " << problem.name();
    }
  }
}

// Parameter gradients accumulate. All other outputs are overwritten (their buffers start as NaN).
TYPED_TEST(Arguments, ParameterGradientsAccumulate) {
  std::mt19937_64 random(83);
  for (int trial = 0; trial < 100; ++trial) {
    const TestCase problem = make_test_case(random_spec(random, 5, 4), 4, 3, random(), random_masks(random));
    Buffers<double> from_zero(problem), from_more(problem);
    TypeParam::run(problem, from_zero);
    for (auto& [name, values] : from_more.gradients) {
      if (name.starts_with("param.")) std::fill(values.begin(), values.end(), 16.0);
    }
    TypeParam::run(problem, from_more);
    for (auto& [name, values] : from_more.gradients) {
      if (name.starts_with("param.")) {
        for (double& value : values) value -= 16;
      }
    }
    const auto [error, tensor] = worst(from_more.gradients, from_zero.gradients);
    EXPECT_LT(error, 1e-13) << tensor << " of " << problem.name();
  }
}

// Steps beyond an element's length are not read, so padding may hold any value.
TYPED_TEST(Arguments, PaddingBeyondTheLengthIsNotRead) {
  std::mt19937_64 random(84);
  for (int trial = 0; trial < 100; ++trial) {
    const std::int64_t T = 5, B = 3;
    TestCase problem = make_test_case(random_spec(random, 5, 4), T, B, random(),
                                      {.reset = true, .length = true, .clamp = true});
    problem.length = {static_cast<std::int64_t>(random() % 6), 5, static_cast<std::int64_t>(random() % 6)};
    TestCase padded = problem;
    const auto pad = [&](std::vector<double>& values) {
      const std::size_t width = values.size() / static_cast<std::size_t>(T * B);
      for (std::size_t row = 0; row < static_cast<std::size_t>(T * B); ++row) {
        if (static_cast<std::int64_t>(row) / B < problem.length[row % static_cast<std::size_t>(B)]) continue;
        std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(row * width), width, NAN);
      }
    };
    for (auto& [name, values] : padded.inputs) {
      if (name.starts_with("input.") || name == "clamp_value") pad(values);
    }
    pad(padded.upstream.at("y"));
    Buffers<double> want(problem), got(padded);
    TypeParam::run(problem, want);
    TypeParam::run(padded, got);
    EXPECT_EQ(got.outputs, want.outputs) << problem.name();
    EXPECT_EQ(got.gradients, want.gradients) << problem.name();
  }
}

TEST(Plan, AnAbsentInitialStateIsZero) {
  for (const Precision precision : {Precision::f32, Precision::f64}) {
    const Plan plan({.neurons = 3}, {.device = Device::cpu(1), .precision = precision});
    const DeviceMemory memory(Device::cpu(1), plan.step_state_bytes());
    plan.load({}, {}, memory.as<StepState>());
    plan.load({}, nullptr, memory.as<StepState>());
    EXPECT_THROW(plan.load({}, {}, {}), Error);
  }
}

}  // namespace
}  // namespace plasticity::testing
