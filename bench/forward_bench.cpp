// Plan::forward over whole sequences, recording for backward.
#include "sequence.hpp"

namespace plasticity::bench {
namespace {

template <class Real>
Work prepare(const Case& c, Device device) {
  auto run = std::make_shared<SequenceRun<Real>>(c, c.steps, device);
  return [run] { run->forward(); };
}

const bool added =
    add_operation({.name = "forward",
                   .contender = "plasticity",
                   .applies = [](const Case&, Device) { return true; },
                   .check =
                       [](const Case& c, Device d) {
                         return c.precision == Precision::f64 ? check_sequence<double>(c, d, false)
                                                              : check_sequence<float>(c, d, false);
                       },
                   .prepare =
                       [](const Case& c, Device d) {
                         return c.precision == Precision::f64 ? prepare<double>(c, d) : prepare<float>(c, d);
                       },
                   .cost = [](const Case& c, Device d) { return forward_cost(c, c.steps, d); },
                   .steps = [](const Case& c) { return c.steps; }});

}  // namespace
}  // namespace plasticity::bench
