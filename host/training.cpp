#include "plasticity/training.hpp"

#include <cmath>

#include "cuda_part.hpp"
#include "fail.hpp"
#include "range.hpp"
#include "training/elements.hpp"
#include "validate.hpp"

namespace plasticity {
namespace {

const CudaPart* part_of(Device device) { return device.kind() == DeviceKind::cuda ? cuda_part() : nullptr; }

void check_there(const std::string& name, const void* pointer, std::int64_t elements) {
  if (pointer == nullptr && elements > 0) bad_argument(name, text(elements, " elements"), "null");
}

void check_elements(const std::string& name, std::int64_t elements) {
  if (elements < 0) bad_argument(name, "at least 0", text(elements));
}

void on_cpu(const SquaredErrorArgs& args) {
  const auto counts = [&](std::int64_t k) { return args.mask == nullptr || args.mask[k] != 0; };
  SquaredSums sums{};
  for (std::int64_t k = 0; k < args.elements; ++k) {
    if (counts(k)) sums += squared(args.y[k], args.target[k]);
  }
  const double scale = scale_of(args.reduction, sums);
  for (std::int64_t k = 0; args.dy != nullptr && k < args.elements; ++k) {
    args.dy[k] = counts(k) ? squared_gradient(scale, args.y[k], args.target[k]) : 0.0f;
  }
  if (args.loss != nullptr) *args.loss = sums.error * scale;
}

void on_cpu(std::span<const TrainedTensor> tensors, double most, double* norm) {
  double squares = 0;
  for (const TrainedTensor& tensor : tensors) {
    for (std::int64_t k = 0; k < tensor.elements; ++k) {
      squares += static_cast<double>(tensor.gradient[k]) * static_cast<double>(tensor.gradient[k]);
    }
  }
  const double found = std::sqrt(squares);
  if (norm != nullptr) *norm = found;
  if (!(found > most)) return;
  const float factor = clip_factor(found, most);
  for (const TrainedTensor& tensor : tensors) {
    for (std::int64_t k = 0; k < tensor.elements; ++k) tensor.gradient[k] *= factor;
  }
}

void on_cpu(std::span<const TrainedTensor> tensors, const AdamConstants& constants,
            const AdamScales& scales) {
  for (const TrainedTensor& tensor : tensors) {
    for (std::int64_t k = 0; k < tensor.elements; ++k) {
      adam_update(constants, scales, tensor.gradient[k], tensor.first[k], tensor.second[k], tensor.value[k]);
    }
  }
}

}  // namespace

std::size_t training_scratch_bytes(Device device) {
  const CudaPart* part = part_of(device);
  return part == nullptr ? 0 : part->training_scratch_bytes();
}

void squared_error(Device device, Stream stream, const SquaredErrorArgs& args, Scratch scratch) {
  const Range range("plasticity::squared_error");
  check_elements("args.elements", args.elements);
  check_there("args.y", args.y, args.elements);
  check_there("args.target", args.target, args.elements);
  if (args.reduction < Reduction::mean || args.reduction > Reduction::relative) {
    bad_argument("args.reduction", "a value of its enumeration", text(static_cast<int>(args.reduction)));
  }
  check_memory("scratch", scratch, training_scratch_bytes(device));
  if (const CudaPart* part = part_of(device)) {
    part->squared_error(device.index(), stream, args, scratch);
  } else {
    on_cpu(args);
  }
}

void clip_gradients(Device device, Stream stream, std::span<const TrainedTensor> tensors, double most,
                    double* norm, Scratch scratch) {
  const Range range("plasticity::clip_gradients");
  if (!(most > 0)) bad_argument("most", "a norm above 0", text(most));
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const std::string name = text("tensors[", k, "]");
    check_elements(name + ".elements", tensors[k].elements);
    check_there(name + ".gradient", tensors[k].gradient, tensors[k].elements);
  }
  check_memory("scratch", scratch, training_scratch_bytes(device));
  if (const CudaPart* part = part_of(device)) {
    part->clip_gradients(device.index(), stream, tensors, most, norm, scratch);
  } else {
    on_cpu(tensors, most, norm);
  }
}

AdamScales adam_scales(const AdamOptions& options, std::int64_t step) {
  if (step < 1) bad_argument("step", "at least 1", text(step));
  const auto correction = [&](double beta) { return 1 - std::pow(beta, static_cast<double>(step)); };
  return {static_cast<float>(options.learning_rate / correction(options.beta1)),
          static_cast<float>(1 / std::sqrt(correction(options.beta2)))};
}

void adam_step(Device device, Stream stream, std::span<const TrainedTensor> tensors,
               const AdamOptions& options, const AdamScales* scales) {
  const Range range("plasticity::adam_step");
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const TrainedTensor& tensor = tensors[k];
    const std::string name = text("tensors[", k, "]");
    check_elements(name + ".elements", tensor.elements);
    check_there(name + ".value", tensor.value, tensor.elements);
    check_there(name + ".gradient", tensor.gradient, tensor.elements);
    check_there(name + ".first", tensor.first, tensor.elements);
    check_there(name + ".second", tensor.second, tensor.elements);
  }
  if (scales == nullptr) bad_argument("scales", "those of the step", "null");
  if (const CudaPart* part = part_of(device)) {
    part->adam_step(device.index(), stream, tensors, options, scales);
  } else {
    on_cpu(tensors, constants_of(options), *scales);
  }
}

}  // namespace plasticity
