#pragma once

#include <cstddef>
#include <cstdint>

#include "communicator/columns.hpp"
#include "cpu/cpu_plan.hpp"

namespace plasticity {

/// The implementation of a ColumnPlan for one type. ColumnPlan checks all arguments before it calls it.
class ColumnBackend {
 public:
  virtual ~ColumnBackend() = default;
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
template <class Real, class Trace>
class ColumnLayer final : public TypedColumnBackend<Real> {
 public:
  ColumnLayer(const Spec& spec, const PlanOptions& options, Communicator& communicator);

  std::int64_t checkpoint_interval() const override { return plan_.checkpoint_interval(); }
  std::size_t tape_bytes() const override;
  std::size_t scratch_bytes() const override;
  void forward(const ForwardArgs<Real>& args, Tape tape, Scratch scratch) const override;
  void backward(const BackwardArgs<Real>& args, Tape tape, Scratch scratch) const override;

 private:
  struct ForwardPass;   // forward.cpp
  struct BackwardPass;  // backward.cpp

  /// The values of a forward pass that backward reads, besides the tape of the CpuPlan.
  struct Record {
    Real* pre;         // [T,B,N] recurrent: y(t-1), zero after a reset
    Real* modulation;  // [T,B]

    Record(const ColumnLayer& layer, Arena& arena);
  };
  struct Recording {
    std::byte* plan;  // the tape of the CpuPlan
    Record record;

    Recording(const ColumnLayer& layer, Arena& arena);
  };
  struct ForwardScratch {
    std::byte* plan;  // the scratch of the CpuPlan
    Record record;    // of a pass without a tape
    Real* message;    // [B,N] the slices of y
    Real* whole;      // [B,N] y(t)
    Real* v;          // [N] the weights of the modulator
    Real* currents;   // [T,B,n] x w_in + b + u
    Real* rate;       // [T,B,n]

    ForwardScratch(const ColumnLayer& layer, Arena& arena);
  };
  struct BackwardScratch {
    std::byte* plan;       // the scratch of the CpuPlan
    Real* message;         // [B,N] gradients of y, then [B] gradients of M
    Real* rate;            // [T,B,n]
    Real* drate;           // [T,B,n]
    Real* dpre;            // [T,B,N] recurrent
    Real* dy;              // [T,B,n]
    Real* currents;        // [T,B,n] gradients of the currents
    Real* transposed;      // [n,I] w_in
    Real* modulator_sums;  // [B,3n+1] gradients of v, F, F0 and v0
    StepList<Real> list;

    BackwardScratch(const ColumnLayer& layer, Arena& arena);
  };

  static Spec layer_spec(const Spec& spec, std::int64_t columns);
  bool recurrent() const { return spec_.is_recurrent(); }
  bool projected() const { return spec_.is_recurrent() && spec_.inputs > 0; }
  /// Whether a step needs y or gradients of other ranks.
  bool exchanges() const { return spec_.is_recurrent() || spec_.has_modulator(); }
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
  /// The rates of one step and element.
  void fill_rates(const Parameters<const Real>& parameters, Real modulation, Real* rate) const;
  Parameters<const Real> layer_parameters(const Parameters<const Real>& parameters) const {
    return {.w = parameters.w, .alpha = parameters.alpha, .eta = parameters.eta};
  }

  Spec spec_;  // of the whole cell
  PlanOptions options_;
  Communicator& communicator_;
  ColumnSlice columns_;
  std::int64_t T_, B_, I_, N_, n_;
  CpuPlan<Real, Trace> plan_;  // of the layer
  ColumnGather gather_y_, gather_v_;
  const Products<Real>& products_;
};

}  // namespace plasticity::cpu
