#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plasticity/column_plan.hpp"

// Slices of the columns of a tensor, and messages of all slices.
namespace plasticity {

/// Columns of any rank among `neurons` columns.
ColumnSlice columns_of(int ranks, int rank, std::int64_t neurons);

/// Copies columns of a [rows,N] tensor to a [rows,n] slice.
template <class Real>
void copy_columns(std::int64_t rows, std::int64_t neurons, ColumnSlice columns, const Real* whole,
                  Real* slice);

/// Gathers slices with one message. `first` is fixed, so that a call allocates nothing.
class ColumnGather {
 public:
  ColumnGather(Communicator& communicator, std::int64_t rows, std::int64_t neurons);

  /// The part of a message that this rank fills: [rows,n].
  template <class Real>
  Real* own(Real* message) const {
    return message + first_[static_cast<std::size_t>(communicator_->rank())];
  }
  /// Gathers a message of rows * N elements, then copies it to `whole` [rows,N].
  template <class Real>
  void run(Real* message, Real* whole) const;

 private:
  Communicator* communicator_;
  std::int64_t rows_, neurons_;
  std::vector<std::int64_t> first_;  // [ranks+1] of the slices in the message
};

}  // namespace plasticity
