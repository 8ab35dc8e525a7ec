// Sequences in windows, empty sequences, and the spread of NaN.
#include "problems/implementations.hpp"

namespace plasticity::testing {
namespace {

template <class Implementation>
class CarriedState : public ::testing::Test {};
TYPED_TEST_SUITE(CarriedState, Implementations);

// A sequence split at any step: the state passes from window to window, and its gradient back.
TYPED_TEST(CarriedState, WindowsEqualTheWholeSequence) {
  std::mt19937_64 random(86);
  for (int trial = 0; trial < 80; ++trial) {
    const std::int64_t T = 8;
    const TestCase problem = make_test_case(random_spec(random, 5, 4), T, 3, random(), random_masks(random));
    Buffers<double> whole(problem);
    TypeParam::run(problem, whole);

    std::vector<std::int64_t> cuts{0};
    while (cuts.back() < T) {
      const auto left = static_cast<std::uint64_t>(T - cuts.back());
      cuts.push_back(cuts.back() + 1 + static_cast<std::int64_t>(random() % left));
    }
    std::vector<TestCase> parts;
    std::map<std::string, std::vector<double>> outputs, gradients;
    const auto append = [](std::vector<double>& to, const std::vector<double>& from, bool in_front) {
      to.insert(in_front ? to.begin() : to.end(), from.begin(), from.end());
    };
    for (std::size_t k = 0; k + 1 < cuts.size(); ++k) {
      TestCase part = window(problem, cuts[k], cuts[k + 1]);
      for (const auto& [name, values] : outputs) {
        if (name.starts_with("state.")) part.inputs.at(name) = values;
      }
      parts.push_back(part);
      Buffers<double> buffers(part);
      TypeParam::run(part, buffers);
      for (const auto& [name, values] : buffers.outputs) {
        if (name.starts_with("state.")) outputs[name].clear();
        append(outputs[name], values, false);
      }
    }
    EXPECT_EQ(outputs, whole.outputs) << problem.name() << " in " << parts.size() << " windows";

    for (std::size_t k = parts.size(); k-- > 0;) {
      for (const auto& [name, values] : gradients) {
        if (name.starts_with("state.")) parts[k].upstream.at(name) = values;
      }
      Buffers<double> buffers(parts[k]);
      TypeParam::run(parts[k], buffers);
      for (const auto& [name, values] : buffers.gradients) {
        std::vector<double>& sum = gradients[name];
        if (name.starts_with("state.")) {
          sum = values;
        } else if (name.starts_with("input.")) {
          append(sum, values, true);
        } else {
          sum.resize(values.size());
          for (std::size_t index = 0; index < values.size(); ++index) sum[index] += values[index];
        }
      }
    }
    const auto [error, tensor] = worst(gradients, whole.gradients);
    EXPECT_LT(error, 1e-13) << tensor << " of " << problem.name() << " in " << parts.size() << " windows";
  }
}

TYPED_TEST(CarriedState, EmptySizes) {
  std::mt19937_64 random(85);
  for (int trial = 0; trial < 60; ++trial) {
    const Spec spec = random_spec(random, 5, 4);
    // T = 0: the state and its gradient pass through, and parameter gradients are unchanged.
    const TestCase still = make_test_case(spec, 0, 2, random(), random_masks(random));
    Buffers<double> buffers(still);
    TypeParam::run(still, buffers);
    EXPECT_TRUE(buffers.outputs.at("y").empty());
    for (const auto& [name, values] : buffers.gradients) {
      if (name.starts_with("state.")) {
        EXPECT_EQ(buffers.outputs.at(name), still.inputs.at(name)) << name << " of " << still.name();
        EXPECT_EQ(values, still.upstream.at(name)) << name << " of " << still.name();
      }
      if (!name.starts_with("param.")) continue;
      for (const double value : values) EXPECT_EQ(value, 0) << name << " of " << still.name();
    }
    // B = 0: the same, without a state.
    const TestCase empty_batch = make_test_case(spec, 3, 0, random(), random_masks(random));
    Buffers<double> none(empty_batch);
    TypeParam::run(empty_batch, none);
    for (const auto& [name, values] : none.gradients) {
      EXPECT_EQ(values, std::vector<double>(values.size(), 0.0)) << name << " of " << empty_batch.name();
      EXPECT_EQ(values.empty(), !name.starts_with("param."));
    }
  }
}

// A NaN or an infinity shows in the results of its own sample and in sums over the batch, and nowhere else.
TYPED_TEST(CarriedState, NanStaysInItsOwnSample) {
  std::mt19937_64 random(53);
  const std::int64_t T = 5, B = 3;
  for (int trial = 0; trial < 120; ++trial) {
    const TestCase clean = make_test_case(random_spec(random, 5, 4), T, B, random());
    std::vector<std::string> candidates;
    for (const auto& [name, values] : clean.inputs) {
      if (!name.starts_with("param.")) candidates.push_back(name);
    }
    const std::string name = candidates[random() % candidates.size()];
    TestCase sick = clean;
    std::vector<double>& values = sick.inputs.at(name);
    // The first element of sample 1, in a state or in step 0 of a sequence.
    const std::size_t rows = static_cast<std::size_t>(name.starts_with("state.") ? B : T * B);
    values[values.size() / rows] = trial % 3 == 0 ? INFINITY : NAN;

    Buffers<double> want(clean), got(sick);
    TypeParam::run(clean, want);
    TypeParam::run(sick, got);
    const auto expect_others_untouched = [&](const std::string& tensor, const std::vector<double>& all,
                                             const std::vector<double>& healthy) {
      const std::size_t outer = tensor.starts_with("state.") ? 1 : static_cast<std::size_t>(T);
      const std::size_t width = all.size() / outer / static_cast<std::size_t>(B);
      for (std::size_t k = 0; k < all.size(); ++k) {
        if (k / width % static_cast<std::size_t>(B) == 1) continue;
        ASSERT_EQ(all[k], healthy[k]) << tensor << " with a sick " << name << " of " << clean.name();
      }
    };
    bool seen = false;
    for (const auto& [tensor, all] : got.outputs) {
      expect_others_untouched(tensor, all, want.outputs.at(tensor));
      for (const double value : all) seen = seen || !std::isfinite(value);
    }
    for (const auto& [tensor, all] : got.gradients) {
      if (!tensor.starts_with("param.")) expect_others_untouched(tensor, all, want.gradients.at(tensor));
    }
    // An infinity may be squashed or clipped to a finite value. A NaN may not.
    EXPECT_TRUE(seen || trial % 3 == 0) << name << " of " << clean.name();
  }
}

}  // namespace
}  // namespace plasticity::testing
