// The rows that a thread needs next, on their way from global to shared memory while it computes the present
// one. A thread reads only its own copies, so no barrier is needed.
#pragma once

#include "step/block.cuh"

namespace plasticity::cuda {

/// 16 bytes of a row: a thread's four columns.
using RowPart = Pack<float>;

/// Dynamic shared memory of a kernel whose threads copy `streams` matrices `stages` rows ahead.
constexpr std::size_t ahead_bytes(int streams, int stages) {
  return sizeof(RowPart) * block_threads * static_cast<std::size_t>(streams * stages);
}

/// The coming rows of `streams` matrices. The last of them may be absent (`count` is then streams − 1).
template <int streams, int stages>
class RowsAhead {
 public:
  /// `shared`: ahead_bytes() of the block. `rows`: of the thread. set() and start() follow.
  __device__ __forceinline__ RowsAhead(RowPart* shared, int rows, bool has_last)
      : own_(shared + threadIdx.x), left_(rows), has_last_(has_last) {}

  /// Matrix `stream` begins at `first`, the thread's first row and column, and has `step` floats from one of
  /// the thread's rows to the next.
  __device__ __forceinline__ void set(int stream, const float* first, std::int64_t step) {
    from_[stream] = first;
    (stream + 1 < streams ? step_ : last_step_) = step;
  }

  /// Asks for the first rows.
  __device__ __forceinline__ void start() {
#pragma unroll
    for (int stage = 0; stage < stages - 1; ++stage) ask(stage);
  }

  /// Another instance of this thread, with the same rows and matrices, has called start().
  __device__ __forceinline__ void assume_started() {
    left_ -= stages - 1;
#pragma unroll
    for (int stream = 0; stream < streams; ++stream)
      from_[stream] += (stages - 1) * (stream + 1 < streams ? step_ : last_step_);
  }

  /// Asks for one more row, and waits for row `stage`, `stage` + `stages`, …
  __device__ __forceinline__ void next(int stage) {
    ask((stage + stages - 1) % stages);
    cp_async_wait<stages - 1>();
  }

  /// A matrix's row that next() has waited for.
  __device__ __forceinline__ void load(int stage, int stream, float (&v)[4]) const {
    const RowPart part = load_pack(reinterpret_cast<const float*>(place(stage, stream)));
#pragma unroll
    for (int k = 0; k < 4; ++k) v[k] = part[k];
  }

  /// The address of the row that next() has waited for, in global memory.
  __device__ __forceinline__ const float* present(int stream) const {
    return from_[stream] - stages * (stream + 1 < streams ? step_ : last_step_);
  }

 private:
  __device__ __forceinline__ RowPart* place(int stage, int stream) const {
    return own_ + (stage * streams + stream) * block_threads;
  }

  /// Asks for the next row that has not been asked for. Makes a group of copies also without a row left.
  __device__ __forceinline__ void ask(int stage) {
    if (left_-- > 0) {
#pragma unroll
      for (int stream = 0; stream < streams; ++stream) {
        if (stream + 1 < streams || has_last_) cp_async_16(place(stage, stream), from_[stream]);
      }
    }
    cp_async_commit();
#pragma unroll
    for (int stream = 0; stream < streams; ++stream)
      from_[stream] += stream + 1 < streams ? step_ : last_step_;
  }

  RowPart* own_;
  const float* from_[streams];
  std::int64_t step_ = 0, last_step_ = 0;
  int left_;
  bool has_last_;
};

}  // namespace plasticity::cuda
