#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "plasticity/arguments.hpp"
#include "plasticity/communicator.hpp"
#include "plasticity/config.h"
#include "plasticity/memory.hpp"
#include "plasticity/plan.hpp"

namespace plasticity {

class ColumnBackend;

/// The columns (postsynaptic neurons) of one rank: `count` successive columns from `first` on.
struct ColumnSlice {
  std::int64_t first = 0;  ///< global index of the first column
  std::int64_t count = 0;  ///< n, the number of columns; may be 0
};

/// Returns the columns of a rank among `neurons` columns. The counts of two ranks differ by at most 1. Throws
/// Error(invalid_argument) if neurons < 0.
PLASTICITY_API ColumnSlice columns_of(const Communicator& communicator, std::int64_t neurons);

/// @{
/// Copies this rank's columns of a whole [rows,N] tensor to a [rows,n] slice. The memories must not overlap.
/// Throws Error(invalid_argument) if rows or neurons is negative, rows * neurons is above 2^48, or a pointer
/// to elements is null.
PLASTICITY_API void take_columns(const Communicator& communicator, std::int64_t rows, std::int64_t neurons,
                                 const float* whole, float* slice);
PLASTICITY_API void take_columns(const Communicator& communicator, std::int64_t rows, std::int64_t neurons,
                                 const double* whole, double* slice);
/// @}

/// @{
/// Gathers the [rows,n] slices of all ranks to a whole [rows,N] tensor on every rank. A collective call. The
/// memories must not overlap. Throws as take_columns(), and the errors of Communicator.
PLASTICITY_API void gather_columns(Communicator& communicator, std::int64_t rows, std::int64_t neurons,
                                   const float* slice, float* whole);
PLASTICITY_API void gather_columns(Communicator& communicator, std::int64_t rows, std::int64_t neurons,
                                   const double* slice, double* whole);
/// @}

/// A Plan for a network that is too large for one machine. Each rank stores the columns columns() of the
/// weights, the plasticity coefficients and the traces, and computes their neurons. The ranks exchange the
/// output y at every step, and the gradient of y at every step of backward.
///
/// Every rank creates the plan with the same spec, steps, batch and precision, and makes the same calls.
/// Memory, tape and scratch are in host memory. A rank uses its plan from one thread at a time, the thread
/// that uses the communicator.
///
/// The arguments are those of Plan, but every axis of postsynaptic neurons has n = columns().count elements,
/// those of this rank: w is [P,n], hebb is [B,P,n], w_in is [I,n], y is [T,B,n], modulator.weight is [n]. The
/// axes of presynaptic neurons are whole. An lstm has n columns per gate: w_in is [I,4n], w_gates is [N,3n],
/// u is [T,B,4n]. parameter_shape(), input_shape() and state_shape() return the shapes. All ranks pass the
/// same values of the tensors without such an axis: x, pre, eta, modulator.bias, a scalar alpha, reset and
/// length. All of them get the same modulation, and the same gradients of these tensors: sums over the ranks.
/// For a tensor in dinputs.x or dinputs.pre, all ranks pass memory or all pass null.
///
/// The results of forward have the bits of Plan for any number of ranks, except those of softmax. backward,
/// and forward of softmax, have the bits of Plan if there is one rank; otherwise the order of the sums over
/// columns depends on the number of ranks. For one number of ranks all results have the same bits in every
/// run.
///
/// Not supported: cells without a plastic part, and GPUs.
class PLASTICITY_API ColumnPlan {
 public:
  /// A collective call. The communicator must outlive the plan. options.device is a CPU, and
  /// options.execution is automatic.
  ///
  /// Throws the errors of Plan, Error(unsupported) for a spec or a device that is not supported, and
  /// Error(communication) if the ranks differ in spec, steps, batch or precision. Without columns
  /// (N < number of ranks) a rank takes part in the exchanges only.
  ColumnPlan(const Spec& spec, const PlanOptions& options, Communicator& communicator);
  ~ColumnPlan();
  ColumnPlan(ColumnPlan&& other) noexcept;             ///< `other` may only be destroyed or assigned to
  ColumnPlan& operator=(ColumnPlan&& other) noexcept;  ///< `other` may only be destroyed or assigned to

  const Spec& spec() const { return spec_; }  ///< of the whole cell, as passed to the constructor
  const PlanOptions& options() const { return options_; }  ///< as passed to the constructor
  ColumnSlice columns() const { return columns_; }         ///< the columns of this rank
  std::int64_t checkpoint_interval() const;                ///< the chosen K, at least 1
  std::size_t tape_bytes() const;                          ///< tape size of this rank
  std::size_t scratch_bytes() const;                       ///< scratch size of this rank

  /// @{
  /// Returns the shape of this rank's tensor `name`, or nothing if the spec has no such tensor.
  std::optional<Shape> parameter_shape(std::string_view name) const;
  std::optional<Shape> input_shape(std::string_view name) const;
  std::optional<Shape> state_shape(std::string_view name) const;
  /// @}

  /// @{
  /// Runs T steps. A collective call. An empty tape records nothing; backward is then not possible. Throws
  /// the errors of Plan::forward before any exchange, and the errors of Communicator. Throws
  /// Error(communication) on every rank, before any output is written, if the ranks pass different values
  /// of a tensor without an axis of postsynaptic neurons.
  void forward(const ForwardArgs<float>& args, Tape tape, Scratch scratch);
  void forward(const ForwardArgs<double>& args, Tape tape, Scratch scratch);
  /// @}

  /// @{
  /// Computes the gradients of the forward pass that wrote the tape. A collective call. Throws the errors of
  /// Plan::backward before any exchange, and the errors of Communicator. Throws Error(communication) as
  /// forward(), and if only some ranks pass dinputs.x or dinputs.pre.
  void backward(const BackwardArgs<float>& args, Tape tape, Scratch scratch);
  void backward(const BackwardArgs<double>& args, Tape tape, Scratch scratch);
  /// @}

 private:
  Spec spec_;
  PlanOptions options_;
  ColumnSlice columns_;
  std::unique_ptr<ColumnBackend> backend_;
};

}  // namespace plasticity
