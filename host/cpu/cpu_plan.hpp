#pragma once

#include <algorithm>
#include <span>
#include <type_traits>

#include "base/function_ref.hpp"
#include "base/tree.hpp"
#include "cpu/padded_rows.hpp"
#include "cpu/rounded_traces.hpp"
#include "cpu/sweeps/bfloat16.hpp"
#include "cpu/sweeps/cell_functions.hpp"
#include "cpu/sweeps/products.hpp"
#include "cpu/sweeps/sweeps.hpp"
#include "cpu/tape_header.hpp"
#include "cpu/threads/team.hpp"
#include "cpu/weight_gradients.hpp"
#include "cpu/working_memory.hpp"
#include "plan/backend.hpp"

// The CPU backend.
//
// Each thread runs whole sequences of batch elements, so that the trace of an element stays in the cache of
// one core. Threads without an element help with the sweeps of other elements (threads/team.hpp). One sweep
// applies the trace update of step t-1 and does the plastic read of step t; backward reverses both in one
// sweep. Forward stores the trace of every K-th step on the tape, and backward recomputes the steps between.
// Matrices of the backend have padded rows (sweeps/layout.hpp).
namespace plasticity::cpu {

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
  struct ForwardPass;       // forward_pass.hpp
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
    const std::int64_t max_steps = std::min<std::int64_t>(32, options_.steps);
    return interval_ * (several ? std::max<std::int64_t>(1, max_steps / interval_) : 1);
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

}  // namespace plasticity::cpu
