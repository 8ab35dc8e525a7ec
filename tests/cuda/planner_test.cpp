// The planner, with the limits of devices as data: no device is needed.
#include "cuda/planner.hpp"
#include "cuda/estimates.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "plasticity/error.hpp"
#include "problems/random_problem.hpp"
#include "rules/factors.hpp"

namespace plasticity::cuda {
namespace {

constexpr std::int64_t MiB = 1 << 20, GiB = 1 << 30;
const DeviceLimits a100 = limits_of("a100"), h100 = limits_of("h100"), b200 = limits_of("b200"),
                   rtx3050_laptop{16, 101376, 0, true, 2 * MiB, 4 * GiB},
                   one_multiprocessor{1, 49152, 0, false, MiB, GiB};

Spec network_of(std::int64_t neurons) {
  return {.cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::fan_out, .neurons = neurons};
}

ExecutionChoice choose(std::int64_t neurons, const DeviceLimits& limits, Sizes sizes = {30, 100},
                       Execution wanted = Execution::automatic) {
  return choose_execution(network_of(neurons), sizes, limits,
                          {.wanted = wanted, .intervals = {1, 10}, .bits_differ = false, .constants = {}});
}

TEST(CudaPlanner, ChoosesBySizeAndDevice) {
  struct Expected {
    std::int64_t neurons;
    Execution on_a100, on_h100, on_b200, on_rtx3050_laptop;
  };
  using enum Execution;
  for (const Expected& e : {Expected{1, cta, cta, cta, cta}, Expected{200, graph, cluster, cluster, graph},
                            Expected{4000, graph, graph, graph, graph}}) {
    EXPECT_EQ(choose(e.neurons, a100).execution(), e.on_a100) << e.neurons;
    EXPECT_EQ(choose(e.neurons, h100).execution(), e.on_h100) << e.neurons;
    EXPECT_EQ(choose(e.neurons, b200).execution(), e.on_b200) << e.neurons;
    EXPECT_EQ(choose(e.neurons, rtx3050_laptop).execution(), e.on_rtx3050_laptop) << e.neurons;
  }
}

TEST(CudaPlanner, DistributesTheColumns) {
  const ExecutionChoice small = choose(64, h100, {30, 100}, Execution::cta);
  EXPECT_EQ(small.shape().blocks, 1);
  EXPECT_EQ(small.groups, 30);
  const ExecutionChoice middle = choose(200, h100, {30, 100}, Execution::cluster);
  EXPECT_EQ(middle.shape().blocks, 4);
  EXPECT_EQ(middle.shape().columns, 64);
  const ExecutionChoice whole = choose(1000, h100, {1, 106});
  EXPECT_EQ(whole.shape().blocks, 125);
  EXPECT_EQ(whole.shape().columns, 8);
  EXPECT_EQ(whole.groups, 1);
  const ExecutionChoice few = choose(200, rtx3050_laptop, {30, 100}, Execution::grid);
  EXPECT_EQ(few.groups, 16 / few.shape().blocks);
}

// The planner may be restricted to one shape.
TEST(CudaPlanner, TakesOnlyAGivenShape) {
  std::string reason;
  for (const ResidentShape& shape : shapes_that_fit(network_of(200), false, h100, GroupKind::grid, reason)) {
    const ExecutionChoice choice =
        choose_execution(network_of(200), {30, 100}, h100,
                         {.wanted = Execution::grid, .intervals = {1, 10}, .constants = {}, .shape = shape});
    EXPECT_TRUE(choice.chosen().shape == shape);
    EXPECT_THROW(choose_execution(network_of(200), {30, 100}, h100,
                                  {.wanted = Execution::cluster, .constants = {}, .shape = shape}),
                 Error);
  }
}

// Some kernels write and read a bfloat16 tape.
TEST(CudaPlanner, KeepsABfloatTapeInSomeShapes) {
  std::string reason;
  const auto fit = [&](std::int64_t neurons, GroupKind kind) {
    reason.clear();
    return shapes_that_fit(network_of(neurons), true, h100, kind, reason);
  };
  for (const std::int64_t neurons : {5, 64}) {
    for (const GroupKind kind : {GroupKind::cta, GroupKind::cluster, GroupKind::grid}) {
      EXPECT_FALSE(fit(neurons, kind).empty()) << neurons;
      for (const ResidentShape& shape : fit(neurons, kind)) EXPECT_TRUE(takes_bf16(shape.group.thread));
    }
  }
  EXPECT_TRUE(fit(128, GroupKind::cta).empty());
  EXPECT_EQ(fit(128, GroupKind::cluster).front().group.columns, 64);
  EXPECT_EQ(fit(1000, GroupKind::grid).front().group.thread, ThreadShape::rows_32x1);
  EXPECT_TRUE(fit(200, GroupKind::cluster).empty());
  EXPECT_EQ(reason,
            "no kernel for a bfloat16 tape has a block of 32 columns and 200 rows in 232448 bytes of shared "
            "memory");
}

// B decides between a launch per step, which takes all elements at once, and a grid, which takes them in
// waves. T decides between single launches and a graph.
TEST(CudaPlanner, UsesBatchAndSteps) {
  EXPECT_EQ(choose(768, h100, {1, 50}).execution(), Execution::grid);
  EXPECT_EQ(choose(768, h100, {64, 50}).execution(), Execution::graph);
  EXPECT_EQ(choose(128, h100, {1, 50}).shape().columns, 8);
  EXPECT_EQ(choose(128, h100, {64, 50}).shape().columns, 32);
  EXPECT_EQ(choose(4000, h100, {1, 1}).execution(), Execution::step);
  EXPECT_EQ(choose(4000, h100, {1, 50}).execution(), Execution::graph);
}

TEST(CudaPlanner, ChoosesTheSmallestEstimate) {
  std::mt19937_64 random(131);
  for (int trial = 0; trial < 300; ++trial) {
    Spec spec = testing::random_spec(random, 1 + static_cast<std::int64_t>(random() % 600), 40);
    const Sizes sizes{1 + static_cast<std::int64_t>(random() % 300),
                      static_cast<std::int64_t>(random() % 200)};
    const PlannerOptions options{.intervals = {1, 3, 8}, .constants = {}};
    const ExecutionChoice choice = choose_execution(spec, sizes, h100, options);
    const CostModel model(spec, sizes, h100, options.constants);
    int marked = 0;
    for (std::size_t k = 0; k < choice.candidates.size(); ++k) {
      const Candidate& candidate = choice.candidates[k];
      EXPECT_GT(candidate.estimate.forward, 0);
      EXPECT_GT(candidate.estimate.backward, 0);
      EXPECT_TRUE(std::isfinite(candidate.estimate.total()));
      for (const std::int64_t K : options.intervals) {
        Candidate other = candidate;
        other.interval = K;
        EXPECT_LE(candidate.estimate.total(), estimate_of(model, other).total());
      }
      const bool eighths = spec.cell == Cell::lstm && candidate.shape.group.columns == 8;
      if (!eighths && (candidate.execution != Execution::graph || sizes.T >= 4)) {
        EXPECT_LE(choice.chosen().estimate.total(), candidate.estimate.total());
      }
      EXPECT_FALSE(eighths && k == choice.index) << "other bits than in other executions";
      marked += describe(candidate, k == choice.index).ends_with(" (chosen)");
    }
    EXPECT_EQ(marked, 1);
  }
}

// Without a choice of bits, neither T nor B nor the interval matters, except between step and graph.
TEST(CudaPlanner, IgnoresStepsAndBatchIfBitsDiffer) {
  std::mt19937_64 random(130);
  for (const DeviceLimits& limits : {a100, h100, b200, rtx3050_laptop, one_multiprocessor}) {
    for (int trial = 0; trial < 100; ++trial) {
      const Spec spec = testing::random_spec(random, 1 + static_cast<std::int64_t>(random() % 1200), 40);
      const auto choose_for = [&](std::int64_t B, std::int64_t T) {
        return choose_execution(spec, {B, T, true}, limits,
                                {.intervals = {4}, .bits_differ = true, .constants = {}});
      };
      const ExecutionChoice choice = choose_for(1 + static_cast<std::int64_t>(random() % 5000),
                                                static_cast<std::int64_t>(random() % 300)),
                            single = choose_for(1, 1);
      EXPECT_EQ(choice.resident(), single.resident());
      EXPECT_EQ(choice.shape().columns, single.shape().columns);
      EXPECT_EQ(choice.shape().thread, single.shape().thread);
      if (choice.resident()) {
        EXPECT_EQ(choice.execution(), single.execution());
      }
    }
  }
}

TEST(CudaPlanner, RespectsLimits) {
  std::mt19937_64 random(132);
  for (const DeviceLimits& limits : {a100, h100, b200, rtx3050_laptop, one_multiprocessor}) {
    for (int trial = 0; trial < 200; ++trial) {
      const std::int64_t neurons = 1 + static_cast<std::int64_t>(random() % (trial % 3 == 0 ? 3000 : 300));
      const Spec spec = testing::random_spec(random, neurons, 1 + static_cast<std::int64_t>(random() % 900));
      const std::int64_t B = 1 + static_cast<std::int64_t>(random() % 5000),
                         T = static_cast<std::int64_t>(random() % 300);
      const ExecutionChoice choice =
          choose_execution(spec, {B, T, trial % 2 == 0}, limits, {.constants = {}});
      EXPECT_FALSE(describe(choice).empty());
      if (!choice.resident()) continue;
      const GroupShape& shape = choice.shape();
      EXPECT_GE(std::int64_t{shape.blocks} * shape.columns, neurons);
      EXPECT_GE(std::int64_t{shape.blocks} * shape.share(), spec.presynaptic());
      EXPECT_GE(shape.rows * shape.traits().row_groups(), spec.presynaptic());
      EXPECT_EQ(shape.tiles() * shape.tile_columns(), shape.columns);
      EXPECT_LE(shape.threads(),
                max_threads(shape.thread, form_of(spec.rule), spec.has_eligibility(), trial % 2 == 0));
      EXPECT_LE(choice.chosen().shape.forward_bytes, limits.shared_bytes);
      EXPECT_LE(choice.chosen().shape.backward_bytes, limits.shared_bytes);
      EXPECT_GE(choice.groups, 1);
      EXPECT_LE(choice.groups, B);
      if (choice.execution() == Execution::cluster) {
        EXPECT_LE(shape.blocks, limits.cluster_blocks);
      }
      if (choice.execution() == Execution::grid) {
        EXPECT_TRUE(limits.cooperative);
        EXPECT_LE(choice.groups * shape.blocks, limits.multiprocessors);
      }
    }
  }
}

// A tape of every step is read once. A segment between checkpoints is written and read, which is faster only
// if it stays in L2.
TEST(CudaPlanner, ChoosesTheInterval) {
  const auto interval = [](std::int64_t neurons, std::int64_t batch, std::int64_t memory,
                           const PlanOptions& changes = {}) {
    DeviceLimits limits = h100;
    limits.memory_bytes = memory;
    PlanOptions options = changes;
    options.steps = 50;
    options.batch = batch;
    options.execution = Execution::graph;
    const Spec spec = network_of(neurons);
    const auto bytes = [&](std::int64_t K) {
      return static_cast<std::size_t>(4 * batch * neurons * neurons * ((50 + K - 1) / K));
    };
    return choose_execution(spec, {batch, 50}, limits, planner_options(spec, options, limits, bytes))
        .interval();
  };
  EXPECT_EQ(interval(1024, 16, 80 * GiB), 1);
  EXPECT_EQ(interval(256, 64, 80 * GiB), 1);
  EXPECT_EQ(interval(1024, 16, 20 * GiB), 8);  // a sixteenth has room for 20 of 50 traces
  EXPECT_EQ(interval(1024, 16, 80 * GiB, {.checkpoint_interval = 5}), 5);
  EXPECT_EQ(interval(1024, 16, 80 * GiB, {.precision = Precision::bf16}), 1);
  EXPECT_EQ(interval(1024, 16, 80 * GiB, {.memory_budget = std::size_t{640} << 20}), 5);
}

// More rows than an int can count do not fit any block.
TEST(CudaPlanner, BillionsOfRowsDoNotFit) {
  for (const std::int64_t inputs :
       {std::int64_t{1} << 29, std::int64_t{1} << 30, (std::int64_t{1} << 32) + 1}) {
    const Spec spec{.cell = Cell::feedforward, .rule = Rule::oja, .inputs = inputs, .neurons = 2};
    EXPECT_FALSE(choose_execution(spec, {1, 8}, h100, {.constants = {}}).resident()) << inputs;
    EXPECT_THROW(choose_execution(spec, {1, 8}, h100, {.wanted = Execution::grid, .constants = {}}), Error)
        << inputs;
  }
}

TEST(CudaPlanner, NamesTheReasonWhyAnExecutionDoesNotFit) {
  const auto reason = [](std::int64_t neurons, const DeviceLimits& limits, Execution wanted) -> std::string {
    try {
      return describe(choose(neurons, limits, {1, 10}, wanted));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
      return error.what();
    }
  };
  const auto has = [](const std::string& line, const char* part) {
    EXPECT_NE(line.find(part), std::string::npos) << line;
  };
  has(reason(900, h100, Execution::cta),
      "options.execution: expected one that fits spec and device, got cta (no kernel has a block of 928 "
      "columns");
  has(reason(300, h100, Execution::cta), "320 columns and 300 rows in 232448 bytes of shared memory");
  has(reason(64, a100, Execution::cluster), "no room for clusters");
  has(reason(64, {16, 101376, 0, false}, Execution::grid), "no room for cooperative launches");
  has(reason(200, a100, Execution::automatic),
      "(not cta: no kernel has a block of 224 columns and 200 rows in");
  has(reason(64, h100, Execution::step), "step");
  // An explicit execution that fits is chosen, even if another would be preferred.
  EXPECT_EQ(choose(64, h100, {1, 1}, Execution::grid).execution(), Execution::grid);
  EXPECT_EQ(choose(64, h100, {1, 1}, Execution::cluster).execution(), Execution::cluster);
  EXPECT_EQ(choose(128, h100, {1, 1}, Execution::cta).execution(), Execution::cta);
  EXPECT_EQ(choose(64, h100, {1, 1}, Execution::graph).execution(), Execution::graph);
}

}  // namespace
}  // namespace plasticity::cuda
