#pragma once

#include "base/arena.hpp"
#include "cuda/planner.hpp"
#include "plan/backend.hpp"
#include "product/launch.hpp"
#include "replay/launch.hpp"
#include "step/launch.hpp"

// The CUDA backend. A sequence is run by one of three (planner.hpp chooses): one launch a timestep for the
// whole batch, the trace update of a step folded into the next step's launch; the same launches as a graph
// (graph.hpp); or one launch a sequence, an element's traces on chip (kernels/resident). The tape, the same
// for all, keeps the trace of every K-th step; backward replays those between.
namespace plasticity::cuda {

class BlasHandle;

class CudaPlan final : public TypedBackend<float> {
 public:
  CudaPlan(const Spec& spec, const PlanOptions& options);

  std::int64_t checkpoint_interval() const override { return interval_; }
  Execution execution() const override { return choice_.execution; }
  std::string describe() const override { return cuda::describe(choice_); }
  std::size_t tape_bytes() const override { return tape_bytes_; }
  std::size_t scratch_bytes() const override { return scratch_bytes_; }
  std::size_t step_state_bytes() const override { return step_state_bytes_; }

  void enqueue_forward(Stream, const ForwardArgs<float>& args, Tape tape, Scratch scratch) const override;
  void enqueue_backward(Stream, const BackwardArgs<float>& args, Tape tape, Scratch scratch) const override;
  void enqueue_load(Stream, const State<const float>& state, StepState step_state) const override;
  void enqueue_step(Stream, const StepArgs<float>& args, StepState step_state,
                    Scratch scratch) const override;
  void enqueue_store(Stream, const State<float>& state, StepState step_state) const override;

 private:
  struct StepStateMemory;
  struct ForwardMemory;
  struct BackwardMemory;
  struct Graphs;              // of forward and backward, under Execution::graph
  struct ParameterGradients;  // what is summed after the steps (gradients.cpp)

  Problem problem(std::int64_t steps, const Parameters<const float>& parameters,
                  const Inputs<const float>& inputs, const Masks<float>& masks) const;
  /// The record in a ring, traces in place.
  Record ring(Arena& arena) const;
  /// The record on a tape with checkpoints every `interval` steps.
  Record tape(Arena& arena, std::int64_t interval) const;
  /// The vectors of a record of that many slots.
  Record vectors(Arena& arena, std::int64_t slots, bool on_tape) const;
  /// Adds what forward needs beside a tape: the traces between its checkpoints.
  void add_between(Record& tape, Arena& work) const;
  Load loading(const State<const float>& state, const Record& record) const;
  /// Whether `columns` at a time, 16 bytes or more, will do for the matrices that the caller gives.
  bool wide(std::int64_t columns, const Parameters<const float>& parameters,
            std::initializer_list<const void*> others = {}) const;
  /// x W_in + b of `steps` steps into `currents`; what the steps then read.
  const float* input_currents(const Parameters<const float>& parameters, const Inputs<const float>& inputs,
                              std::int64_t steps, float* currents, cudaStream_t stream) const;

  bool bf16() const { return options_.precision == Precision::bf16; }
  /// Whether backward reads traces that were replayed, not those on the tape.
  bool replays() const { return interval_ > 1 || (bf16() && choice_.resident()); }
  std::int64_t choose_interval() const;
  /// The planner's choice, as far as this device has room for it.
  ExecutionChoice choose() const;
  void run_forward(const ForwardArgs<float>& args, Tape tape, Scratch scratch, cudaStream_t stream) const;
  void run_backward(const BackwardArgs<float>& args, Tape tape, Scratch scratch, cudaStream_t stream) const;
  void resident_forward(const ForwardArgs<float>& args, const ForwardMemory& memory, const float* current,
                        bool on_tape, cudaStream_t stream) const;
  void resident_backward(const BackwardStep& step, const BackwardMemory& memory, cudaStream_t stream) const;
  void backward_steps(BackwardStep step, const BackwardArgs<float>& args, const BackwardMemory& memory,
                      cudaStream_t stream) const;
  std::int64_t trace_size() const { return options_.batch * spec_.presynaptic() * spec_.neurons; }
  bool projected() const { return spec_.is_recurrent() && spec_.inputs > 0; }
  std::int64_t width() const { return spec_.gates() * spec_.neurons; }
  std::int64_t tiles() const;
  void check_grids() const;

  Spec spec_;
  PlanOptions options_;
  ExecutionChoice choice_;
  std::int64_t interval_;
  std::size_t tape_bytes_, scratch_bytes_, step_state_bytes_;
  BlasHandle* blas_;
  std::shared_ptr<Graphs> graphs_;
};

/// Calls run<rule>() for the rule that the list holds at run time.
template <class Run, Rule... rules, template <Rule...> class List>
void with_rule(Rule rule, List<rules...>, Run run) {
  (void)((rule == rules && (run.template operator()<rules>(), true)) || ...);
}

}  // namespace plasticity::cuda
