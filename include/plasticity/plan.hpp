#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstddef>
#include <cstdint>
#include <memory>

#include "plasticity/arguments.hpp"
#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/memory.hpp"

namespace plasticity {

class Backend;
class StepCheck;

/// The sizes, the device and the options of a plan.
struct PlanOptions {
  std::int64_t steps = 1;                ///< T >= 0
  std::int64_t batch = 1;                ///< B >= 0
  Device device = Device::best();        ///< device that runs the plan and holds all its buffers
  Precision precision = Precision::f32;  ///< f64 (CPU only) takes double arguments; f32 and bf16 take float
  /// K >= 0: the tape stores the trace of every K-th step, and backward recomputes the steps in between.
  /// Except in bf16, the bits of the results do not depend on K. 0: the plan chooses K. It takes the smallest
  /// K whose tape fits memory_budget. Without a budget it takes ceil(sqrt(T)), but 1 in bf16 with hard_clip,
  /// soft_clip or read_clip. For hard_clip and read_clip such a tape records which entries were clipped. On a
  /// CUDA device in f32 without a budget it takes the fastest K up to ceil(sqrt(T)), by an estimate. A tape
  /// larger than that of ceil(sqrt(T)) takes at most 1/16 of the device's memory.
  std::int64_t checkpoint_interval = 0;
  /// Maximum size of the tape in bytes, used if checkpoint_interval is 0. 0: no budget.
  std::size_t memory_budget = 0;
  /// The kernels of forward and backward on a CUDA device. The CPU accepts only `automatic`. `automatic`
  /// takes the fastest, by an estimate from the spec, T, B and the device. In f32 their results have the same
  /// bits, except for the gradient of alpha per connection, which is a sum over samples and steps. In bf16
  /// `automatic` does not use T or B to choose between kernels whose results differ in bits. A sample
  /// therefore has the same bits alone and in a batch, and the outputs of windows are those of the whole
  /// sequence.
  Execution execution = Execution::automatic;
};

/// Runs one Spec, at fixed sizes, on one device, on the caller's buffers.
///
/// A plan is immutable, and copies share its data. Several threads may call one plan at once, if their
/// buffers do not overlap.
///
/// All buffers are on the plan's device. On a GPU the calls enqueue their work on the stream and return. They
/// do not allocate device memory, synchronise or print, with two exceptions. PLASTICITY_VERBOSE=profile
/// prints a line per call. Under Execution::graph, forward and backward capture a CUDA graph at their second
/// call and whenever a pointer has changed since the last call. CUDA allocates memory for the graph.
///
/// The calls throw Error(invalid_argument) for a missing tensor, a tensor that the spec does not have, an
/// output that overlaps another tensor, memory that is too small or not aligned to 64 bytes, and arguments
/// whose type does not match the precision. A call that throws has changed nothing.
class PLASTICITY_API Plan {
 public:
  /// Throws Error(invalid_spec) for a Spec that is not valid, or a clip outside 2e-38 to 3e38 in bf16 with a
  /// rule that has_clip(). Throws Error(invalid_argument) for an option out of range,
  /// Error(device_unavailable), and Error(unsupported) if the device cannot run this spec with
  /// options.execution.
  Plan(const Spec& spec, const PlanOptions& options);
  Plan(const Plan& other) = default;             ///< moving copies too, so a moved-from plan stays usable
  Plan& operator=(const Plan& other) = default;  ///< shares the data of `other`

  const Spec& spec() const { return spec_; }               ///< as passed to the constructor
  const PlanOptions& options() const { return options_; }  ///< as passed to the constructor
  std::int64_t checkpoint_interval() const;                ///< the chosen K, at least 1
  Execution execution() const;                             ///< the chosen execution; `automatic` on the CPU
  std::size_t tape_bytes() const;                          ///< tape size of forward and backward
  std::size_t scratch_bytes() const;                       ///< scratch size of forward, backward and step
  std::size_t step_state_bytes() const;                    ///< step state size of load, step and store

  /// @{
  /// Runs T steps. An empty tape (null, of 0 bytes) records nothing; backward is then not possible.
  void forward(Stream stream, const ForwardArgs<float>& args, Tape tape, Scratch scratch) const;
  void forward(Stream stream, const ForwardArgs<double>& args, Tape tape, Scratch scratch) const;
  /// @}

  /// @{
  /// Computes the gradients of the forward pass that wrote the tape. The tape is only read, so backward may
  /// run again with the same tape. The tape of an equal plan, or a copy of the tape, serves too. On the CPU
  /// the call throws Error(invalid_argument) for a tape without a recorded pass, or of another spec, T, B, K
  /// or precision.
  void backward(Stream stream, const BackwardArgs<float>& args, Tape tape, Scratch scratch) const;
  void backward(Stream stream, const BackwardArgs<double>& args, Tape tape, Scratch scratch) const;
  /// @}

  /// @{
  /// Runs a network one step at a time, without gradients. The plan's T is ignored. `load` copies a state
  /// into the step state; a null tensor means zero. `step` runs one step and updates the step state. `store`
  /// copies the step state to `state`, except to null tensors; the step state stays valid. The layout of the
  /// step state is private to the plan.
  void load(Stream stream, const State<const float>& state, StepState step_state) const;
  void load(Stream stream, const State<const double>& state, StepState step_state) const;
  void load(Stream stream, std::nullptr_t zero,
            StepState step_state) const;  ///< `plan.load({}, {}, step_state)`
  void step(Stream stream, const StepArgs<float>& args, StepState step_state, Scratch scratch) const;
  void step(Stream stream, const StepArgs<double>& args, StepState step_state, Scratch scratch) const;
  void store(Stream stream, const State<float>& state, StepState step_state) const;
  void store(Stream stream, const State<double>& state, StepState step_state) const;
  /// @}

 private:
  Spec spec_;
  PlanOptions options_;
  std::shared_ptr<const Backend> backend_;
  std::shared_ptr<const StepCheck> step_check_;
};

}  // namespace plasticity
