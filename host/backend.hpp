#pragma once

#include <memory>
#include <string>

#include "plasticity/plan.hpp"

namespace plasticity {

/// What stands behind a Plan on one kind of device. Arguments arrive checked (validate.hpp) and memory is
/// large enough. A backend serves float or double arguments, by its plan's precision; the other overloads are
/// never called.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::int64_t checkpoint_interval() const = 0;
  virtual Execution execution() const { return Execution::automatic; }
  /// How it runs a sequence, for logs; empty where there is one way only.
  virtual std::string way() const { return {}; }
  virtual std::size_t tape_bytes() const = 0;
  virtual std::size_t scratch_bytes() const = 0;
  virtual std::size_t live_bytes() const = 0;
  virtual void forward(Stream, const ForwardArgs<float>&, Tape, Scratch) const {}
  virtual void forward(Stream, const ForwardArgs<double>&, Tape, Scratch) const {}
  virtual void backward(Stream, const BackwardArgs<float>&, Tape, Scratch) const {}
  virtual void backward(Stream, const BackwardArgs<double>&, Tape, Scratch) const {}
  virtual void load(Stream, const State<const float>&, Live) const {}
  virtual void load(Stream, const State<const double>&, Live) const {}
  virtual void step(Stream, const StepArgs<float>&, Live, Scratch) const {}
  virtual void step(Stream, const StepArgs<double>&, Live, Scratch) const {}
  virtual void store(Stream, const State<float>&, Live) const {}
  virtual void store(Stream, const State<double>&, Live) const {}
};

std::shared_ptr<const Backend> make_cpu_backend(const Spec& spec, const PlanOptions& options);

}  // namespace plasticity
