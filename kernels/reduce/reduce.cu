// Sums over batch elements or steps, added to the previous sums, by CUB's device-wide reductions. A column is
// a segment, and one block reduces it; the whole device reduces a single column. A segment begins with the
// previous sum, so one call reads it and writes it back. Bytes: the values read once, in sectors of 32 bytes
// of which a column uses 4 (the others stay in L2: 4 T B N).
#include "reduce/launch.hpp"

#include <cub/device/device_reduce.cuh>
#include <cub/device/device_segmented_reduce.cuh>
#include <iterator>

#include "common/launch.hpp"

namespace plasticity::cuda {
namespace {

/// The part of a random-access iterator that CUB uses. `At` is a function of the index.
template <class Value, class At>
class Iterator {
 public:
  using iterator_category = std::random_access_iterator_tag;
  using value_type = Value;
  using difference_type = std::int64_t;
  using pointer = const Value*;
  using reference = Value;

  explicit Iterator(At at, std::int64_t index = 0) : at_(at), index_(index) {}
  __host__ __device__ Value operator*() const { return at_(index_); }
  __host__ __device__ Value operator[](std::int64_t k) const { return at_(index_ + k); }
  __host__ __device__ Iterator operator+(std::int64_t k) const {
    Iterator moved = *this;
    moved.index_ += k;
    return moved;
  }

 private:
  At at_;
  std::int64_t index_;
};

/// The columns one after another: the previous sum, then the column's values.
struct ColumnMajor {
  ColumnSums sums;
  __host__ __device__ float operator()(std::int64_t index) const {
    const std::int64_t length = sums.rows + 1, column = index / length, row = index % length;
    return row == 0 ? sums.sums[column] : sums.values[(row - 1) * sums.columns + column];
  }
};

/// The index at which a segment begins.
struct Begin {
  std::int64_t length;
  __host__ __device__ std::int64_t operator()(std::int64_t segment) const { return segment * length; }
};

cudaError_t reduce(const ColumnSums& sums, void* workspace, std::size_t& bytes, cudaStream_t stream) {
  const std::int64_t length = sums.rows + 1;
  const Iterator<float, ColumnMajor> values(ColumnMajor{sums});
  if (sums.columns == 1) return cub::DeviceReduce::Sum(workspace, bytes, values, sums.sums, length, stream);
  const Iterator<std::int64_t, Begin> begin(Begin{length}), end(Begin{length}, 1);
  return cub::DeviceSegmentedReduce::Sum(workspace, bytes, values, sums.sums, sums.columns, begin, end,
                                         stream);
}

}  // namespace

std::size_t column_sums_bytes(std::int64_t rows, std::int64_t columns) {
  std::size_t bytes = 0;
  if (rows > 0 && columns > 0)
    check(reduce({nullptr, rows, columns, nullptr}, nullptr, bytes, nullptr), "CUB");
  return bytes;
}

void launch_column_sums(const ColumnSums& sums, void* workspace, std::size_t bytes, cudaStream_t stream) {
  if (sums.rows == 0 || sums.columns == 0) return;
  check(reduce(sums, workspace, bytes, stream), "CUB");
}

}  // namespace plasticity::cuda
