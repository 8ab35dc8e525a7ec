#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <type_traits>

#include "base/arena.hpp"
#include "base/function_ref.hpp"
#include "base/tree.hpp"
#include "cpu/rounded_traces.hpp"
#include "cpu/sweeps/bfloat16.hpp"
#include "cpu/sweeps/cell_functions.hpp"
#include "cpu/sweeps/products.hpp"
#include "cpu/sweeps/sweeps.hpp"
#include "cpu/tape_header.hpp"
#include "cpu/threads/team.hpp"
#include "cpu/weight_gradients.hpp"
#include "plan/backend.hpp"

// The CPU backend.
//
// Each thread runs whole sequences of batch elements, so that the trace of an element stays in the cache of
// one core. Threads without an element help with the sweeps of other elements (threads/team.hpp). One sweep
// applies the trace update of step t-1 and does the plastic read of step t; backward reverses both in one
// sweep. Forward stores the trace of every K-th step on the tape, and backward recomputes the steps between.
// Matrices of the backend have padded rows (sweeps/layout.hpp).
namespace plasticity::cpu {

/// An arena whose large blocks start at different offsets within a page. Elements with the same index in
/// several matrices then map to different cache sets, and loads are not delayed by stores with equal low
/// address bits (4K aliasing). A block of no elements is not null, because row addresses are computed for
/// absent tensors too.
class StaggeredArena : public Arena {
 public:
  using Arena::Arena;
  template <class T>
  T* take(std::int64_t count) {
    if (rounded<T>(count) >= large) move_to(whole_pages() + large_++ % (page / offset) * offset);
    return place<T>(count);
  }
  /// A multiple of a page if there are large blocks, so that adjacent arenas have the same layout.
  std::size_t bytes() const { return large_ == 0 ? Arena::bytes() : whole_pages(); }

  static constexpr std::size_t page = 4096, large = 32 << 10, offset = 256;

 private:
  std::size_t whole_pages() const { return (Arena::bytes() + page - 1) / page * page; }
  std::size_t large_ = 0;
};

/// Elements from one trace to the next in an array of traces: whole pages if the traces are large.
template <class Real>
std::int64_t trace_distance(const Spec& spec) {
  const std::int64_t size = spec.presynaptic() * padded<Real>(spec.neurons);
  constexpr std::int64_t page = StaggeredArena::page / sizeof(Real),
                         large = StaggeredArena::large / sizeof(Real);
  return size < large ? size : (size + page - 1) / page * page;
}

/// Padded copies of w and alpha. A sequence copies whole rows: an unaligned load touches two cache lines, and
/// the pages of a caller's matrix may conflict in the L2 cache. A step copies the end of the last row only
/// (MatrixRows), unless the rows are shorter than a block.
template <class Real>
struct ParameterCopies {
  bool copies_rows;
  std::int64_t width;  // of a copied row
  Real* w;             // [P,width], or the end of the last row
  Real* alpha;         // as w, or [N] if alpha is not per connection

  ParameterCopies(const Spec& spec, bool whole, StaggeredArena& arena);
  /// Fills the copies and returns the parameters of the sweeps, which point to them.
  SweepParams<Real> fill(const Spec& spec, const Parameters<const Real>& parameters) const;
};

/// The tape of one batch element. Tensors that the cell does not use have no elements.
template <class Real, class Trace>
struct TapeElement {
  Real* y0;            // [N] initial y; lstm: initial h
  Real* c0;            // [N] lstm
  Real* output;        // [T,N] y; lstm: h
  Real* post;          // [T,N] postsynaptic activity; aliases `output` except in an lstm
  Real* unclamped;     // [T,N] softmax before the clamp; aliases `post` for other activations
  Real* c;             // [T,N] lstm
  Real* gates;         // [T,3,N] lstm: i f o after the sigmoid
  Real* modulation;    // [T]
  Trace* hebb;         // [ceil(T/K),P,N] trace before every K-th step; see RoundedTraces::needs_last()
  Trace* eligibility;  // [ceil(T/K),P,N]

