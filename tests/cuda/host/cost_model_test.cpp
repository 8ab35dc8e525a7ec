// The cost model's estimates, by hand and against the counts of the machine code.
#include "cuda/cost_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/str_cat.hpp"
#include "cuda/estimates.hpp"
#include "rules/factors.hpp"

namespace plasticity::cuda {
namespace {

TEST(CostModel, HasTheCountsOfTheMachineCode) {
  std::ifstream file(PLASTICITY_SASS_GOLDEN);
  ASSERT_TRUE(file) << PLASTICITY_SASS_GOLDEN;
  const nlohmann::json counts = nlohmann::json::parse(file).at("counts");
  std::size_t compared = 0;
  const auto expect = [&](double count, const std::string& name) {
    EXPECT_EQ(counts.at(name).at(2).get<double>(), count) << name;
    ++compared;
  };
  constexpr std::array<const char*, 4> forms = {"linear", "read_clipped", "clipped", "soft"};
  const auto names = [](bool second, const char* if_not, const char* if_so) {
    return second ? if_so : if_not;
  };
  for (std::size_t form = 0; form < forms.size(); ++form) {
    for (const bool eligible : {false, true}) {
      const InstructionCounts& own = instructions_of(static_cast<Form>(form), eligible);
      const std::string variant = str_cat(' ', forms[form], eligible ? " before " : " none ");
      for (const bool bf16 : {false, true}) {
        const char* precision = names(bf16, "f32", "bf16");
        for (const bool lstm : {false, true}) {
          const std::string rest = str_cat(variant, names(lstm, "rnn", "lstm"), ' ', precision, " V=4");
          expect(own.step_forward[lstm][bf16], "step forward" + rest);
          expect(own.step_backward[lstm][bf16], "step backward" + rest);
        }
        expect(own.replay[bf16], str_cat("replay", variant, "rnn ", precision, " V=4"));
      }
      expect(own.segment, str_cat("segment", variant, "rnn f32 V=4"));
      for (const bool one : {false, true}) {
        const std::string rest =
            str_cat(form == 0 ? str_cat(" read_clipped", eligible ? " before " : " none ") : variant,
                    "rnn f32 V=", one ? 1 : 4);
        expect(own.resident_forward[one], "resident forward" + rest);
        expect(own.resident_backward[one], "resident backward" + rest);
      }
    }
  }
  // Form::linear runs the resident kernels of read_clipped, so 8 counts are compared twice.
  EXPECT_EQ(compared, counts.size() + 8);
}

const DeviceLimits h100 = limits_of("h100");
const Spec network{.cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::fan_out, .neurons = 1024};

// A trace of 64 MiB does not stay in L2: 8 bytes per connection forward, from and to memory. Other times hide
// behind these bytes only partly.
TEST(CostModel, StepsOfALargeTraceAreBoundByMemory) {
  DeviceConstants constants;
  constants.memory_share = 0.01;
  const Sizes sizes{.B = 16, .T = 50};
  const CostModel model(network, sizes, h100, constants);
  const double connections = 16.0 * 1024 * 1024;
  const double bytes = connections * 8 * (1 + 1.0 / 50);  // the state before and after once per sequence
  EXPECT_NEAR(model.of_steps(true, 1).forward / (bytes / (0.01 * h100.memory_rate)), 1, 0.02);
  DeviceConstants slow = constants;
  slow.memory_share /= 2;
  EXPECT_GT(CostModel(network, sizes, h100, slow).of_steps(true, 1).forward,
            1.9 * model.of_steps(true, 1).forward);
}

// Blocks of a cluster lie in one part of the device. 64 elements in clusters of 4 blocks need three waves if
// 30 clusters run at once, although the multiprocessors have room for 33.
TEST(CostModel, ClustersRunInWaves) {
  std::string reason;
  Spec medium = network;
  medium.neurons = 256;
  const auto shapes = shapes_that_fit(medium, false, h100, GroupKind::cluster, reason);
  const auto shape = std::find_if(shapes.begin(), shapes.end(), [](const ResidentShape& each) {
    return each.group.blocks == 4 && each.group.thread == ThreadShape::rows_8x4;
  });
  ASSERT_NE(shape, shapes.end());
  const auto forward = [&](std::int64_t B, const DeviceLimits& limits) {
    return CostModel(medium, {.B = B, .T = 1000000}, limits, {}).of_resident(*shape, 1000).forward;
  };
  DeviceLimits unknown = h100;
  unknown.clusters = {};
  EXPECT_EQ(h100.clusters[1], 30);
  EXPECT_NEAR(forward(64, h100) / forward(30, h100), 3, 0.01);
  EXPECT_NEAR(forward(64, unknown) / forward(30, unknown), 2, 0.01);
}

// A bfloat16 tape with a checkpoint at every step: backward replays a segment at each of them.
TEST(CostModel, ShortSegmentsTakeLonger) {
  std::string reason;
  const ResidentShape shape = shapes_that_fit(network, true, h100, GroupKind::grid, reason).back();
  const CostModel model(network, {.B = 1, .T = 50, .bf16 = true}, h100, {});
  EXPECT_GT(model.of_resident(shape, 1).backward, 1.2 * model.of_resident(shape, 8).backward);
}

// One element on chip: its instructions, the work outside the pass, the barrier, and the launch.
TEST(CostModel, ResidentStepsAddUp) {
  const DeviceConstants constants;
  std::string reason;
  Spec small = network;
  small.neurons = 64;
  const ResidentShape shape =
      shapes_that_fit(small, false, h100, GroupKind::cluster, reason).front();  // 2 blocks of 32 columns
  ASSERT_EQ(shape.group.blocks, 2);
  const auto forward = [&](std::int64_t B, const DeviceConstants& c) {
    return CostModel(small, {.B = B, .T = 1000000}, h100, c).of_resident(shape, 8).forward;
  };
  const double instructions = shape.group.rows * 4 * 6.0;  // per thread, of rows of 4 columns
  const double warps = shape.group.threads() / 32;
  const double expected = warps * instructions / constants.resident_forward_rate +
                          constants.resident_forward_outside + constants.cluster_barrier +
                          64 * constants.modulator;
  EXPECT_NEAR(forward(1, constants), expected, 0.01 * expected);
  EXPECT_NEAR(forward(66, constants), expected, 0.01 * expected) << "one block per multiprocessor";
  EXPECT_GT(forward(100000, constants), 100 * expected) << "waves";
  DeviceConstants slow = constants;
  slow.cluster_barrier += 1;
  EXPECT_NEAR(forward(1, slow), expected + 1, 1e-2);
}

// More work takes longer, whatever the execution.
TEST(CostModel, GrowsWithTheSizes) {
  const DeviceConstants constants;
  const auto of = [&](std::int64_t neurons, std::int64_t batch, bool lstm, Eligibility eligibility) {
    Spec spec = network;
    spec.neurons = neurons;
    spec.cell = lstm ? Cell::lstm : Cell::rnn;
    spec.eligibility = eligibility;
    return CostModel(spec, {.B = batch, .T = 50}, h100, constants).of_steps(true, 4);
  };
  const Estimate base = of(512, 32, false, Eligibility::none);
  for (const Estimate& more :
       {of(1024, 32, false, Eligibility::none), of(512, 64, false, Eligibility::none),
        of(512, 32, true, Eligibility::none), of(512, 32, false, Eligibility::before)}) {
    EXPECT_GE(more.forward, base.forward);
    EXPECT_GT(more.total(), base.total());
    EXPECT_GE(more.backward, base.backward);  // an lstm's gates hide behind the traces
  }
}

}  // namespace
}  // namespace plasticity::cuda
