// The planner, with the limits of devices as data: no device is needed.
#include "cuda/planner.hpp"

#include <gtest/gtest.h>

#include "plasticity/error.hpp"
#include "problems/random_problem.hpp"
#include "rules/columns.hpp"

namespace plasticity::cuda {
namespace {

// Multiprocessors, bytes of shared memory a block, blocks a cluster, cooperative launches.
constexpr DeviceLimits a100{108, 166912, 0, true}, h100{132, 232448, 16, true}, b200{148, 232448, 16, true},
    rtx3050_laptop{16, 101376, 0, true};

ExecutionChoice choose(std::int64_t neurons, const DeviceLimits& limits, Sizes sizes = {30, 100},
                       Execution wanted = Execution::automatic) {
  return choose_execution({.cell = Cell::rnn, .rule = Rule::hard_clip, .neurons = neurons}, sizes, limits,
                          wanted);
}

TEST(CudaPlanner, ChoosesBySizeAndDevice) {
  struct Expected {
    std::int64_t neurons;
    Execution on_a100, on_h100, on_b200, on_rtx3050_laptop;
  };
  using enum Execution;
  for (const Expected& e :
       {Expected{1, cta, cta, cta, cta}, Expected{64, cta, cta, cta, cta}, Expected{100, cta, cta, cta, grid},
        Expected{128, grid, cluster, cluster, grid}, Expected{200, grid, cluster, cluster, grid},
        Expected{512, grid, cluster, cluster, grid}, Expected{1000, graph, grid, grid, graph},
        Expected{4000, graph, graph, graph, graph}}) {
    EXPECT_EQ(choose(e.neurons, a100).execution, e.on_a100) << e.neurons;
    EXPECT_EQ(choose(e.neurons, h100).execution, e.on_h100) << e.neurons;
    EXPECT_EQ(choose(e.neurons, b200).execution, e.on_b200) << e.neurons;
    EXPECT_EQ(choose(e.neurons, rtx3050_laptop).execution, e.on_rtx3050_laptop) << e.neurons;
  }
}

TEST(CudaPlanner, DistributesTheColumns) {
  const ExecutionChoice small = choose(64, h100);
  EXPECT_EQ(small.shape.blocks, 1);
  EXPECT_EQ(small.shape.threads(), 256);
  EXPECT_TRUE(small.shape.traits().in_registers);
  EXPECT_EQ(small.groups, 30);
  const ExecutionChoice middle = choose(200, h100);
  EXPECT_EQ(middle.shape.blocks, 4);
  EXPECT_EQ(middle.shape.columns, 64);
  EXPECT_TRUE(middle.shape.traits().in_registers);
  const ExecutionChoice whole = choose(1000, h100, {1, 106});
  EXPECT_EQ(whole.shape.blocks, 125);
  EXPECT_EQ(whole.shape.columns, 8);
  EXPECT_EQ(whole.groups, 1);
  EXPECT_EQ(choose(200, rtx3050_laptop).groups, 2);  // 7 of 16 multiprocessors each
}

// The execution does not depend on T and B, and the shape respects the device's limits.
TEST(CudaPlanner, IgnoresStepsAndBatchAndRespectsLimits) {
  std::mt19937_64 random(130);
  for (const DeviceLimits& limits : {a100, h100, b200, rtx3050_laptop, DeviceLimits{1, 49152, 0, false}}) {
    for (int trial = 0; trial < 400; ++trial) {
      const std::int64_t neurons = 1 + static_cast<std::int64_t>(random() % (trial % 3 == 0 ? 3000 : 300));
      const Spec spec = testing::random_spec(random, neurons, 1 + static_cast<std::int64_t>(random() % 900));
      const std::int64_t B = 1 + static_cast<std::int64_t>(random() % 5000),
                         T = static_cast<std::int64_t>(random() % 300);
      const ExecutionChoice choice = choose_execution(spec, {B, T}, limits, Execution::automatic);
      const ExecutionChoice single = choose_execution(spec, {1, 1}, limits, Execution::automatic);
      EXPECT_EQ(choice.resident(), single.resident());
      EXPECT_FALSE(describe(choice).empty());
      if (!choice.resident()) {
        EXPECT_EQ(choice.execution, T >= 4 ? Execution::graph : Execution::step);
        EXPECT_FALSE(choice.reasons.empty());
        continue;
      }
      const GroupShape& shape = choice.shape;
      EXPECT_EQ(choice.execution, single.execution);
      EXPECT_EQ(shape.blocks, single.shape.blocks);
      EXPECT_EQ(shape.columns, single.shape.columns);
      EXPECT_EQ(shape.threads(), single.shape.threads());
      EXPECT_GE(std::int64_t{shape.blocks} * shape.columns, neurons);
      EXPECT_GE(std::int64_t{shape.blocks} * shape.share(), spec.presynaptic());
      EXPECT_GE(shape.rows * shape.traits().row_groups(), spec.presynaptic());
      EXPECT_EQ(shape.tiles() * shape.tile_columns(), shape.columns);
      EXPECT_LE(shape.threads(), max_threads(shape.thread, form_of(spec.rule), spec.has_eligibility()));
      EXPECT_LE(choice.forward_bytes, limits.shared_bytes);
      EXPECT_LE(choice.backward_bytes, limits.shared_bytes);
      EXPECT_GE(choice.groups, 1);
      EXPECT_LE(choice.groups, B);
      if (choice.execution == Execution::cluster) {
        EXPECT_LE(shape.blocks, limits.cluster_blocks);
      }
      if (choice.execution == Execution::grid) {
        EXPECT_TRUE(limits.cooperative);
        EXPECT_LE(choice.groups * shape.blocks, limits.multiprocessors);
      }
    }
  }
}

// More rows than an int can count do not fit any block.
TEST(CudaPlanner, BillionsOfRowsDoNotFit) {
  for (const std::int64_t inputs :
       {std::int64_t{1} << 29, std::int64_t{1} << 30, (std::int64_t{1} << 32) + 1}) {
    const Spec spec{.cell = Cell::feedforward, .rule = Rule::oja, .inputs = inputs, .neurons = 2};
    EXPECT_FALSE(choose_execution(spec, {1, 8}, h100, Execution::automatic).resident()) << inputs;
    EXPECT_THROW(choose_execution(spec, {1, 8}, h100, Execution::grid), Error) << inputs;
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
      "options.execution: expected one that fits spec and device, got cta (a block of 928 columns");
  has(reason(300, h100, Execution::cta), "needs more than the 232448 bytes of shared memory");
  has(reason(64, a100, Execution::cluster), "no room for clusters");
  has(reason(64, {16, 101376, 0, false}, Execution::grid), "no room for cooperative launches");
  has(reason(200, a100, Execution::automatic), "grid: 7 blocks of 32 columns");
  has(reason(200, a100, Execution::automatic),
      "(not cta: a block of 224 columns and 200 rows has too many threads, or needs more than");
  has(reason(128, h100, Execution::automatic), "(not cta: a block would have 16384 connections)");
  has(reason(64, h100, Execution::step), "step");
  // An explicit execution that fits is chosen, even if another would be preferred.
  EXPECT_EQ(choose(64, h100, {1, 1}, Execution::grid).execution, Execution::grid);
  EXPECT_EQ(choose(64, h100, {1, 1}, Execution::cluster).execution, Execution::cluster);
  EXPECT_EQ(choose(128, h100, {1, 1}, Execution::cta).execution, Execution::cta);
  EXPECT_EQ(choose(64, h100, {1, 1}, Execution::graph).execution, Execution::graph);
}

}  // namespace
}  // namespace plasticity::cuda
