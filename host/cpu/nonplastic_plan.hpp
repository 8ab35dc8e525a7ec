#pragma once

#include "base/arena.hpp"
#include "cpu/sweeps/cell_functions.hpp"
#include "cpu/sweeps/products.hpp"
#include "cpu/weight_gradients.hpp"
#include "plan/backend.hpp"

namespace plasticity::cpu {

/// The CPU backend of cells without a plastic part (Granularity::none). There are no traces: the read is a
/// product with w. Groups of batch elements run their whole sequences in parallel. The tape stores the
/// vectors of every step, so nothing is recomputed.
template <class Real>
class NonplasticPlan final : public TypedBackend<Real> {
 public:
  NonplasticPlan(const Spec& spec, const PlanOptions& options);

  std::int64_t checkpoint_interval() const override { return 1; }
  std::size_t tape_bytes() const override { return tape_bytes_; }
  std::size_t scratch_bytes() const override { return scratch_bytes_; }
  std::size_t step_state_bytes() const override { return step_state_bytes_; }

  void enqueue_forward(Stream, const ForwardArgs<Real>& args, Tape tape, Scratch scratch) const override;
  void enqueue_backward(Stream, const BackwardArgs<Real>& args, Tape tape, Scratch scratch) const override;
  void enqueue_load(Stream, const State<const Real>& state, StepState step_state) const override;
  void enqueue_step(Stream, const StepArgs<Real>& args, StepState step_state, Scratch scratch) const override;
  void enqueue_store(Stream, const State<Real>& state, StepState step_state) const override;

 private:
  /// The vectors of `slots` steps of all batch elements, in padded rows. Tensors that the cell does not use
  /// have no elements.
  struct Record {
    std::int64_t slots;
    Real* y0;         // [B,N] initial output
    Real* c0;         // [B,N] lstm
    Real* output;     // [slots,B,N] y; lstm: h
    Real* post;       // [slots,B,N] after the clamp; aliases `output` except in an lstm
    Real* unclamped;  // [slots,B,N] softmax before the clamp; aliases `post` for other activations
    Real* c;          // [slots,B,N] lstm
    Real* gates;      // [slots,B,3,N] lstm

    Record(const NonplasticPlan& plan, std::int64_t count, Arena& arena);
  };
  struct ForwardScratch {
    Record record;   // of a pass without a tape
    Real* currents;  // [B,gates,N]
    Real* zeros;     // [N]

    ForwardScratch(const NonplasticPlan& plan, Arena& arena);
  };
  struct BackwardScratch {
    Real* da;                    // [B,T,gates,N]
    Real *doutput, *dc, *dpost;  // [B,N]
    Real* dx;                    // [B,max(P,N)]
    Real* w_transposed;          // [N,P]
    Real* gates_transposed;      // [3,N,N] lstm
    Real* w_in_transposed;       // [gates,N,I]
    Real* zeros;                 // [max(P,N)]
    StepList<Real> list;

    BackwardScratch(const NonplasticPlan& plan, Arena& arena);
  };
  struct Backward;

  void forward_steps(std::int64_t steps, const ForwardArgs<Real>& args, const Record& record,
                     const ForwardScratch& scratch) const;
  void run_group(std::int64_t steps, const ForwardArgs<Real>& args, const Record& record,
                 const ForwardScratch& scratch, std::int64_t first, std::int64_t last) const;
  void input_currents(const ForwardArgs<Real>& args, std::int64_t t, std::int64_t b, Real* currents) const;
  State<Real> state_in(StepState step_state) const;
  Record on_tape(Tape tape) const;

  Spec spec_;
  PlanOptions options_;
  const CellFunctions<Real>& cell_functions_;
  const Products<Real>& products_;
  std::size_t tape_bytes_, scratch_bytes_, step_state_bytes_;
};

}  // namespace plasticity::cpu