  TapeElement(const Spec& spec, std::int64_t steps, std::int64_t interval, StaggeredArena& arena);
};

/// Working memory of one batch element while it runs forward.
template <class Real>
struct ForwardSpace {
  static constexpr std::int64_t chunk = 16;  // steps per product with w_in
  static constexpr std::int64_t ring = 2;    // steps whose vectors are kept without a tape
  Real* y0;                                  // [N]
  Real* c0;                                  // [N] lstm
  Real* zeros;                               // [max(P,N)]
  Real* currents;                            // [chunk,gates,N]
  Real* output;                              // [ring,N]
  Real* post;                                // [ring,N] aliases `output` except in an lstm
  Real* c;                                   // [ring,N] lstm
  Real* gates;                               // [3,N] lstm
  Real *rate, *retention, *gain;             // [N] of the pending update
  Real* hebb;                                // [P,N]
  Real* eligibility;                         // [P,N]

  ForwardSpace(const Spec& spec, StaggeredArena& arena);
};

/// Gradient sums of one batch element over its steps, or of a subtree of elements (base/tree.hpp).
template <class Real>
struct ElementSums {
  Real* eta;               // [N]; after the last step of an element its sum over N is in eta[0]
  Real* modulator_weight;  // [N]
  Real* modulator_bias;    // [1]
  Real* fan_out_weight;    // [N]
  Real* fan_out_bias;      // [N]
  Real* alpha;             // [P,N], or [N] if alpha is not per connection; a scalar's sum is in alpha[0]
  std::int64_t elements;   // from eta on; includes padding, which is zero

  ElementSums(const Spec& spec, bool alpha_per_connection, StaggeredArena& arena);
  void set_zero() const { std::fill_n(eta, elements, Real(0)); }
  void add(const ElementSums& other) const {
    for (std::int64_t k = 0; k < elements; ++k) eta[k] += other.eta[k];
  }
};

/// Working memory of one batch element while it runs backward.
template <class Real>
struct BackwardSpace {
  Real* G;     // [P,N]
  Real* GE;    // [P,N]
  Real* hebb;  // [stored_traces,P,N] traces of a segment, from its checkpoint on, trace_distance() apart
  Real* eligibility;                 // [stored_traces,P,N]
  Real *rates, *retentions, *gains;  // [steps,N] of the updates from the segment's first step on
  UpdateVectors<Real>* updates;      // [steps]
  Real* dx_read;                     // [shares,P] from the read of the current step
  Real* dx_update[2];                // [shares,P] from the updates of the current and the previous step
  Real* dx;                          // [max(P,N)]
  Real* doutput;                     // [N]
  Real* dc;                          // [N]
  Real* dpost;                       // [N]
  Real* drate;                       // [N]
  Real* dpost_eligibility;           // [N] with an eligibility trace
  Real* unused_dalpha;               // [N] see CpuPlan::adds_alpha_last()

  /// stored_traces: of a segment. steps: CpuPlan::steps_of_updates().
  BackwardSpace(const Spec& spec, std::int64_t stored_traces, std::int64_t steps, StaggeredArena& arena);
};

/// How the batch elements of a pass run.
enum class ElementOrder {
  by_element,  ///< each thread runs whole sequences of elements
  by_step,     ///< all elements run together, step by step; threads share the columns
};

template <class Real, class Trace>
class CpuPlan final : public TypedBackend<Real> {
 public:
  CpuPlan(const Spec& spec, const PlanOptions& options, ElementOrder order = ElementOrder::by_element);

  /// A function of the step. `team` helps it.
  using StepCall = FunctionRef<void(std::int64_t t, Team& team)>;
  /// Replaces values by their maxima or sums over the columns of all plans that share a cell.
  using ColumnTotals = FunctionRef<void(std::span<Real> values)>;
  /// As enqueue_forward, for ElementOrder::by_step. Calls after_outputs(t) on the caller's thread when args.y
  /// has the outputs of step t of all elements that have this step. It may write args.inputs.rate of step t
  /// and args.inputs.pre of step t + 1. With softmax, `max` and then `sum` are called before, each with B
  /// values.
  void forward_by_step(const ForwardArgs<Real>& args, Tape tape, Scratch scratch, StepCall after_outputs,
                       ColumnTotals max, ColumnTotals sum) const;
  /// As enqueue_backward, for ElementOrder::by_step. Calls before_step(t) on the caller's thread before step
  /// t is reversed. dinputs.rate of step t and dinputs.pre of step t + 1 are then complete. It may write
  /// args.dy of step t. Adds to dinputs.pre instead of overwriting it. With softmax, `sum` is called after
  /// before_step(t), with B values.
  void backward_by_step(const BackwardArgs<Real>& args, Tape tape, Scratch scratch, StepCall before_step,
                        ColumnTotals sum) const;
  /// The output of a recorded step, [N].
  const Real* recorded_output(Tape tape, std::int64_t t, std::int64_t b) const {
    return tape_element(tape, b).output + t * padded<Real>(spec_.neurons);
  }

