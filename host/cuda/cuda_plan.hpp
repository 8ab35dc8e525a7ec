#pragma once

#include "base/arena.hpp"
#include "cuda/planner.hpp"
#include "cuda/rule_kernels.hpp"
#include "plan/backend.hpp"
#include "product/launch.hpp"

// The CUDA backend. The planner (planner.hpp) chooses one of three ways to run a sequence: one launch per
// step for the whole batch, in which the launch of a step does the trace update of the step before; the same
// launches as a graph (graph.hpp); or one launch per sequence with the traces on chip (kernels/resident). All
// write the same tape, which stores the trace of every K-th step. Backward replays the others.
namespace plasticity::cuda {

class BlasHandle;

class CudaPlan final : public TypedBackend<float> {
 public:
  /// `shape`: the only shape that a resident execution may have.
  CudaPlan(const Spec& spec, const PlanOptions& options, const std::optional<ResidentShape>& shape = {});

  std::int64_t checkpoint_interval() const override { return interval_; }
  Execution execution() const override { return choice_.execution(); }
  const ExecutionChoice& choice() const { return choice_; }
  std::string describe() const override { return cuda::describe(choice_); }
  std::vector<std::string> candidates() const override { return cuda::describe_candidates(choice_); }
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
  struct Graphs;
  struct ParameterGradients;

  StepParams step_params(std::int64_t steps, const Parameters<const float>& parameters,
                         const Inputs<const float>& inputs, const Masks<float>& masks) const;
  /// A record in a ring, with the traces updated in place.
  Record ring(Arena& arena) const;
  /// A record on a tape with a checkpoint every `interval` steps.
  Record tape(Arena& arena, std::int64_t interval) const;
  /// The vectors of a record with that many slots.
  Record vectors(Arena& arena, std::int64_t slots, bool on_tape) const;
  /// Adds the working traces that forward uses between the checkpoints of a tape.
  void add_working_traces(Record& tape, Arena& scratch) const;
  Load load_params(const State<const float>& state, const Record& record) const;
  /// Whether kernels may read the rows of the caller's matrices by 16 bytes: these and `others` begin and
  /// continue at multiples of 16 bytes.
  bool wide(const Parameters<const float>& parameters, std::initializer_list<const void*> others = {}) const;
  /// Enqueues x W_in + b for `steps` steps into `currents`, and returns the currents that the steps read.
  const float* input_currents(const Parameters<const float>& parameters, const Inputs<const float>& inputs,
                              std::int64_t steps, float* currents, cudaStream_t stream) const;

  bool bf16() const { return options_.precision == Precision::bf16; }
  /// Whether step kernels read replayed traces, not those on the tape.
  bool replays() const { return interval_ > 1 && spec_.is_plastic(); }
  /// The clip that resident kernels get: infinite for the form linear, which the kernels of read_clipped run.
  float resident_clip() const;
  std::size_t tape_bytes(std::int64_t interval) const;
  /// The planner's choice, restricted to executions that the current device can hold.
  ExecutionChoice choose(DeviceLimits limits, const std::optional<ResidentShape>& shape) const;
  void launch_forward(const ForwardArgs<float>& args, Tape tape, Scratch scratch, cudaStream_t stream) const;
  void launch_backward(const BackwardArgs<float>& args, Tape tape, Scratch scratch,
                       cudaStream_t stream) const;
  void resident_forward(const ForwardArgs<float>& args, const ForwardMemory& memory, const float* current,
                        bool on_tape, cudaStream_t stream) const;
  void resident_backward(const BackwardStep& step, const BackwardMemory& memory, cudaStream_t stream) const;
  void step_backward(BackwardStep step, const BackwardArgs<float>& args, const BackwardMemory& memory,
                     cudaStream_t stream) const;
  /// The elements of a trace; 0 without a plastic part.
  std::int64_t trace_size() const {
    return spec_.is_plastic() ? options_.batch * spec_.presynaptic() * spec_.neurons : 0;
  }
  bool projected() const { return spec_.is_recurrent() && spec_.inputs > 0; }
  std::int64_t width() const { return spec_.gates() * spec_.neurons; }
  std::int64_t tiles() const;
  void check_grids() const;

  Spec spec_;
  PlanOptions options_;
  RuleKernels kernels_;
  ExecutionChoice choice_;
  int multiprocessors_;
  std::int64_t interval_;
  std::size_t tape_bytes_, scratch_bytes_, step_state_bytes_;
  BlasHandle* blas_;
  std::shared_ptr<Graphs> graphs_;
};

}  // namespace plasticity::cuda
