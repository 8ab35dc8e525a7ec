// Gradient clipping, the check for finite gradients and the steps of the optimizers, for all tensors of a
// list at once. The table of pointers is a kernel parameter, and a block works on a chunk of 1024 elements.
// The norm is summed in double, in an order that depends only on the sizes: no float atomics, the same bits
// every time. Grids: block-stride over the chunks, 256 threads, four elements per thread. Bytes per element:
// 4 for the norm and for the check, 8 more if gradients are scaled, 28 for Adam (gradient read, value and
// moments read and written).
#include <algorithm>

#include "training/block_sum.cuh"
#include "training/launch.hpp"

namespace plasticity::cuda {
namespace {

constexpr int thread_elements = chunk_elements / sum_threads;

/// Calls work(tensor, first element) for the block's chunks.
template <class Work>
__device__ void for_each_chunk(const TensorTable& table, Work work) {
  const std::int64_t chunks = table.first_chunk[table.count];
  int k = 0;
  for (std::int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    while (chunk >= table.first_chunk[k + 1]) ++k;
    work(table.tensors[k], (chunk - table.first_chunk[k]) * chunk_elements);
  }
}

__global__ void __launch_bounds__(sum_threads)
    squares_kernel(const __grid_constant__ TensorTable table, double* partial, bool adds) {
  PLASTICITY_SHARED(double, words, [sum_threads]);
  double sum = 0;
  for_each_chunk(table, [&](const TrainedTensor& tensor, std::int64_t first) {
#pragma unroll
    for (int piece = 0; piece < thread_elements; ++piece) {
      const std::int64_t k = first + piece * sum_threads + threadIdx.x;
      const double gradient = k < tensor.elements ? tensor.gradient[k] : 0;
      sum += gradient * gradient;
    }
  });
  sum = block_sum(sum, words);
  if (threadIdx.x == 0) partial[blockIdx.x] = adds ? partial[blockIdx.x] + sum : sum;
}

__global__ void __launch_bounds__(sum_threads)
    clip_kernel(const __grid_constant__ TensorTable table, const double* partial, int partials,
                double max_norm, double* norm) {
  PLASTICITY_SHARED(double, words, [sum_threads]);
  double sum = 0;
  for (int k = static_cast<int>(threadIdx.x); k < partials; k += sum_threads) sum += partial[k];
  const double found = std::sqrt(block_sum(sum, words));
  if (norm != nullptr && blockIdx.x == 0 && threadIdx.x == 0) *norm = found;
  if (!exceeds(found, max_norm)) return;
  const float factor = clip_factor(found, max_norm);
  for_each_chunk(table, [&](const TrainedTensor& tensor, std::int64_t first) {
#pragma unroll
    for (int piece = 0; piece < thread_elements; ++piece) {
      const std::int64_t k = first + piece * sum_threads + threadIdx.x;
      if (k < tensor.elements) tensor.gradient[k] *= factor;
    }
  });
}

__global__ void __launch_bounds__(sum_threads)
    not_finite_kernel(const __grid_constant__ TensorTable table, std::uint32_t* found) {
  const std::int64_t chunks = table.first_chunk[table.count];
  int k = 0;
  for (std::int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    while (chunk >= table.first_chunk[k + 1]) ++k;
    const TrainedTensor& tensor = table.tensors[k];
    const std::int64_t first = (chunk - table.first_chunk[k]) * chunk_elements;
    bool bad = false;
#pragma unroll
    for (int piece = 0; piece < thread_elements; ++piece) {
      const std::int64_t element = first + piece * sum_threads + threadIdx.x;
      if (element < tensor.elements) bad = bad || !is_finite(tensor.gradient[element]);
    }
    // A minimum of integers does not depend on the order of the threads.
    if (bad) atomicMin(found, table.index[k]);
  }
}

template <Method method, bool momentum>
__global__ void __launch_bounds__(sum_threads)
    update_kernel(const __grid_constant__ TensorTable table, const OptimizerConstants constants,
                  const UpdateScales* device_scales, const std::int32_t* veto) {
  if (veto != nullptr && *veto != -1) return;
  const UpdateScales scales = *device_scales;
  constexpr bool first_used = has_first<method, momentum>, second_used = has_second<method>;
  for_each_chunk(table, [&](const TrainedTensor& tensor, std::int64_t first) {
    float gradient[thread_elements], m[thread_elements], v[thread_elements], value[thread_elements];
    const float factor = tensor.learning_rate_factor;
    const float rate = scales.learning_rate * factor, decay = scales.decay * factor * tensor.weight_decay;
    const auto each = [&](auto work) {
#pragma unroll
      for (int piece = 0; piece < thread_elements; ++piece) {
        const std::int64_t k = first + piece * sum_threads + threadIdx.x;
        if (k < tensor.elements) work(k, piece);
      }
    };
    each([&](std::int64_t k, int piece) {  // all loads before the first store
      gradient[piece] = tensor.gradient[k];
      m[piece] = first_used ? tensor.first[k] : 0;
      v[piece] = second_used ? tensor.second[k] : 0;
      value[piece] = tensor.value[k];
    });
    each([&](std::int64_t k, int piece) {
      update_element<method, momentum>(constants, rate, scales.second, decay, gradient[piece], m[piece],
                                       v[piece], value[piece]);
      if (first_used) tensor.first[k] = m[piece];
      if (second_used) tensor.second[k] = v[piece];
      tensor.value[k] = value[piece];
    });
  });
}

unsigned blocks_of(const TensorTable& table) {
  return static_cast<unsigned>(std::min<std::int64_t>(table.first_chunk[table.count], 4096));
}

}  // namespace

int squares_partials(const TensorTable& table) {
  return static_cast<int>(std::clamp<std::int64_t>(table.first_chunk[table.count], 1, max_summing_blocks));
}

void launch_squares(const TensorTable& table, double* partial, int partials, bool adds, cudaStream_t stream) {
  launch(squares_kernel, {.grid = static_cast<unsigned>(partials), .block = sum_threads, .stream = stream},
         table, partial, adds);
}

void launch_clip(const TensorTable& table, const double* partial, int partials, double max_norm, double* norm,
                 cudaStream_t stream) {
  launch(clip_kernel, {.grid = std::max(blocks_of(table), 1u), .block = sum_threads, .stream = stream}, table,
         partial, partials, max_norm, norm);
}

void launch_not_finite(const TensorTable& table, std::uint32_t* found, cudaStream_t stream) {
  const unsigned blocks = blocks_of(table);
  if (blocks == 0) return;
  launch(not_finite_kernel, {.grid = blocks, .block = sum_threads, .stream = stream}, table, found);
}

void launch_update(const TensorTable& table, const UpdateOptions& options, const UpdateScales* scales,
                   const std::int32_t* veto, cudaStream_t stream) {
  const unsigned blocks = blocks_of(table);
  if (blocks == 0) return;
  dispatch_update(options, [&]<Method method, bool momentum> {
    launch(update_kernel<method, momentum>, {.grid = blocks, .block = sum_threads, .stream = stream}, table,
           constants_of(options), scales, veto);
  });
}

}  // namespace plasticity::cuda
