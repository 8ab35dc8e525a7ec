#pragma once

#include <cstddef>
#include <cstdint>

#include "communicator/columns.hpp"
#include "cpu/cpu_plan.hpp"
#include "cpu/gates.hpp"

namespace plasticity {

/// The implementation of a ColumnPlan for one type. ColumnPlan checks all arguments before it calls it.
class ColumnBackend {
 public:
  virtual ~ColumnBackend() = default;
  virtual Communicator& communicator() const = 0;
  virtual std::int64_t checkpoint_interval() const = 0;
  virtual std::size_t tape_bytes() const = 0;
  virtual std::size_t scratch_bytes() const = 0;
};

template <class Real>
class TypedColumnBackend : public ColumnBackend {
 public:
  virtual void forward(const ForwardArgs<Real>&, Tape, Scratch) const = 0;
  virtual void backward(const BackwardArgs<Real>&, Tape, Scratch) const = 0;
};

}  // namespace plasticity

namespace plasticity::cpu {

/// Some columns of a cell, on one rank.
///
/// They are a feed-forward layer with the gathered y(t-1) as its input and a rate that the caller computes:
/// CpuPlan runs this layer step by step. Between two steps this class gathers y, computes M and the rates,
/// and in backward adds the gradients of y and M over the ranks. Products with w_in are computed for the
/// whole sequence at once.
///
/// In an lstm the layer computes the candidate. Between two steps this class computes the gates i, f and o, c
/// and h of its columns. Their products with w_gates need the gathered h(t-1) only.
template <class Real, class Trace>
class ColumnLayer final : public TypedColumnBackend<Real> {
 public:
  ColumnLayer(const Spec& spec, const PlanOptions& options, Communicator& communicator);

  Communicator& communicator() const override { return communicator_; }
  std::int64_t checkpoint_interval() const override { return plan_.checkpoint_interval(); }
  std::size_t tape_bytes() const override;
  std::size_t scratch_bytes() const override;
  void forward(const ForwardArgs<Real>& args, Tape tape, Scratch scratch) const override;
  void backward(const BackwardArgs<Real>& args, Tape tape, Scratch scratch) const override;

 private:
  struct ForwardPass;   // forward.cpp
  struct BackwardPass;  // backward_pass.hpp

  /// The values of a forward pass that backward reads, besides the tape of the CpuPlan.
  struct Record {
    Real* pre;         // [T,B,N] recurrent: y(t-1), zero after a reset
    Real* modulation;  // [T,B]
    Real* c0;          // [B,S] lstm
    Real* c;           // [T,B,S] lstm
    Real* gates;       // [T,B,3,S] lstm: i f o after the sigmoid
    Real* output;      // [T,B,S] lstm: h

    Record(const ColumnLayer& layer, Arena& arena);
  };
  struct Recording {
    std::byte* inner_tape;  // of the CpuPlan
    Record record;

    Recording(const ColumnLayer& layer, Arena& arena);
  };
  struct ForwardScratch {
    std::byte* inner_scratch;  // of the CpuPlan
    Record record;             // of a pass without a tape
    Real* message;             // [B,N] the slices of y; [2 B,N] of y and c if M reads c
    Real* whole;               // as message, in the order of the columns
    Real* v;                   // [N] the weights of the modulator
    Real* currents;            // [T,B,n] x w_in + b + u; lstm: of the candidate
    Real* rate;                // [T,B,n]
    Real* gates;               // [T,B,4,S] lstm: the currents of i, f and o
    Real* candidate;           // [T,B,n] lstm
    Real* post;                // [S] lstm: the candidate of one element
    Real* zeros;               // [S] lstm

