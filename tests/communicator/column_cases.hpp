#pragma once

#include "plasticity/column_plan.hpp"
#include "problems/answers.hpp"
#include "problems/plan_runner.hpp"

// Test cases whose columns are distributed over ranks.
namespace plasticity::testing {

/// Whether a tensor of a test case has an axis of postsynaptic neurons.
inline bool has_columns(const Spec& spec, const std::string& name) {
  if (name == "param.alpha") return spec.alpha != Granularity::scalar;
  return name != "param.eta" && name != "param.modulator.bias" && name != "input.x" && name != "input.pre" &&
         name != "modulation";
}

/// Copies the columns of a [rows,N] tensor.
template <class T>
std::vector<T> columns_in(const std::vector<T>& whole, std::int64_t N, ColumnSlice columns) {
  std::vector<T> slice;
  for (auto row = whole.begin(); row != whole.end(); row += N)
    slice.insert(slice.end(), row + columns.first, row + columns.first + columns.count);
  return slice;
}

/// Returns the part of a test case that a rank passes to ColumnPlan. Its spec has the number of columns as
/// `neurons`.
inline TestCase rank_case(const TestCase& problem, ColumnSlice columns) {
  TestCase part = problem;
  const std::int64_t N = problem.spec.neurons;
  part.spec.neurons = columns.count;
  for (auto* group : {&part.inputs, &part.upstream}) {
    for (auto& [name, values] : *group)
      if (has_columns(problem.spec, name)) values = columns_in(values, N, columns);
  }
  part.clamp = columns_in(problem.clamp, N, columns);
  return part;
}

/// Runs a rank's part of a test case forward and backward. Returns whether all canaries are intact.
template <class Real>
bool run_rank(const TestCase& problem, Communicator& communicator, Buffers<Real>& buffers,
              const RunOptions& options) {
  ColumnPlan plan(problem.spec,
                  {.steps = problem.steps,
                   .batch = problem.batch,
                   .device = options.device,
                   .precision = sizeof(Real) == 8 ? Precision::f64 : options.precision,
                   .checkpoint_interval = options.checkpoint_interval},
                  communicator);
  const GuardedMemory tape(plan.tape_bytes()), scratch(plan.scratch_bytes()), other(plan.scratch_bytes());
  plan.forward(buffers.forward, tape.as<Tape>(), scratch.as<Scratch>());
  plan.backward(buffers.backward, tape.as<Tape>(), other.as<Scratch>());
  return tape.intact() && scratch.intact() && other.intact();
}

/// Writes a rank's results to those of the whole cell. Returns false if a tensor without columns differs from
/// that of an earlier rank.
template <class Real>
bool add_rank(const TestCase& problem, ColumnSlice columns, const Answers<Real>& part, Answers<Real>& whole) {
  const std::int64_t N = problem.spec.neurons;
  bool agrees = true;
  const auto add = [&](const auto& of_rank, auto& all) {
    for (const auto& [name, values] : of_rank) {
      if (!has_columns(problem.spec, name)) {
        const auto [found, is_new] = all.emplace(name, values);
        agrees &= is_new || found->second == values;
        continue;
      }
      std::vector<Real>& to = all[name];
      if (columns.count == 0) continue;
      const auto rows = static_cast<std::int64_t>(values.size()) / columns.count;
      to.resize(static_cast<std::size_t>(rows * N));
      for (std::int64_t row = 0; row < rows; ++row)
        std::copy_n(values.begin() + row * columns.count, columns.count,
                    to.begin() + row * N + columns.first);
    }
  };
  add(part.outputs, whole.outputs);
  add(part.gradients, whole.gradients);
  return agrees;
}

}  // namespace plasticity::testing
