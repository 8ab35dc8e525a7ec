#pragma once

#include <gtest/gtest.h>

#include "plasticity/reference.hpp"
#include "problems/plan_runner.hpp"

// The reference and a CPU plan in double, for typed tests of properties that both must have.
namespace plasticity::testing {

struct Reference {
  static void run(const TestCase& problem, Buffers<double>& buffers) {
    reference::forward(problem.spec, problem.steps, problem.batch, buffers.forward);
    reference::backward(problem.spec, problem.steps, problem.batch, buffers.backward);
  }
};

struct CpuPlan {
  static void run(const TestCase& problem, Buffers<double>& buffers) {
    EXPECT_TRUE(run_plan(problem, buffers, {.device = Device::cpu(2)})) << "canary of " << problem.name();
  }
};

using Implementations = ::testing::Types<Reference, CpuPlan>;

}  // namespace plasticity::testing
