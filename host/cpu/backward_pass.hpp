#pragma once

#include "cpu/cell.hpp"
#include "cpu/cpu_plan.hpp"
#include "cpu/threads/parallel.hpp"

namespace plasticity::cpu {

/// A backward pass under way: first every batch element on its own (backward.cpp), then what is summed over
/// all of them (gradients.cpp).
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::BackwardPass {
  const CpuPlan& plan;
  const BackwardArgs<Real>& args;
  Tape tape;
  std::byte* spaces;  // plan.together() BackwardSpaces for each slot
  std::size_t space_bytes;
  std::byte* sums;  // one GroupSums for each group
  std::size_t sums_bytes;
  Real* da;                      // [B,T,gates,N] gradients of the currents
  const Real* w_in_transposed;   // [gates,N,I], where there is a projection
  const Real* gates_transposed;  // [3,N,N], in an lstm
  const Real* zeros;             // [max(P,N)]; where there are resets [P,N]
  Connection<Real> connection;

  // Sizes under the names of the equations; S is N padded.
  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), B = plan.options_.batch,
                     T = plan.options_.steps, S = padded<Real>(N);
  const std::int64_t width = spec.gates() * S;
  const bool lstm = spec.cell == Cell::lstm, eligible = spec.has_eligibility();

  struct Element;  // one batch element on its way back (backward_element.hpp)

  GroupSums<Real> sums_of(std::int64_t group) const {
    StaggeredArena arena(sums + static_cast<std::size_t>(group) * sums_bytes);
    return GroupSums<Real>(spec, arena);
  }
  std::int64_t length_of(std::int64_t b) const {
    return args.masks.length == nullptr ? T : args.masks.length[b];
  }
  bool resets(std::int64_t t, std::int64_t b) const {
    return args.masks.reset != nullptr && args.masks.reset[t * B + b] != 0;
  }
  Real* da_of(std::int64_t t, std::int64_t b) const { return da + (b * T + t) * width; }

  /// The presynaptic activity of step t; `zeros` is what a reset leaves of it.
  const Real* pre_of(const TapeElement<Real, Trace>& record, std::int64_t t, std::int64_t b) const {
    if (!spec.is_recurrent()) return args.inputs.pre + (t * B + b) * P;
    if (resets(t, b)) return zeros;
    return t == 0 ? record.y0 : record.out + (t - 1) * S;
  }

  /// Elements first .. first+count-1, step by step together.
  void run(std::int64_t first, std::int64_t count, std::int64_t slot, const GroupSums<Real>& group,
           Team& team) const;
  void gate_adjoint(int elements, const Real** da_rows, Real* const* dx_rows, Columns columns) const;
  /// dx = da W_in^T, or du = da; zero beyond the length.
  void input_gradients(std::int64_t b) const;
  /// What is summed over all steps at once: the dense weights and the bias.
  void weight_gradients(const Real** left, const Real** right) const;
  /// Adds up the groups' sums in their order.
  void group_gradients() const;

 private:
  void weight_gradient(Real* c, std::int64_t rows, std::int64_t ldc, std::int64_t first_column,
                       const Real* const* left, const Real* const* right, std::int64_t count) const;
};

}  // namespace plasticity::cpu
