#include "training/elements.hpp"

#include <algorithm>
#include <cmath>
#include <span>

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

void softmax_cross_entropy(const CrossEntropyArgs& args) {
  const std::span labels(args.labels, static_cast<std::size_t>(args.rows));
  const auto width = static_cast<std::size_t>(args.classes);
  const std::int64_t count = args.rows - std::count(labels.begin(), labels.end(), -1);
  if (args.dlogits != nullptr) std::fill_n(args.dlogits, args.rows * args.classes, 0.0f);
  double loss = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] < 0) continue;
    const std::span logits(args.logits + row * width, width);
    SoftmaxRow softmax{*std::max_element(logits.begin(), logits.end()), 0};
    for (const float logit : logits) softmax.sum += exp_below(logit, softmax.largest);
    const auto label = static_cast<std::size_t>(labels[row]);
    loss += entropy_of(softmax, logits[label]);
    for (std::size_t k = 0; args.dlogits != nullptr && k < width; ++k) {
      args.dlogits[row * width + k] = entropy_gradient(softmax, logits[k], k == label, count);
    }
  }
  if (args.loss != nullptr) *args.loss = count == 0 ? 0 : loss / static_cast<double>(count);
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

std::int32_t find_not_finite(std::span<const TrainedTensor> tensors) {
  for (std::size_t index = 0; index < tensors.size(); ++index) {
    const TrainedTensor& tensor = tensors[index];
    std::uint32_t bad = 0;  // no early exit within a tensor, so that the loop is a vector loop
    for (std::int64_t k = 0; k < tensor.elements; ++k) bad |= is_finite(tensor.gradient[k]) ? 0u : 1u;
    if (bad != 0) return static_cast<std::int32_t>(index);
  }
  return -1;
}

void update_step(std::span<const TrainedTensor> tensors, const UpdateOptions& options,
                 const UpdateScales& scales) {
  const UpdateConstants constants = constants_of(options);
  dispatch_update(options, [&]<Method method, bool momentum> {
    for (const TrainedTensor& tensor : tensors) {
      const float rate = scales.rate * tensor.rate, decay = scales.decay * tensor.rate * tensor.weight_decay;
      float unused = 0;
      for (std::int64_t k = 0; k < tensor.elements; ++k) {
        float& first = has_first<method, momentum> ? tensor.first[k] : unused;
        float& second = has_second<method> ? tensor.second[k] : unused;
        update_element<method, momentum>(constants, rate, scales.second, decay, tensor.gradient[k], first,
                                         second, tensor.value[k]);
      }
    }
  });
}

}  // namespace plasticity::cpu
