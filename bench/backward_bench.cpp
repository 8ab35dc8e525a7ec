// Plan::backward over whole sequences with all gradients, from the tape of a forward call. The parameter
// gradients accumulate from call to call, as in training.
#include "sequence.hpp"

namespace plasticity::bench {
namespace {

template <class Real>
Work prepare(const Case& c, Device device) {
  auto run = std::make_shared<SequenceRun<Real>>(c, c.steps, device);
  run->forward();
  return [run] { run->backward(); };
}

const bool added =
    add_operation({.name = "backward",
                   .contender = "plasticity",
                   .applies = [](const Case&, Device) { return true; },
                   .check =
                       [](const Case& c, Device d) {
                         return c.precision == Precision::f64 ? check_sequence<double>(c, d, true)
                                                              : check_sequence<float>(c, d, true);
                       },
                   .prepare =
                       [](const Case& c, Device d) {
                         return c.precision == Precision::f64 ? prepare<double>(c, d) : prepare<float>(c, d);
                       },
                   .cost = [](const Case& c, Device d) { return backward_cost(c, c.steps, d); },
                   .steps = [](const Case& c) { return c.steps; }});

}  // namespace
}  // namespace plasticity::bench