    ForwardScratch(const ColumnLayer& layer, Arena& arena);
  };
  struct BackwardScratch {
    std::byte* inner_scratch;  // of the CpuPlan
    Real* message;             // [B,N] gradients of y, then [B] gradients of M
    Real* rate;                // [T,B,n]
    Real* drate;               // [T,B,n]
    Real* dpre;                // [T,B,N] recurrent
    Real* dy;                  // [T,B,n] of the layer's output
    Real* currents;            // [T,B,n] gradients of the currents; lstm: of the candidate
    Real* transposed;          // [gates,n,I] w_in
    Real* gates;               // [T,B,4,S] lstm: gradients of the currents of i, f and o
    Real* w_gates;             // [3,n,N] lstm: transposed
    Real* dh;                  // [B,S] lstm
    Real* dc;                  // [B,S] lstm
    Real* dpost;               // [S] lstm: of the candidate of one element
    Real* zeros;               // [S] lstm
    Real* modulator_sums;      // [B,3n+1] gradients of v, F, F0 and v0
    StepList<Real> list;

    BackwardScratch(const ColumnLayer& layer, Arena& arena);
  };

  static Spec layer_spec(const Spec& spec, std::int64_t columns);
  bool recurrent() const { return spec_.is_recurrent(); }
  bool lstm() const { return spec_.cell == Cell::lstm; }
  bool softmax() const { return spec_.activation == Activation::softmax; }
  bool reads_cell() const { return spec_.has_modulator() && spec_.modulator_source == ModulatorSource::cell; }
  bool projected() const { return spec_.is_recurrent() && spec_.inputs > 0; }
  /// Whether a step needs y or gradients of other ranks.
  bool exchanges() const { return spec_.is_recurrent() || spec_.has_modulator(); }
  /// The row of a gate among the currents of step and element `row`, or among their gradients. The currents
  /// of the plastic gate are [T,B,n], those of the others [T,B,4,S].
  Real* gate_row(Real* plastic, Real* others, std::int64_t row, std::int64_t gate) const {
    return gate == plastic_gate() ? plastic + row * n_ : others + (row * 4 + gate) * S_;
  }
  std::int64_t gate_stride(std::int64_t gate) const { return gate == plastic_gate() ? n_ : 4 * S_; }
  std::int64_t plastic_gate() const { return lstm() ? 2 : 0; }
  /// c(t-1) of an element, [S].
  const Real* cell_before(const Record& record, const Masks<Real>& masks, const Real* zeros, std::int64_t t,
                          std::int64_t b) const {
    if (resets(masks, t, b)) return zeros;
    return t == 0 ? record.c0 + b * S_ : record.c + ((t - 1) * B_ + b) * S_;
  }
  std::int64_t length_of(const Masks<Real>& masks, std::int64_t b) const {
    return masks.length == nullptr ? T_ : masks.length[b];
  }
  bool resets(const Masks<Real>& masks, std::int64_t t, std::int64_t b) const {
    return masks.reset != nullptr && masks.reset[t * B_ + b] != 0;
  }
  std::int64_t longest(const Masks<Real>& masks) const {
    std::int64_t result = 0;
    for (std::int64_t b = 0; b < B_; ++b) result = std::max(result, length_of(masks, b));
    return result;
  }
  /// Replace values by their maxima and sums over the ranks, for softmax.
  void max_over_ranks(std::span<Real> values) const;
  void sum_over_ranks(std::span<Real> values) const { communicator_.sum(values); }
  Parameters<const Real> layer_parameters(const Parameters<const Real>& parameters) const {
    return {.w = parameters.w, .alpha = parameters.alpha, .eta = parameters.eta};
  }

  Spec spec_;  // of the whole cell
  PlanOptions options_;
  Communicator& communicator_;
  ColumnSlice columns_;
  std::int64_t T_, B_, I_, N_, n_, S_;  // n columns of this rank, S with the padding
  CpuPlan<Real, Trace> plan_;           // of the layer
  ColumnGather gather_y_, gather_step_, gather_v_;
  const CellFunctions<Real>& cell_functions_;
  const Products<Real>& products_;
};

}  // namespace plasticity::cpu
