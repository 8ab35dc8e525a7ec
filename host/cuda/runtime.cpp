#include "cuda/runtime.hpp"

#include "base/throw_error.hpp"
#include "cuda/cuda_plan.hpp"
#include "cuda/estimates.hpp"
#include "cuda/graph.hpp"
#include "cuda/nccl.hpp"
#include "cuda/ranges.hpp"
#include "cuda/training.hpp"
#include "cuda/tune.hpp"
#include "device/cuda_api.hpp"
#include "step/launch.hpp"

namespace plasticity::cuda {
namespace {

std::string unavailable_reason() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess) return count > 0 ? "" : "no CUDA device was found";
  cudaGetLastError();
  if (error == cudaErrorNoDevice) return "no CUDA device was found";
  if (error == cudaErrorInsufficientDriver) {
    return str_cat("the CUDA driver is missing or too old (the library was built with CUDA ",
                   CUDART_VERSION / 1000, '.', CUDART_VERSION % 1000 / 10, ")");
  }
  return str_cat(cudaGetErrorName(error), ": ", cudaGetErrorString(error));
}

std::string unusable_reason(int index) {
  int count = 0;
  check(cudaGetDeviceCount(&count), "the number of CUDA devices");
  if (index >= count) return str_cat("only ", count, count == 1 ? " device" : " devices");
  const CurrentDevice current(index);
  const cudaError_t error = probe_kernels();
  if (error == cudaSuccess) return "";
  cudaGetLastError();
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index));
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index));
  return str_cat("compute capability ", major, '.', minor, ", for which this build has no kernels (",
                 cudaGetErrorName(error), "; see PLASTICITY_CUDA_ARCHITECTURES)");
}

std::string device_name(int index) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index), "the properties of a CUDA device");
  return properties.name;
}

std::string describe_version(int version) { return str_cat(version / 1000, '.', version % 1000 / 10); }

#ifndef PLASTICITY_ARCHITECTURES
#define PLASTICITY_ARCHITECTURES "none, the kernels run on the CPU"
#endif

std::string description() {
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
  cudaGetLastError();
  std::string lines = str_cat("toolkit CUDA ", describe_version(CUDART_VERSION), ", driver ",
                              driver == 0 ? "none" : str_cat("for CUDA up to ", describe_version(driver)),
                              "\narchitectures ", PLASTICITY_ARCHITECTURES);
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, index), "the properties of a CUDA device");
    const std::string unusable = unusable_reason(index);
    lines += str_cat("\ndevice ", index, ' ', properties.name, ", compute capability ", properties.major, '.',
                     properties.minor, ", ", properties.totalGlobalMem >> 20, " MiB",
                     unusable.empty() ? "" : ": " + unusable);
  }
  return lines;
}

void* allocate(int index, std::size_t bytes) {
  const CurrentDevice current(index);
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free_bytes = 0, total = 0;
    check(cudaMemGetInfo(&free_bytes, &total));
    throw_error(ErrorCode::out_of_memory, str_cat("memory of CUDA device ", index), str_cat(bytes, " bytes"),
                str_cat(free_bytes, " of ", total, " free"));
  }
  check(error, "cudaMalloc");
  return data;
}

/// Ignores errors: cudaFree() also reports faults of earlier work, which a later synchronisation reports
/// again.
void release(int index, void* data) noexcept {
  const CurrentDevice current(index, std::nothrow);
  if (cudaFree(data) != cudaSuccess) cudaGetLastError();
}

void copy(int index, Stream stream, void* to, const void* from, std::size_t bytes) {
  const CurrentDevice current(index);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream.handle), "copy");
  check(cudaStreamSynchronize(stream.handle), "copy");
}

void fill_zero(int index, Stream stream, void* data, std::size_t bytes) {
  const CurrentDevice current(index);
  check(cudaMemsetAsync(data, 0, bytes, stream.handle), "fill_zero");
}

void synchronize(int index, Stream stream) {
  const CurrentDevice current(index);
  check(cudaStreamSynchronize(stream.handle), "synchronize");
}

void* allocate_page_locked(int index, std::size_t bytes) {
  const CurrentDevice current(index);
  void* data = nullptr;
  check(cudaMallocHost(&data, bytes), str_cat(bytes, " bytes of page-locked memory of the host"));
  return data;
}

