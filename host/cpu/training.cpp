#include "training/elements.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/tree.hpp"
#include "plan/cpu_training.hpp"

namespace plasticity::cpu {

void squared_error(const SquaredErrorArgs& args) {
  const auto counts = [&](std::int64_t k) { return args.mask == nullptr || args.mask[k] != 0; };
  const bool by_sample = args.batch > 0 && args.elements > 0;
  const std::int64_t samples = by_sample ? args.batch : 1, steps = by_sample ? args.steps : 1,
                     columns = args.elements / (steps * samples);
  const SquaredSums sums = tree_total<SquaredSums>(0, samples, [&](std::int64_t b) {
    SquaredSums of_sample{};
    for (std::int64_t t = 0; t < steps; ++t) {
      const std::int64_t first = (t * samples + b) * columns;
      for (std::int64_t k = first; k < first + columns; ++k) {
        if (counts(k)) of_sample += squared(args.y[k], args.target[k]);
      }
    }
    return of_sample;
  });
  const double scale = scale_of(args, sums);
  for (std::int64_t k = 0; args.dy != nullptr && k < args.elements; ++k) {
    args.dy[k] = counts(k) ? squared_gradient(scale, args.y[k], args.target[k]) : 0.0f;
  }
  if (args.loss != nullptr) *args.loss = sums.error * scale;
}

void softmax_cross_entropy(const CrossEntropyArgs& args) {
  const std::span labels(args.labels, static_cast<std::size_t>(args.rows));
  const auto width = static_cast<std::size_t>(args.classes);
  const double divisor = divisor_of(args, args.rows - std::count(labels.begin(), labels.end(), -1));
  if (args.dlogits != nullptr) std::fill_n(args.dlogits, args.rows * args.classes, 0.0f);
  const auto loss_of_row = [&](std::size_t row) {
    const std::span logits(args.logits + row * width, width);
    SoftmaxRow softmax{*std::max_element(logits.begin(), logits.end()), 0};
    for (const float logit : logits) softmax.sum += exp_below(logit, softmax.largest);
    const auto label = static_cast<std::size_t>(labels[row]);
    for (std::size_t k = 0; args.dlogits != nullptr && k < width; ++k) {
      args.dlogits[row * width + k] = entropy_gradient(softmax, logits[k], k == label, divisor);
    }
    return entropy_of(softmax, logits[label]);
  };
  const std::int64_t samples = args.batch > 0 && args.rows > 0 ? args.batch : 1;
  const double loss = tree_total<double>(0, samples, [&](std::int64_t b) {
    double of_sample = 0;
    for (auto row = static_cast<std::size_t>(b); row < labels.size();
         row += static_cast<std::size_t>(samples)) {
      if (labels[row] >= 0) of_sample += loss_of_row(row);
    }
    return of_sample;
  });
  if (args.loss != nullptr) *args.loss = divisor == 0 ? 0 : loss / divisor;
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
  if (!exceeds(found, max_norm)) return;
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
  const OptimizerConstants constants = constants_of(options);
  dispatch_update(options, [&]<Method method, bool momentum> {
    for (const TrainedTensor& tensor : tensors) {
      const float factor = tensor.learning_rate_factor;
      const float rate = scales.learning_rate * factor, decay = scales.decay * factor * tensor.weight_decay;
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
