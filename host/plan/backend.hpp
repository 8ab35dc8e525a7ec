#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plasticity/plan.hpp"

namespace plasticity {

/// The implementation of a plan on one kind of device. Plan checks all arguments before it calls a backend.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::int64_t checkpoint_interval() const = 0;
  virtual Execution execution() const { return Execution::automatic; }
  /// Describes for logs how the backend runs a sequence. Empty if there is only one way.
  virtual std::string describe() const { return {}; }
  /// Describes for logs each way that the backend chose from, and the one it chose.
  virtual std::vector<std::string> candidates() const { return {}; }
  virtual std::size_t tape_bytes() const = 0;
  virtual std::size_t scratch_bytes() const = 0;
  virtual std::size_t step_state_bytes() const = 0;
};

/// A backend for arguments of type Real: double for Precision::f64, float for the others. On a GPU each call
/// enqueues its work on the stream and returns. On the CPU each call does its work before it returns.
template <class Real>
class TypedBackend : public Backend {
 public:
  virtual void enqueue_forward(Stream, const ForwardArgs<Real>&, Tape, Scratch) const = 0;
  virtual void enqueue_backward(Stream, const BackwardArgs<Real>&, Tape, Scratch) const = 0;
  virtual void enqueue_load(Stream, const State<const Real>&, StepState) const = 0;
  virtual void enqueue_step(Stream, const StepArgs<Real>&, StepState, Scratch) const = 0;
  virtual void enqueue_store(Stream, const State<Real>&, StepState) const = 0;
};

std::shared_ptr<const Backend> make_cpu_backend(const Spec& spec, const PlanOptions& options);

}  // namespace plasticity
