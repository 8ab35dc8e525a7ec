#include "training/elements.hpp"

#include <cmath>

#include "plan/cpu_training.hpp"

namespace plasticity::cpu {

void squared_error(const SquaredErrorArgs& args) {
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

void clip_gradients(std::span<const TrainedTensor> tensors, double max_norm, double* norm) {
  double squares = 0;
  for (const TrainedTensor& tensor : tensors) {
    for (std::int64_t k = 0; k < tensor.elements; ++k) {
      squares += static_cast<double>(tensor.gradient[k]) * static_cast<double>(tensor.gradient[k]);
    }
  }
  const double found = std::sqrt(squares);
  if (norm != nullptr) *norm = found;
  if (!(found > max_norm)) return;
  const float factor = clip_factor(found, max_norm);
  for (const TrainedTensor& tensor : tensors) {
    for (std::int64_t k = 0; k < tensor.elements; ++k) tensor.gradient[k] *= factor;
  }
}

void adam_step(std::span<const TrainedTensor> tensors, const AdamOptions& options, const AdamScales& scales) {
  const AdamConstants constants = constants_of(options);
  for (const TrainedTensor& tensor : tensors) {
    for (std::int64_t k = 0; k < tensor.elements; ++k) {
      adam_update(constants, scales, tensor.gradient[k], tensor.first[k], tensor.second[k], tensor.value[k]);
    }
  }
}

}  // namespace plasticity::cpu
