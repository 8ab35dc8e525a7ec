#include "plasticity/loss.hpp"

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
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
  check_size("target", target.size(), y.size(), /*may_be_empty=*/false);
  check_size("dy", dy.size(), y.size(), /*may_be_empty=*/true);
  check_size("mask", mask.size(), y.size(), /*may_be_empty=*/true);
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

double softmax_cross_entropy(std::span<const float> logits, std::span<const std::int64_t> labels,
                             std::int64_t classes, std::span<float> dlogits) {
  if (classes < 1) bad_argument("classes", "at least 1", str_cat(classes));
  check_size("logits", logits.size(), labels.size() * static_cast<std::size_t>(classes),
             /*may_be_empty=*/false);
  check_size("dlogits", dlogits.size(), logits.size(), /*may_be_empty=*/true);
  check_labels("labels", labels, classes);
  double loss = 0;
  softmax_cross_entropy(Device::cpu(1), {},
                        {.rows = static_cast<std::int64_t>(labels.size()),
                         .classes = classes,
                         .logits = logits.data(),
                         .labels = labels.data(),
                         .dlogits = dlogits.empty() ? nullptr : dlogits.data(),
                         .loss = &loss},
                        {});
  return loss;
}

}  // namespace plasticity
