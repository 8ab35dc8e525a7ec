#include <span>

#include "c/arguments.hpp"
#include "plasticity/loss.hpp"

namespace plasticity::c {
namespace {

/// host_span() of a tensor that may be null: an empty list.
template <class T>
std::span<T> optional_span(const char* name, const plasticity_tensor* tensor) {
  return tensor == nullptr ? std::span<T>() : host_span<T>(name, *tensor);
}

}  // namespace
}  // namespace plasticity::c

using namespace plasticity;
using c::guarded, c::not_null, c::optional_span;

plasticity_status plasticity_mse_loss(const plasticity_tensor* y, const plasticity_tensor* target,
                                      const plasticity_tensor* mask, const plasticity_tensor* dy,
                                      double* loss) {
  return guarded([&] {
    (void)not_null(y, "y");
    (void)not_null(target, "target");
    const double value =
        mse_loss(optional_span<const float>("y", y), optional_span<const float>("target", target),
                 optional_span<float>("dy", dy), optional_span<const std::uint8_t>("mask", mask));
    if (loss != nullptr) *loss = value;
  });
}

plasticity_status plasticity_softmax_cross_entropy(const plasticity_tensor* logits,
                                                   const plasticity_tensor* labels,
                                                   const plasticity_tensor* dlogits, double* loss) {
  return guarded([&] {
    const plasticity_tensor& scores = not_null(logits, "logits");
    (void)not_null(labels, "labels");
    const std::span<const float> list = optional_span<const float>("logits", logits);
    if (scores.ndim < 1) bad_argument("logits.ndim", "at least 1", str_cat(scores.ndim));
    const double value =
        softmax_cross_entropy(list, optional_span<const std::int64_t>("labels", labels),
                              scores.shape[scores.ndim - 1], optional_span<float>("dlogits", dlogits));
    if (loss != nullptr) *loss = value;
  });
}