  std::int64_t checkpoint_interval() const override { return interval_; }
  std::size_t tape_bytes() const override { return tape_bytes_; }
  std::size_t scratch_bytes() const override { return scratch_bytes_; }
  std::size_t step_state_bytes() const override { return step_state_bytes_; }

  void enqueue_forward(Stream, const ForwardArgs<Real>& args, Tape tape, Scratch scratch) const override;
  void enqueue_backward(Stream, const BackwardArgs<Real>& args, Tape tape, Scratch scratch) const override;
  void enqueue_load(Stream, const State<const Real>& state, StepState step_state) const override;
  void enqueue_step(Stream, const StepArgs<Real>& args, StepState step_state, Scratch scratch) const override;
  void enqueue_store(Stream, const State<Real>& state, StepState step_state) const override;

 private:
  struct ForwardPass;       // forward.cpp
  struct BackwardPass;      // backward_pass.hpp
  struct StepStateElement;  // step.cpp
  struct StepPass;          // step.cpp

  /// Call `run` with the prepared pass, then complete its results.
  void run_forward(const ForwardArgs<Real>& args, Tape tape, Scratch scratch,
                   FunctionRef<void(const ForwardPass&)> run) const;
  void run_backward(const BackwardArgs<Real>& args, Tape tape, Scratch scratch,
                    FunctionRef<void(const BackwardPass&)> run) const;

  /// Input currents of steps t0 .. t0+count-1 of element b, [count,gates,N]: x W_in + b + u, of those that
  /// are given.
  void input_currents(const Parameters<const Real>& parameters, const Inputs<const Real>& inputs,
                      std::int64_t b, std::int64_t t0, std::int64_t count, Real* currents) const;
  StepStateElement step_state_element(StepState step_state, std::int64_t b) const;

  /// Groups of batch elements that threads run backward: the nodes of one level of the tree of elements, at
  /// most 16.
  static constexpr int group_depth = 4;
  std::int64_t groups() const {
    return by_step() ? options_.batch : std::min<std::int64_t>(options_.batch, 1 << group_depth);
  }
  ItemRange group(std::int64_t index) const {
    return options_.batch == groups() ? ItemRange{index, 1} : tree_node(options_.batch, group_depth, index);
  }
  /// Levels of the tree within a group. Each needs one ElementSums per thread.
  int levels_in_group() const { return options_.batch == 0 ? 0 : tree_depth(group(0).count); }
  /// Assumed L2 cache per thread in bytes.
  static constexpr std::int64_t l2_cache = 1 << 20;
  /// Assumed last-level cache of all threads together in bytes.
  static constexpr std::int64_t last_level_cache = 16 << 20;
  std::int64_t working_set(std::int64_t matrices) const {
    return matrices * trace_distance<Real>(spec_) * static_cast<std::int64_t>(sizeof(Real));
  }
  /// Matrices that one step of one element reads or writes. Forward: trace, w, alpha. Backward: trace, its
  /// gradient, w, alpha, gradient of alpha.
  std::int64_t forward_matrices() const { return spec_.alpha == Granularity::connection ? 3 : 2; }
  std::int64_t backward_matrices() const { return spec_.alpha == Granularity::connection ? 5 : 3; }
  /// `few` if one element per thread exceeds the last-level cache.
  ElementsAtOnce elements_at_once(std::int64_t matrices) const {
    const bool exceeds = options_.device.threads() * working_set(matrices) > last_level_cache;
    return exceeds ? ElementsAtOnce::few : ElementsAtOnce::many;
  }
  /// Whether the matrices of one element nearly fill the last-level cache in backward. It depends on P and N
  /// only, because the bits of the gradient of alpha depend on it.
  bool is_large() const { return working_set(backward_matrices()) > last_level_cache / 4 * 3; }
  /// Whether a pass after the last step adds the gradient of alpha per connection. It recomputes the traces
  /// in registers. The sweeps then neither read nor write this gradient, which costs more than the pass if
  /// the gradient is not in the cache. The pass adds the steps in their order, the sweeps in the reverse
  /// order.
  bool adds_alpha_last() const { return spec_.alpha == Granularity::connection && is_large(); }
  /// Steps per stored trace of a segment. It costs more to store and load a trace if it is not in the cache.
  std::int64_t stored_every() const { return is_large() ? 6 : 3; }
  /// Steps whose updates a BackwardSpace holds. That is one segment. If adds_alpha_last(), one pass adds
  /// several segments, unless their checkpoints are rounded: a rounded checkpoint differs from the trace that
  /// the segment before it leads to.
  std::int64_t steps_of_updates() const {
    const bool several = adds_alpha_last() && std::is_same_v<Trace, Real>;
    const std::int64_t at_most = std::min<std::int64_t>(32, options_.steps);
    return interval_ * (several ? std::max<std::int64_t>(1, at_most / interval_) : 1);
  }
  /// Whether the tape exceeds the last-level cache. Checkpoints are then written with non-temporal stores.
  /// Otherwise the sweeps continue in the checkpoint's own memory, without a copy.
  bool tape_exceeds_cache() const { return tape_bytes_ > static_cast<std::size_t>(last_level_cache); }
  /// Elements of a group that run backward together, step by step.
  std::int64_t elements_per_pass() const {
    return working_set(backward_matrices() + 2) > l2_cache
               ? 1
               : std::min<std::int64_t>(group(0).count, elements_together);
  }
  std::size_t tape_element_bytes(std::int64_t interval) const;
  /// Size of a tape with its header; 0 if no element is recorded.
  std::size_t tape_bytes_with(std::int64_t interval) const;
  TapeElement<Real, Trace> tape_element(Tape tape, std::int64_t b) const;
  std::int64_t choose_interval() const;
  bool by_step() const { return order_ == ElementOrder::by_step; }
  /// Numbers of ForwardSpaces and BackwardSpaces of a pass.
  std::int64_t forward_spaces() const {
    return by_step() ? options_.batch : static_cast<std::int64_t>(workers()) * elements_together;
  }
  std::int64_t backward_spaces() const {
    return by_step() ? options_.batch : workers() * elements_per_pass();
  }
  int workers() const {
    return static_cast<int>(std::clamp<std::int64_t>(options_.batch, 1, options_.device.threads()));
  }
  std::size_t forward_space_bytes() const;
  BackwardSpace<Real> backward_space(StaggeredArena& arena) const {
    const std::int64_t stored_traces = (interval_ + stored_every() - 1) / stored_every();
    return {spec_, stored_traces, steps_of_updates(), arena};
  }
  std::size_t backward_space_bytes() const;
  std::size_t forward_scratch_bytes() const;
  std::size_t backward_scratch_bytes() const;
  std::size_t step_state_element_bytes() const;

