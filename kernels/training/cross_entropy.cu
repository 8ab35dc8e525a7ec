// loss = Σ -log softmax(row)[label] / count, dlogits = (softmax(row) - 1 at the label) / count, over the rows
// with a label, count of them. The first kernel writes the sums of each block's rows. In the second, every
// block adds up all sums in the same order, for the count, and writes the gradient of its rows: no atomics,
// the same bits every time. Grids: one warp per row, grid-stride, at most 512 blocks of 8 warps that sum. In
// registers: the largest logit and the sum of exponentials of a row, in double. Bytes per entry: the logit
// read five times (twice in the first kernel, mostly from cache after the first time), the gradient written
// once: 8 from and to memory.
#include <algorithm>

#include "common/lanes.cuh"
#include "training/block_sum.cuh"
#include "training/launch.hpp"

namespace plasticity::cuda {
namespace {

constexpr int warp_threads = 32, block_rows = sum_threads / warp_threads;

/// Calls work(row, label, lane) for the warp's rows. The label is -1 if the row has none.
template <class Work>
__device__ void for_each_row(const CrossEntropyArgs& args, Work work) {
  const std::int64_t stride = std::int64_t{gridDim.x} * block_rows;
  for (std::int64_t row = std::int64_t{blockIdx.x} * block_rows + warp_id(); row < args.rows; row += stride) {
    const std::int64_t label = args.labels[row];
    work(row, label < args.classes ? label : -1, lane_id());
  }
}

/// Returns the row's softmax to every lane of the warp.
__device__ SoftmaxRow softmax_of(const float* logits, std::int64_t classes, int lane) {
  float largest = logits[0];
  for (std::int64_t k = lane; k < classes; k += warp_threads) largest = fmaxf(largest, logits[k]);
  largest = join_lanes(largest, [](float a, float b) { return fmaxf(a, b); });
  double sum = 0;
  for (std::int64_t k = lane; k < classes; k += warp_threads) sum += exp_below(logits[k], largest);
  return {largest, join_lanes(sum, Add{})};
}

__global__ void __launch_bounds__(sum_threads)
    cross_entropy_sums_kernel(const __grid_constant__ CrossEntropyArgs args, CrossEntropySums* partial) {
  PLASTICITY_SHARED(CrossEntropySums, words, [sum_threads]);
  CrossEntropySums sums{};
  for_each_row(args, [&](std::int64_t row, std::int64_t label, int lane) {
    if (label < 0) return;
    const float* const logits = args.logits + row * args.classes;
    const SoftmaxRow softmax = softmax_of(logits, args.classes, lane);
    if (lane == 0) sums += CrossEntropySums{entropy_of(softmax, logits[label]), 1};
  });
  sums = block_sum(sums, words);
  if (threadIdx.x == 0) partial[blockIdx.x] = sums;
}

__global__ void __launch_bounds__(sum_threads)
    cross_entropy_kernel(const __grid_constant__ CrossEntropyArgs args, const CrossEntropySums* partial,
                         int partials) {
  PLASTICITY_SHARED(CrossEntropySums, words, [sum_threads]);
  CrossEntropySums sums{};
  for (int k = static_cast<int>(threadIdx.x); k < partials; k += sum_threads) sums += partial[k];
  sums = block_sum(sums, words);
  const double divisor = divisor_of(args, sums.count);
  if (args.loss != nullptr && blockIdx.x == 0 && threadIdx.x == 0) {
    *args.loss = divisor == 0 ? 0 : sums.loss / divisor;
  }
  if (args.dlogits == nullptr) return;
  for_each_row(args, [&](std::int64_t row, std::int64_t label, int lane) {
    const float* const logits = args.logits + row * args.classes;
    float* const dlogits = args.dlogits + row * args.classes;
    const SoftmaxRow softmax = label < 0 ? SoftmaxRow{} : softmax_of(logits, args.classes, lane);
    for (std::int64_t k = lane; k < args.classes; k += warp_threads)
      dlogits[k] = label < 0 ? 0.0f : entropy_gradient(softmax, logits[k], k == label, divisor);
  });
}

}  // namespace

void launch_cross_entropy(const CrossEntropyArgs& args, CrossEntropySums* partial, cudaStream_t stream) {
  const std::int64_t wanted = (args.rows + block_rows - 1) / block_rows;
  const int summing = static_cast<int>(std::min<std::int64_t>(wanted, max_summing_blocks));
  if (summing > 0) {
    launch(cross_entropy_sums_kernel,
           {.grid = static_cast<unsigned>(summing), .block = sum_threads, .stream = stream}, args, partial);
  }
  const std::int64_t writing = args.dlogits == nullptr ? 1 : std::clamp<std::int64_t>(wanted, 1, 4096);
  launch(cross_entropy_kernel,
         {.grid = static_cast<unsigned>(writing), .block = sum_threads, .stream = stream}, args,
         static_cast<const CrossEntropySums*>(partial), summing);
}

}  // namespace plasticity::cuda
