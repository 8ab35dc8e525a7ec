#include "communicator/columns.hpp"

#include <algorithm>

#include "base/throw_error.hpp"
#include "communicator/slices.hpp"

namespace plasticity {

ColumnSlice columns_of(int ranks, int rank, std::int64_t neurons) {
  const ItemRange range = equal_slice(neurons, ranks, rank);
  return {range.first, range.count};
}

ColumnSlice columns_of(const Communicator& communicator, std::int64_t neurons) {
  if (neurons < 0) bad_argument("neurons", "at least 0", str_cat(neurons));
  return columns_of(communicator.size(), communicator.rank(), neurons);
}

template <class Real>
void copy_columns(std::int64_t rows, std::int64_t neurons, ColumnSlice columns, const Real* whole,
                  Real* slice) {
  for (std::int64_t row = 0; row < rows; ++row)
    std::copy_n(whole + row * neurons + columns.first, columns.count, slice + row * columns.count);
}

ColumnGather::ColumnGather(Communicator& communicator, std::int64_t rows, std::int64_t neurons)
    : communicator_(&communicator), rows_(rows), neurons_(neurons) {
  for (int rank = 0; rank <= communicator.size(); ++rank)
    first_.push_back(rows * columns_of(communicator.size(), rank, neurons).first);
}

template <class Real>
void ColumnGather::run(Real* message, Real* whole) const {
  communicator_->all_gather(std::span(message, static_cast<std::size_t>(rows_ * neurons_)),
                            std::span<const std::int64_t>(first_));
  for (int rank = 0; rank < communicator_->size(); ++rank) {
    const ColumnSlice columns = columns_of(communicator_->size(), rank, neurons_);
    const Real* slice = message + first_[static_cast<std::size_t>(rank)];
    for (std::int64_t row = 0; row < rows_; ++row)
      std::copy_n(slice + row * columns.count, columns.count, whole + row * neurons_ + columns.first);
  }
}

namespace {

void check_matrices(const Communicator& communicator, std::int64_t rows, std::int64_t neurons,
                    const void* whole, const void* slice) {
  if (rows < 0) bad_argument("rows", "at least 0", str_cat(rows));
  if (neurons < 0) bad_argument("neurons", "at least 0", str_cat(neurons));
  constexpr std::int64_t max_elements = std::int64_t{1} << 48;
  if (neurons > 0 && rows > max_elements / neurons)
    bad_argument("rows", str_cat("at most ", max_elements / neurons, " of ", neurons, " neurons"),
                 str_cat(rows));
  const auto check = [&](const char* name, const void* data, std::int64_t elements) {
    if (data == nullptr && elements > 0) bad_argument(name, str_cat(elements, " elements"), "null");
  };
  check("whole", whole, rows * neurons);
  check("slice", slice, rows * columns_of(communicator, neurons).count);
}

template <class Real>
void take(const Communicator& communicator, std::int64_t rows, std::int64_t neurons, const Real* whole,
          Real* slice) {
  check_matrices(communicator, rows, neurons, whole, slice);
  copy_columns(rows, neurons, columns_of(communicator, neurons), whole, slice);
}

template <class Real>
void gather(Communicator& communicator, std::int64_t rows, std::int64_t neurons, const Real* slice,
            Real* whole) {
  check_matrices(communicator, rows, neurons, whole, slice);
  const ColumnGather gather(communicator, rows, neurons);
  std::vector<Real> message(static_cast<std::size_t>(rows * neurons));
  std::copy_n(slice, rows * columns_of(communicator, neurons).count, gather.own(message.data()));
  gather.run(message.data(), whole);
}

}  // namespace

void take_columns(const Communicator& communicator, std::int64_t rows, std::int64_t neurons,
                  const float* whole, float* slice) {
  take(communicator, rows, neurons, whole, slice);
}
void take_columns(const Communicator& communicator, std::int64_t rows, std::int64_t neurons,
                  const double* whole, double* slice) {
  take(communicator, rows, neurons, whole, slice);
}
void gather_columns(Communicator& communicator, std::int64_t rows, std::int64_t neurons, const float* slice,
                    float* whole) {
  gather(communicator, rows, neurons, slice, whole);
}
void gather_columns(Communicator& communicator, std::int64_t rows, std::int64_t neurons, const double* slice,
                    double* whole) {
  gather(communicator, rows, neurons, slice, whole);
}

template void copy_columns(std::int64_t, std::int64_t, ColumnSlice, const float*, float*);
template void copy_columns(std::int64_t, std::int64_t, ColumnSlice, const double*, double*);
template void ColumnGather::run(float*, float*) const;
template void ColumnGather::run(double*, double*) const;

}  // namespace plasticity
