#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "backend.hpp"
#include "launch_graph.hpp"
#include "plasticity/training.hpp"

// The core library knows no CUDA. What the CUDA part (target plasticity::cuda) offers, it registers here when
// the program starts.
namespace plasticity {

struct CudaPart {
  std::string (*unavailable_reason)();        // empty: there is a device
  std::string (*unusable_reason)(int index);  // empty: kernels run on this one
  std::string (*device_name)(int index);
  std::string (*description)();  // lines for `plasticity info`: toolkit, driver, architectures, devices
  std::shared_ptr<const Backend> (*make_backend)(const Spec& spec, const PlanOptions& options);
  void* (*allocate)(int index, std::size_t bytes);
  void (*release)(int index, void* data) noexcept;
  void (*copy)(int index, Stream stream, void* to, const void* from, std::size_t bytes);
  void (*fill_zero)(int index, Stream stream, void* data, std::size_t bytes);
  void (*synchronize)(int index, Stream stream);
  void* (*allocate_page_locked)(int index, std::size_t bytes);
  void (*release_page_locked)(void* data) noexcept;
  void (*copy_asynchronously)(int index, Stream stream, void* to, const void* from, std::size_t bytes);
  std::unique_ptr<LaunchGraph> (*make_graph)(int index);
  std::size_t (*training_scratch_bytes)();
  void (*squared_error)(int index, Stream stream, const SquaredErrorArgs& args, Scratch scratch);
  void (*clip_gradients)(int index, Stream stream, std::span<const TrainedTensor> tensors, double most,
                         double* norm, Scratch scratch);
  void (*adam_step)(int index, Stream stream, std::span<const TrainedTensor> tensors,
                    const AdamOptions& options, const AdamScales* scales);
  void (*begin_range)(const char* name) noexcept;  // in the timeline of a profiler
  void (*end_range)() noexcept;
};

/// Null where the program is not linked with the CUDA part.
const CudaPart* cuda_part();

/// `part` lives as long as the program. The one internal function that a shared library shows: the CUDA part
/// is one of its own.
PLASTICITY_API void register_cuda_part(const CudaPart& part);

}  // namespace plasticity
