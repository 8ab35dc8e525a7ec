#include "cost.hpp"

#include <algorithm>

namespace plasticity::bench {
namespace {

struct Sizes {
  double real;      // bytes per number
  double entries;   // P N
  double weights;   // number of [P,N] matrices read per step
  double traces;    // Hebbian and eligibility
  double elements;  // batch elements in progress at the same time
};

Sizes sizes(const Case& c, Device device) {
  const Spec& spec = c.spec;
  const auto N = static_cast<double>(spec.neurons), P = static_cast<double>(spec.presynaptic());
  const double gates = spec.cell == Cell::lstm ? 3 * N * N : 0;
  const double alpha = spec.alpha == Granularity::connection ? P * N : 0;
  // A CPU thread runs one batch element through all steps. A GPU runs the whole batch at each step.
  const double together = device.kind() == DeviceKind::cpu
                              ? static_cast<double>(std::min<std::int64_t>(c.batch, device.threads()))
                              : static_cast<double>(c.batch);
  return {c.precision == Precision::f64 ? 8.0 : 4.0, P * N, P * N + alpha + gates,
          spec.has_eligibility() ? 2.0 : 1.0, together};
}

/// Operations per entry for a trace update, and for its adjoint.
double update_flops(Rule rule) {
  switch (rule) {
    case Rule::additive: return 2;
    case Rule::decay: return 3;
    case Rule::oja: return 3;
    case Rule::hard_clip: return 4;
    case Rule::read_clip: return 4;
    case Rule::soft_clip: return 8;
  }
  return 0;
}

Cost cost(const Case& c, std::int64_t steps, Device device, double passes, double flops, double copies) {
  const Sizes s = sizes(c, device);
  const auto B = static_cast<double>(c.batch), T = static_cast<double>(steps);
  return {T * s.real * (B * passes * s.traces * s.entries + s.weights), T * B * s.entries * flops,
          static_cast<std::size_t>(s.real * (s.elements * copies * s.traces * s.entries + s.weights))};
}

}  // namespace

Cost forward_cost(const Case& c, std::int64_t steps, Device device) {
  const double gates = c.spec.cell == Cell::lstm ? 6 : 0;
  // The plastic read: two multiplications and two additions.
  return cost(c, steps, device, 2, 4 + update_flops(c.spec.rule) + gates, 1);
}

Cost backward_cost(const Case& c, std::int64_t steps, Device device) {
  const double gates = c.spec.cell == Cell::lstm ? 12 : 0;
  // The sums of dx, dy and drate: 6. The adjoint of the read with dw and dalpha: 10.
  return cost(c, steps, device, 3, 16 + update_flops(c.spec.rule) + gates, 2);
}

Cost adam_cost(const Case& c) {
  double elements = 0;
  for (const auto& member : Parameters<float>::members()) {
    const auto shape = parameter_shape(c.spec, member.name);
    if (shape) elements += static_cast<double>(shape->elements());
  }
  return {elements * 7 * 4, elements * 12, static_cast<std::size_t>(elements * 16)};
}

}  // namespace plasticity::bench
