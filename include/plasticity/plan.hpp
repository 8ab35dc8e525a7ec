#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "plasticity/arguments.hpp"
#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/memory.hpp"

namespace plasticity {

class Backend;

/// The sizes a plan is made for, and how it uses memory.
struct PlanOptions {
  std::int64_t steps = 1;                ///< T >= 0
  std::int64_t batch = 1;                ///< B >= 0
  Device device = Device::best();        ///< where it runs, and where its buffers are
  Precision precision = Precision::f32;  ///< f64: double arguments; f32, bf16 (clip 2e-38 to 3e38): float
  /// K: the tape keeps the trace of every K-th step, backward replays the steps between (to the same bits
  /// whatever K, except in bf16). 0: the plan chooses, from memory_budget. In bf16, with a rule that clips,
  /// and no budget, it chooses 1: then backward knows for every step on which side of the clip an entry was.
  std::int64_t checkpoint_interval = 0;
  /// Bytes that the tape may take; the plan then chooses the smallest K that fits. 0: K = ceil(sqrt(T)).
  std::size_t memory_budget = 0;
  /// The kernels of forward and backward on a CUDA device. The CPU has one way only, and takes `automatic`.
  /// `automatic` does not look at T or B where bits depend on the choice: a sample alone gives the bits that
  /// it gives in a batch, windows those of the whole.
  Execution execution = Execution::automatic;
};

/// A cell, its sizes and a device, made ready. Immutable; copies share it; calls from several threads are
/// independent as long as their buffers are. The calls take the caller's buffers, on the plan's device, and
/// never allocate device memory, synchronise or print; with one exception: under Execution::graph the first
/// forward and the first backward, and those whose pointers are not the ones of the call before, make CUDA
/// capture a graph, for which it takes memory of its own. They throw Error(invalid_argument) for a missing or
/// surplus tensor, a tape, scratch or live memory that is too small or misaligned, and for arguments of a
/// type that does not fit the precision (float for f32 and bf16, double for f64); then nothing was done.
class PLASTICITY_API Plan {
 public:
  /// Throws Error(invalid_spec | invalid_argument | device_unavailable | unsupported).
  Plan(const Spec& spec, const PlanOptions& options);

  const Spec& spec() const { return spec_; }               ///< as it was made
  const PlanOptions& options() const { return options_; }  ///< as it was made
  std::int64_t checkpoint_interval() const;                ///< the K that was chosen, at least 1
  Execution execution() const;                             ///< what was chosen; on the CPU `automatic`
  std::size_t tape_bytes() const;                          ///< that forward and backward need
  std::size_t scratch_bytes() const;                       ///< that every call needs
  std::size_t step_state_bytes() const;                    ///< that load, step and store need

  /// @{
  /// T steps. With an empty tape nothing is recorded and backward is not possible.
  void forward(Stream stream, const ForwardArgs<float>& args, Tape tape, Scratch scratch) const;
  void forward(Stream stream, const ForwardArgs<double>& args, Tape tape, Scratch scratch) const;
  /// @}

  /// @{
  /// The gradients of the forward pass that wrote the tape. The tape is only read: backward may be called
  /// again.
  void backward(Stream stream, const BackwardArgs<float>& args, Tape tape, Scratch scratch) const;
  void backward(Stream stream, const BackwardArgs<double>& args, Tape tape, Scratch scratch) const;
  /// @}

  /// @{
  /// One step of a network that acts; the plan's T plays no part. `load` puts a state (null tensors: zero)
  /// into live memory, `step` moves it on, `store` takes it out again (null tensors: not wanted); live goes
  /// on from there.
  void load(Stream stream, const State<const float>& state, StepState step_state) const;
  void load(Stream stream, const State<const double>& state, StepState step_state) const;
  void step(Stream stream, const StepArgs<float>& args, StepState step_state, Scratch scratch) const;
  void step(Stream stream, const StepArgs<double>& args, StepState step_state, Scratch scratch) const;
  void store(Stream stream, const State<float>& state, StepState step_state) const;
  void store(Stream stream, const State<double>& state, StepState step_state) const;
  /// @}

 private:
  Spec spec_;
  PlanOptions options_;
  std::shared_ptr<const Backend> backend_;
};

}  // namespace plasticity
