#include "plasticity/training.hpp"

#include <cmath>

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "device/cuda_api.hpp"
#include "device/profiler_range.hpp"
#include "plan/cpu_training.hpp"

namespace plasticity {
namespace {

const CudaApi* cuda_api_of(Device device) { return device.kind() == DeviceKind::cuda ? cuda_api() : nullptr; }

void check_pointer(const std::string& name, const void* pointer, std::int64_t elements) {
  if (pointer == nullptr && elements > 0) bad_argument(name, str_cat(elements, " elements"), "null");
}

void check_elements(const std::string& name, std::int64_t elements) {
  if (elements < 0) bad_argument(name, "at least 0", str_cat(elements));
}

}  // namespace

std::size_t training_scratch_bytes(Device device) {
  const CudaApi* api = cuda_api_of(device);
  return api == nullptr ? 0 : api->training_scratch_bytes();
}

void squared_error(Device device, Stream stream, const SquaredErrorArgs& args, Scratch scratch) {
  const ProfilerRange range("plasticity::squared_error");
  check_elements("args.elements", args.elements);
  check_pointer("args.y", args.y, args.elements);
  check_pointer("args.target", args.target, args.elements);
  if (args.reduction < Reduction::mean || args.reduction > Reduction::relative) {
    bad_argument("args.reduction", "a value of its enumeration", str_cat(static_cast<int>(args.reduction)));
  }
  check_memory("scratch", scratch, training_scratch_bytes(device));
  if (const CudaApi* api = cuda_api_of(device)) {
    api->squared_error(device.index(), stream, args, scratch);
  } else {
    cpu::squared_error(args);
  }
}

void clip_gradients(Device device, Stream stream, std::span<const TrainedTensor> tensors, double max_norm,
                    double* norm, Scratch scratch) {
  const ProfilerRange range("plasticity::clip_gradients");
  if (!(max_norm > 0)) bad_argument("max_norm", "a norm above 0", str_cat(max_norm));
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const std::string name = str_cat("tensors[", k, "]");
    check_elements(name + ".elements", tensors[k].elements);
    check_pointer(name + ".gradient", tensors[k].gradient, tensors[k].elements);
  }
  check_memory("scratch", scratch, training_scratch_bytes(device));
  if (const CudaApi* api = cuda_api_of(device)) {
    api->clip_gradients(device.index(), stream, tensors, max_norm, norm, scratch);
  } else {
    cpu::clip_gradients(tensors, max_norm, norm);
  }
}

AdamScales adam_scales(const AdamOptions& options, std::int64_t step) {
  if (step < 1) bad_argument("step", "at least 1", str_cat(step));
  const auto correction = [&](double beta) { return 1 - std::pow(beta, static_cast<double>(step)); };
  return {static_cast<float>(options.learning_rate / correction(options.beta1)),
          static_cast<float>(1 / std::sqrt(correction(options.beta2)))};
}

void adam_step(Device device, Stream stream, std::span<const TrainedTensor> tensors,
               const AdamOptions& options, const AdamScales* scales) {
  const ProfilerRange range("plasticity::adam_step");
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const TrainedTensor& tensor = tensors[k];
    const std::string name = str_cat("tensors[", k, "]");
    check_elements(name + ".elements", tensor.elements);
    check_pointer(name + ".value", tensor.value, tensor.elements);
    check_pointer(name + ".gradient", tensor.gradient, tensor.elements);
    check_pointer(name + ".first", tensor.first, tensor.elements);
    check_pointer(name + ".second", tensor.second, tensor.elements);
  }
  if (scales == nullptr) bad_argument("scales", "a pointer", "null");
  if (const CudaApi* api = cuda_api_of(device)) {
    api->adam_step(device.index(), stream, tensors, options, scales);
  } else {
    cpu::adam_step(tensors, options, *scales);
  }
}

}  // namespace plasticity
