#include "cuda/training.hpp"

#include <algorithm>
#include <vector>

#include "base/throw_error.hpp"
#include "cuda/runtime.hpp"
#include "training/launch.hpp"

namespace plasticity::cuda {
namespace {

/// The non-empty tensors, split into tables of at most max_tensors. At least one table.
std::vector<TensorTable> tables_of(std::span<const TrainedTensor> tensors) {
  std::vector<TensorTable> tables(1);
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const TrainedTensor& tensor = tensors[k];
    if (tensor.elements == 0) continue;
    if (tables.back().count == TensorTable::max_tensors) tables.emplace_back();
    TensorTable& table = tables.back();
    const std::int64_t chunks = (tensor.elements - 1) / chunk_elements + 1;
    table.first_chunk[table.count + 1] = table.first_chunk[table.count] + chunks;
    table.index[table.count] = static_cast<std::uint32_t>(k);
    table.tensors[table.count++] = tensor;
  }
  return tables;
}

}  // namespace

std::size_t training_scratch_bytes() {
  return std::max({squared_error_bytes, cross_entropy_bytes, clip_bytes});
}

void run_squared_error(int index, Stream stream, const SquaredErrorArgs& args, Scratch scratch) {
  const CurrentDevice current(index);
  check_device_pointer(index, "args", "y", args.y);
  check_device_pointer(index, "args", "target", args.target);
  check_device_pointer(index, "args", "mask", args.mask);
  check_device_pointer(index, "args", "dy", args.dy);
  check_device_pointer(index, "args", "loss", args.loss);
  check_device_pointer(index, "scratch", "data", scratch.data);
  launch_squared_error(args, static_cast<SquaredSums*>(scratch.data), stream.handle);
}

void run_softmax_cross_entropy(int index, Stream stream, const CrossEntropyArgs& args, Scratch scratch) {
  const CurrentDevice current(index);
  check_device_pointer(index, "args", "logits", args.logits);
  check_device_pointer(index, "args", "labels", args.labels);
  check_device_pointer(index, "args", "dlogits", args.dlogits);
  check_device_pointer(index, "args", "loss", args.loss);
  check_device_pointer(index, "scratch", "data", scratch.data);
  launch_cross_entropy(args, static_cast<CrossEntropySums*>(scratch.data), stream.handle);
}

void run_clip_gradients(int index, Stream stream, std::span<const TrainedTensor> tensors, double max_norm,
                        double* norm, Scratch scratch) {
  const CurrentDevice current(index);
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    check_device_pointer(index, str_cat("tensors[", k, "]").c_str(), "gradient", tensors[k].gradient);
  }
  check_device_pointer(index, "", "norm", norm);
  check_device_pointer(index, "scratch", "data", scratch.data);
  auto* const partial = static_cast<double*>(scratch.data);
  const std::vector<TensorTable> tables = tables_of(tensors);
  int partials = 1;
  for (const TensorTable& table : tables) partials = std::max(partials, squares_partials(table));
  for (const TensorTable& table : tables) {
    launch_squares(table, partial, partials, &table != &tables[0], stream.handle);
  }
  for (const TensorTable& table : tables) {
    launch_clip(table, partial, partials, max_norm, &table == &tables[0] ? norm : nullptr, stream.handle);
  }
}

void run_find_not_finite(int index, Stream stream, std::span<const TrainedTensor> tensors,
                         std::int32_t* found) {
  const CurrentDevice current(index);
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    check_device_pointer(index, str_cat("tensors[", k, "]").c_str(), "gradient", tensors[k].gradient);
  }
  check_device_pointer(index, "", "found", found);
  // All bits set: -1 for the caller, and above every index for the kernel.
  check(cudaMemsetAsync(found, 0xff, sizeof(*found), stream.handle), "find_not_finite");
  for (const TensorTable& table : tables_of(tensors))
    launch_not_finite(table, reinterpret_cast<std::uint32_t*>(found), stream.handle);
}

void run_update_step(int index, Stream stream, std::span<const TrainedTensor> tensors,
                     const UpdateOptions& options, const UpdateScales* scales, const std::int32_t* veto) {
  const CurrentDevice current(index);
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const std::string name = str_cat("tensors[", k, "]");
    check_device_pointer(index, name.c_str(), "value", tensors[k].value);
    check_device_pointer(index, name.c_str(), "gradient", tensors[k].gradient);
    if (uses_first_moment(options)) check_device_pointer(index, name.c_str(), "first", tensors[k].first);
    if (uses_second_moment(options)) check_device_pointer(index, name.c_str(), "second", tensors[k].second);
  }
  check_device_pointer(index, "", "scales", scales);
  check_device_pointer(index, "", "veto", veto);
  for (const TensorTable& table : tables_of(tensors))
    launch_update(table, options, scales, veto, stream.handle);
}

}  // namespace plasticity::cuda
