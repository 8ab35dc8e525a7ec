#pragma once

#include "cpu/cell.hpp"
#include "cpu/cpu_plan.hpp"
#include "cpu/threads/parallel.hpp"

namespace plasticity::cpu {

/// One backward pass. First it runs every batch element (backward.cpp), then it adds the gradients that sum
/// over elements (gradients.cpp).
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::BackwardPass {
  const CpuPlan& plan;
  const BackwardArgs<Real>& args;
  Tape tape;
  std::byte* spaces;  // plan.elements_per_pass() BackwardSpaces per slot
  std::size_t space_bytes;
  std::byte* sums;  // ElementSums: one per group, then plan.levels_in_group() per slot
  std::size_t sums_bytes;
  Real* da;                      // [B,T,gates,N] gradients of the currents
  const Real* w_in_transposed;   // [gates,N,I] if dx is not null
  const Real* gates_transposed;  // [3,N,N] lstm
  const Real* zeros;             // [max(P,N)], or [P,N] with resets
  SweepParams<Real> params;
  bool alpha_per_connection;  // whether the gradient of alpha is wanted, and is a matrix

  // Sizes have the names of the equations. S is the padded N.
  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), B = plan.options_.batch,
                     T = plan.options_.steps, S = padded<Real>(N);
  const std::int64_t width = spec.gates() * S;
  const bool lstm = spec.cell == Cell::lstm, eligible = spec.has_eligibility();
  const bool adds_alpha_last = alpha_per_connection && plan.adds_alpha_last();

  struct Element;  // backward_element.hpp

  ElementSums<Real> sums_at(std::int64_t index) const {
    StaggeredArena arena(sums + static_cast<std::size_t>(index) * sums_bytes);
    return ElementSums<Real>(spec, alpha_per_connection, arena);
  }
  std::int64_t length_of(std::int64_t b) const {
    return args.masks.length == nullptr ? T : args.masks.length[b];
  }
  bool resets(std::int64_t t, std::int64_t b) const {
    return args.masks.reset != nullptr && args.masks.reset[t * B + b] != 0;
  }
  Real* da_of(std::int64_t t, std::int64_t b) const { return da + (b * T + t) * width; }
  /// The gradient of the plastic gate's current.
  Real* plastic_da_of(std::int64_t t, std::int64_t b) const { return da_of(t, b) + (lstm ? 2 * S : 0); }

  /// Presynaptic activity of step t. Zero after a reset.
  const Real* pre_of(const TapeElement<Real, Trace>& record, std::int64_t t, std::int64_t b) const {
    if (!spec.is_recurrent()) return args.inputs.pre + (t * B + b) * P;
    if (resets(t, b)) return zeros;
    return t == 0 ? record.y0 : record.output + (t - 1) * S;
  }

  /// Runs a group. Writes its sums to sums_at(group).
  void run_group(std::int64_t group, std::int64_t slot, Team& team) const;
  /// Runs the elements of a subtree. Writes their sums to sums_at(index), and uses sums_at(more) and the
  /// following.
  void run_tree(ItemRange range, std::int64_t index, std::int64_t more, std::int64_t slot, Team& team) const;
  /// Runs elements first .. first+count-1 together, step by step. Writes the sums of element k to `to[k]`.
  void run(std::int64_t first, std::int64_t count, std::int64_t slot, const ElementSums<Real>* to,
           Team& team) const;
  /// Runs all elements together, see backward_by_step(). Writes the sums of element b to sums_at(b).
  void run_by_step(StepCall before_step, ColumnTotals sum, Team& team) const;
  /// Gradients of w, w_gates, w_in and b: sums over all steps and elements.
  void weight_gradients(const StepList<Real>& list) const;
  /// Adds the sums of the groups to the gradients.
  void group_gradients() const;

 private:
  /// The element b, whose working memory is space `space`. Writes its sums to `to`.
  Element element(std::int64_t b, std::int64_t space, const ElementSums<Real>& to, Team& team) const;
  void finish(Element& element) const;
  /// Replaces the sums of a scalar parameter per column by their sum over the columns.
  void add_columns(const ElementSums<Real>& of) const;
};

}  // namespace plasticity::cpu
