// The cuBLAS baseline by the executor: it must be right to be compared with.
#include "bench/baseline/cublas.hpp"

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include "bench/baseline/sequence.hpp"
#include "bench/case_tensors.hpp"

namespace plasticity::bench {
namespace {

TEST(CublasBaseline, GradientsAndOutputsAreThoseOfTheReference) {
  int known = 0;
  for (const Cell cell : {Cell::rnn, Cell::lstm}) {
    for (const Rule rule : {Rule::decay, Rule::hard_clip}) {
      for (const Rate rate : {Rate::fixed, Rate::modulated, Rate::fan_out}) {
        for (const Granularity alpha : {Granularity::scalar, Granularity::post, Granularity::connection}) {
          Case c;
          c.spec = {.cell = cell, .rule = rule, .rate = rate, .alpha = alpha, .inputs = 3, .neurons = 7};
          c.spec.clip = .05;  // so that both sides of the clip occur
          c.batch = 2;
          ASSERT_TRUE(baseline::knows(c.spec));
          CaseTensors<float> problem(c, checked_steps,
                                     Device::cpu(1));  // the executor takes the host's memory
          baseline::CublasSequence sequence(c.spec, checked_steps, c.batch);
          sequence.forward(problem.forward);
          sequence.backward(problem.backward);
          cudaDeviceSynchronize();
          const std::vector<std::string> all{"y", "modulation", "final.", "grad."};
          const Check check = compare(problem, checked_elements(c.batch), all);
          EXPECT_TRUE(check.passed()) << to_string(c.spec) << ": " << check.tensor << " " << check.error;
          ++known;
        }
      }
    }
  }
  EXPECT_EQ(known, 36);
}

}  // namespace
}  // namespace plasticity::bench