void release_page_locked(int index, void* data) noexcept {
  const CurrentDevice current(index, std::nothrow);
  if (cudaFreeHost(data) != cudaSuccess) cudaGetLastError();
}

void copy_asynchronously(int index, Stream stream, void* to, const void* from, std::size_t bytes) {
  const CurrentDevice current(index);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream.handle), "copy");
}

class DeviceGraph final : public LaunchGraph {
 public:
  explicit DeviceGraph(int index) : index_(index) {}
  void run(const LaunchKey& key, Stream stream, const std::function<void(Stream)>& work) override {
    const CurrentDevice current(index_);
    SequenceGraph::Call call(graph_, key.bytes(), stream.handle);
    if (call.needs_launches()) work({call.stream()});
    call.finish();
  }

 private:
  int index_;
  SequenceGraph graph_;
};

std::unique_ptr<LaunchGraph> make_graph(int index) { return std::make_unique<DeviceGraph>(index); }

std::shared_ptr<const Backend> make_backend(const Spec& spec, const PlanOptions& options) {
  return std::make_shared<CudaPlan>(spec, options);
}

constexpr CudaApi api{.unavailable_reason = unavailable_reason,
                      .unusable_reason = unusable_reason,
                      .device_name = device_name,
                      .description = description,
                      .make_backend = make_backend,
                      .estimates = run_estimates,
                      .tune = run_tune,
                      .fit = run_fit,
                      .allocate = allocate,
                      .release = release,
                      .copy = copy,
                      .fill_zero = fill_zero,
                      .synchronize = synchronize,
                      .allocate_page_locked = allocate_page_locked,
                      .release_page_locked = release_page_locked,
                      .copy_asynchronously = copy_asynchronously,
                      .make_graph = make_graph,
                      .training_scratch_bytes = training_scratch_bytes,
                      .squared_error = run_squared_error,
                      .softmax_cross_entropy = run_softmax_cross_entropy,
                      .clip_gradients = run_clip_gradients,
                      .find_not_finite = run_find_not_finite,
                      .update_step = run_update_step,
                      .linear_scratch_bytes = linear_scratch_bytes,
                      .linear_forward = run_linear_forward,
                      .linear_backward = run_linear_backward,
                      .nccl_id = make_nccl_id,
                      .make_nccl = make_nccl,
                      .begin_range = begin_range,
                      .end_range = end_range};

}  // namespace

void check_blocks(const char* argument, std::int64_t blocks) {
  constexpr std::int64_t max_blocks = 0x7fffffff;
  if (blocks <= max_blocks) return;
  throw_error(ErrorCode::unsupported, argument,
              str_cat("a launch of at most ", max_blocks, " blocks on a CUDA device"), str_cat(blocks));
}

void check_no_earlier_error() {
  const cudaError_t earlier = cudaPeekAtLastError();
  if (earlier == cudaSuccess) return;
  throw_error(ErrorCode::device_unavailable, "CUDA's last error on this thread",
              "none (cudaGetLastError() returns and clears it)",
              str_cat(cudaGetErrorName(earlier), " of an earlier call"));
}

void check_device_pointer(int index, const char* group, const std::string& name, const void* pointer) {
  if (pointer == nullptr) return;
  cudaPointerAttributes attributes;
  check(cudaPointerGetAttributes(&attributes, pointer), "cudaPointerGetAttributes");
  if (attributes.type == cudaMemoryTypeManaged) return;
  if (attributes.type == cudaMemoryTypeDevice && attributes.device == index) return;
  const std::string got = attributes.type == cudaMemoryTypeDevice
                              ? str_cat("memory of CUDA device ", attributes.device)
                              : "host memory";
  bad_argument(str_cat(group, *group == '\0' || name.empty() ? "" : ".", name),
               str_cat("memory of CUDA device ", index), got);
}

}  // namespace plasticity::cuda

// The linker option `-u` names this symbol. It makes the linker take this file, with the registration, from a
// static library, and keep a dependency on a shared one.
extern "C" {
extern PLASTICITY_API const int plasticity_cuda_registration;
const int plasticity_cuda_registration = (plasticity::register_cuda_api(plasticity::cuda::api), 1);
}
