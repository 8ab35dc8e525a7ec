#pragma once

#include <gtest/gtest.h>

#include "plasticity/reference.hpp"
#include "problems/random_problem.hpp"

// The results of a test case, and comparisons between them.
namespace plasticity::testing {

/// Copies of the outputs and gradients of Buffers, by the same names.
template <class Real>
struct Answers {
  std::map<std::string, std::vector<Real>> outputs, gradients;
  bool operator==(const Answers&) const = default;
};

template <class Real>
Answers<Real> answers_in(const Buffers<Real>& buffers) {
  return {buffers.outputs, buffers.gradients};
}

/// Returns the results of the reference, computed in `Real`.
template <class Real>
Answers<Real> reference_answers(const TestCase& problem) {
  Buffers<Real> buffers(problem);
  reference::forward(problem.spec, problem.steps, problem.batch, buffers.forward);
  reference::backward(problem.spec, problem.steps, problem.batch, buffers.backward);
  return answers_in(buffers);
}

/// Returns the error of the reference in float. It measures how ill-conditioned the test case is.
inline double inherent_error(const TestCase& problem, const Answers<double>& want) {
  const Answers<float> single = reference_answers<float>(problem);
  return std::max(worst(single.outputs, want.outputs).first, worst(single.gradients, want.gradients).first);
}

template <class Real>
void expect_close(const TestCase& problem, const Answers<Real>& got, const Answers<double>& want,
                  double tolerance) {
  const auto [output_error, output] = worst(got.outputs, want.outputs);
  const auto [gradient_error, gradient] = worst(got.gradients, want.gradients);
  EXPECT_LT(output_error, tolerance) << output << " of " << problem.name();
  EXPECT_LT(gradient_error, tolerance) << "gradient of " << gradient << " of " << problem.name();
}

/// Checks that the results of alone(problem, b) have the same bits as those of element b in `batch`.
/// Gradients of parameters are ignored: they are sums over the batch.
inline void expect_same_alone(const TestCase& problem, const Answers<float>& batch, std::int64_t b,
                              const Answers<float>& single) {
  const auto expect_rows = [&](const std::string& name, const std::vector<float>& all,
                               const std::vector<float>& own) {
    const std::int64_t rows = name.starts_with("state.") ? 1 : problem.steps;
    const std::int64_t columns = static_cast<std::int64_t>(own.size()) / rows;
    for (std::int64_t t = 0; t < rows; ++t) {
      for (std::int64_t k = 0; k < columns; ++k) {
        ASSERT_EQ(all[static_cast<std::size_t>((t * problem.batch + b) * columns + k)],
                  own[static_cast<std::size_t>(t * columns + k)])
            << name << " of " << problem.name();
      }
    }
  };
  for (const auto& [name, values] : single.outputs) expect_rows(name, batch.outputs.at(name), values);
  for (const auto& [name, values] : single.gradients) {
    if (!name.starts_with("param.")) expect_rows(name, batch.gradients.at(name), values);
  }
}

}  // namespace plasticity::testing
