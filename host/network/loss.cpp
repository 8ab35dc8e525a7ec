#include "plasticity/loss.hpp"

#include <algorithm>
#include <cmath>

#include "base/throw_error.hpp"
#include "base/tree.hpp"
#include "network/labels.hpp"
#include "plasticity/training.hpp"

namespace plasticity {
namespace {

void check_size(const char* name, std::size_t size, std::size_t expected, bool may_be_empty) {
  if (size == expected || (may_be_empty && size == 0)) return;
  bad_argument(name, str_cat(expected, " elements"), str_cat(size));
}

}  // namespace

double mse_loss(std::span<const float> y, std::span<const float> target, std::span<float> dy,
                std::span<const std::uint8_t> mask) {
  check_size("target", target.size(), y.size(), false);
  check_size("dy", dy.size(), y.size(), true);
  check_size("mask", mask.size(), y.size(), true);
  double loss = 0;
  squared_error(Device::cpu(1), {},
                {.elements = static_cast<std::int64_t>(y.size()),
                 .y = y.data(),
                 .target = target.data(),
                 .mask = mask.empty() ? nullptr : mask.data(),
                 .dy = dy.empty() ? nullptr : dy.data(),
                 .loss = &loss},
                {});
  return loss;
}

std::size_t count_labels(std::span<const std::int64_t> labels, std::int64_t classes) {
  std::size_t count = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] < -1 || labels[row] >= classes) {
      bad_argument(str_cat("labels[", row, "]"), str_cat("-1 to ", classes - 1), str_cat(labels[row]));
    }
    count += labels[row] >= 0 ? 1 : 0;
  }
  return count;
}

namespace {

/// Returns the cross-entropy of one row. Writes its gradient divided by `count` to `dscores` unless it is
/// empty.
double cross_entropy_of_row(std::span<const float> scores, std::size_t label, double count,
                            std::span<float> dscores) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp(static_cast<double>(score) - largest);
  for (std::size_t k = 0; k < dscores.size(); ++k) {
    const double probability = std::exp(static_cast<double>(scores[k]) - largest) / sum;
    dscores[k] = static_cast<float>((probability - (k == label ? 1 : 0)) / count);
  }
  return std::log(sum) - (static_cast<double>(scores[label]) - largest);
}

}  // namespace

double cross_entropy_sum(std::span<const float> logits, std::span<const std::int64_t> labels,
                         std::int64_t classes, std::int64_t batch, double count, std::span<float> dlogits) {
  const auto width = static_cast<std::size_t>(classes), samples = static_cast<std::size_t>(batch);
  std::fill(dlogits.begin(), dlogits.end(), 0.0f);
  return tree_total<double>(0, labels.empty() ? 0 : batch, [&](std::int64_t b) {
    double loss = 0;
    for (std::size_t row = static_cast<std::size_t>(b); row < labels.size(); row += samples) {
      if (labels[row] < 0) continue;
      loss += cross_entropy_of_row(logits.subspan(row * width, width), static_cast<std::size_t>(labels[row]),
                                   count, dlogits.empty() ? dlogits : dlogits.subspan(row * width, width));
    }
    return loss;
  });
}

double softmax_cross_entropy(std::span<const float> logits, std::span<const std::int64_t> labels,
                             std::int64_t classes, std::span<float> dlogits) {
  if (classes < 1) bad_argument("classes", "at least 1", str_cat(classes));
  const auto width = static_cast<std::size_t>(classes);
  check_size("logits", logits.size(), labels.size() * width, false);
  check_size("dlogits", dlogits.size(), logits.size(), true);
  const std::size_t count = count_labels(labels, classes);
  std::fill(dlogits.begin(), dlogits.end(), 0.0f);
  double loss = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] < 0) continue;
    loss += cross_entropy_of_row(logits.subspan(row * width, width), static_cast<std::size_t>(labels[row]),
                                 static_cast<double>(count),
                                 dlogits.empty() ? dlogits : dlogits.subspan(row * width, width));
  }
  return count == 0 ? 0 : loss / static_cast<double>(count);
}

}  // namespace plasticity
