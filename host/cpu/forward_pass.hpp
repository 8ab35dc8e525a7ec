#pragma once

#include <vector>

#include "cpu/cpu_plan.hpp"

namespace plasticity::cpu {

/// One forward pass. It runs every batch element (forward.cpp).
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::ForwardPass {
  const CpuPlan& plan;
  const ForwardArgs<Real>& args;
  Tape tape;
  std::byte* spaces;  // elements_together ForwardSpaces per slot
  std::size_t space_bytes;
  SweepParams<Real> params;

  // Sizes have the names of the equations. S is the padded N.
  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), B = plan.options_.batch,
                     T = plan.options_.steps, S = padded<Real>(N);
  const std::int64_t width = spec.gates() * S;
  const bool lstm = spec.cell == Cell::lstm, eligible = spec.has_eligibility();
  const bool records = tape.data != nullptr;

  struct Element;  // forward_element.hpp

  /// Runs elements first .. first+count-1 together, step by step.
  void run(std::int64_t first, std::int64_t count, std::int64_t slot, Team& team) const;
  /// Runs all elements together, see forward_by_step().
  void run_by_step(StepCall after_outputs, ColumnTotals max, ColumnTotals sum, Team& team) const;

 private:
  /// Softmax of step t over the columns of all plans.
  void normalise(std::int64_t t, std::vector<Element>& elements, ColumnTotals max, ColumnTotals sum) const;
  /// The element b, whose working memory is space `space`.
  Element element(std::int64_t b, std::int64_t space) const;
};

}  // namespace plasticity::cpu
