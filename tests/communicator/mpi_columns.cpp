// The program that mpirun starts to test ColumnPlan: random cells with their columns on all ranks, against
// the reference. Each rank compares its own columns. A rank with an error prints it and ends all.
#include <cstdio>
#include <stdexcept>

#include "communicator/column_cases.hpp"

namespace {

using namespace plasticity;
using namespace plasticity::testing;

/// Returns this rank's columns of the reference's results.
Answers<double> own_columns(const TestCase& problem, const Answers<double>& whole, ColumnSlice columns) {
  Answers<double> own = whole;
  for (auto* group : {&own.outputs, &own.gradients}) {
    for (auto& [name, values] : *group)
      if (has_columns(problem.spec, name)) values = columns_in(values, problem.spec.neurons, columns);
  }
  return own;
}

void compare(const TestCase& problem, Communicator& communicator) {
  const ColumnSlice columns = columns_of(communicator, problem.spec.neurons);
  const TestCase part = rank_case(problem, columns);
  Buffers<double> buffers(part);
  if (!run_rank(problem, communicator, buffers, {}))
    throw std::runtime_error("wrote beyond its memory: " + problem.name());
  const Answers<double> want = own_columns(problem, reference_answers<double>(problem), columns);
  const auto [output_error, output] = worst(buffers.outputs, want.outputs);
  const auto [gradient_error, gradient] = worst(buffers.gradients, want.gradients);
  if (output_error > 1e-11) throw std::runtime_error("wrong: " + output + " of " + problem.name());
  if (gradient_error > 1e-11)
    throw std::runtime_error("wrong: gradient of " + gradient + " of " + problem.name());
}

}  // namespace

int main() {
  std::unique_ptr<Communicator> communicator;
  try {
    communicator = mpi_communicator();
    std::mt19937_64 random(72);
    int cases = 0;
    for (const Spec& spec : every_mix(random, 11, 5)) {
      compare(make_test_case(spec, 6, 2, random(), random_masks(random)), *communicator);
      ++cases;
    }
    if (communicator->rank() == 0) std::printf("%d cells agree on %d ranks\n", cases, communicator->size());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    if (communicator != nullptr) communicator->abort(1);
    return 1;
  }
}
