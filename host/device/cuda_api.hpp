#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "device/launch_graph.hpp"
#include "plasticity/communicator.hpp"
#include "plasticity/linear.hpp"
#include "plasticity/plan.hpp"
#include "plasticity/training.hpp"

// The core library does not depend on CUDA. The CUDA library (target plasticity::cuda) registers its
// functions here when the program starts.
namespace plasticity {

/// The result of timing a GPU for the planner.
struct Tuning {
  std::string file;   ///< the text of a file for PLASTICITY_TUNING_FILE
  std::string lines;  ///< for people: the constants, and how well they fit
};

struct CudaApi {
  std::string (*unavailable_reason)();        // empty if there is a device
  std::string (*unusable_reason)(int index);  // empty if kernels run on it
  std::string (*device_name)(int index);
  std::string (*description)();  // for `plasticity info`: toolkit, driver, architectures, devices
  std::shared_ptr<const Backend> (*make_backend)(const Spec& spec, const PlanOptions& options);
  /// JSON: the executions that a plan has on a GPU that is named (`h100`), with their estimated times. Needs
  /// no GPU.
  std::string (*estimates)(const Spec& spec, const PlanOptions& options, const std::string& gpu);
  Tuning (*tune)(int index, double seconds);
  Tuning (*fit)(const std::string& path);  // of the times in a tuning file; needs no GPU
  void* (*allocate)(int index, std::size_t bytes);
  void (*release)(int index, void* data) noexcept;
  void (*copy)(int index, Stream stream, void* to, const void* from, std::size_t bytes);
  void (*fill_zero)(int index, Stream stream, void* data, std::size_t bytes);
  void (*synchronize)(int index, Stream stream);
  void* (*allocate_page_locked)(int index, std::size_t bytes);
  void (*release_page_locked)(int index, void* data) noexcept;
  void (*copy_asynchronously)(int index, Stream stream, void* to, const void* from, std::size_t bytes);
  std::unique_ptr<LaunchGraph> (*make_graph)(int index);
  std::size_t (*training_scratch_bytes)();
  void (*squared_error)(int index, Stream stream, const SquaredErrorArgs& args, Scratch scratch);
  void (*softmax_cross_entropy)(int index, Stream stream, const CrossEntropyArgs& args, Scratch scratch);
  void (*clip_gradients)(int index, Stream stream, std::span<const TrainedTensor> tensors, double max_norm,
                         double* norm, Scratch scratch);
  void (*find_not_finite)(int index, Stream stream, std::span<const TrainedTensor> tensors,
                          std::int32_t* found);
  void (*update_step)(int index, Stream stream, std::span<const TrainedTensor> tensors,
                      const UpdateOptions& options, const UpdateScales* scales, const std::int32_t* veto);
  std::size_t (*linear_scratch_bytes)(int index, std::int64_t inputs, std::int64_t outputs);
  void (*linear_forward)(int index, Stream stream, const LinearArgs& args);
  void (*linear_backward)(int index, Stream stream, const LinearGradientArgs& args, Scratch scratch);
  NcclId (*nccl_id)();
  std::unique_ptr<Communicator> (*make_nccl)(int index, const NcclId& id, int rank, int size,
                                             const CommunicatorOptions& options);
  void (*begin_range)(const char* name) noexcept;  // a range in a profiler's timeline
  void (*end_range)() noexcept;
};

/// Null if the program does not link the CUDA library.
const CudaApi* cuda_api();

/// Null if `device` is the CPU.
inline const CudaApi* cuda_api_of(Device device) {
  return device.kind() == DeviceKind::cuda ? cuda_api() : nullptr;
}

/// `api` must stay valid until the program ends. Exported although it is internal, because the CUDA library
/// is a library of its own.
PLASTICITY_API void register_cuda_api(const CudaApi& api);

}  // namespace plasticity