  Spec spec_;
  PlanOptions options_;
  ElementOrder order_;
  const Sweeps<Real>& sweeps_;
  const CellFunctions<Real>& cell_functions_;
  const Products<Real>& products_;
  std::int64_t interval_;
  // Kept, because a small step takes no longer than to lay out its memory twice.
  std::size_t forward_space_bytes_, step_state_element_bytes_;
  std::size_t tape_bytes_, scratch_bytes_, step_state_bytes_;
};

/// Copies `count` elements and converts them to the destination's type.
template <class From, class To>
void convert(const From* source, To* destination, std::int64_t count) {
  if constexpr (std::is_same_v<From, To>) {
    if (source != destination) std::copy_n(source, count, destination);
  } else if constexpr (std::is_same_v<To, Bfloat16>) {
    std::transform(source, source + count, destination, [](From value) { return to_bfloat16(value); });
  } else {
    std::transform(source, source + count, destination, [](From value) { return to_float(value); });
  }
}

/// Copies a caller's rows of N into padded rows. Without a source the rows become zero.
template <class From, class To>
void pad_rows(const From* source, std::int64_t rows, std::int64_t N, To* destination) {
  const std::int64_t stride = padded<To>(N);
  for (std::int64_t row = 0; row < rows; ++row) {
    if (source != nullptr) convert(source + row * N, destination + row * stride, N);
    const std::int64_t copied = source == nullptr ? 0 : N;
    std::fill_n(destination + row * stride + copied, stride - copied, To{});
  }
}

/// Copies padded rows into a caller's rows of N. Does nothing without a destination.
template <class Real>
void unpad_rows(const Real* source, std::int64_t rows, std::int64_t N, Real* destination) {
  if (destination == nullptr) return;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::copy_n(source + row * padded<Real>(N), N, destination + row * N);
  }
}

/// Address of an element of a caller's tensor, or null if the tensor is absent.
template <class Real>
Real* at(Real* tensor, std::int64_t offset) {
  return tensor == nullptr ? nullptr : tensor + offset;
}

}  // namespace plasticity::cpu
