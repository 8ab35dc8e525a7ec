#include <numeric>
#include <span>

#include "c/arguments.hpp"
#include "plasticity/loss.hpp"

namespace plasticity::c {
namespace {

/// A tensor in host memory as a list. A null tensor is an empty list.
template <class T>
std::span<T> list_of(const char* name, const plasticity_tensor* tensor) {
  if (tensor == nullptr) return {};
  const plasticity_dtype expected = dtype_of<std::remove_const_t<T>>(), got = tensor->dtype;
  const bool is_bool = expected.code == PLASTICITY_UINT && got.code == PLASTICITY_BOOL;
  if ((got.code != expected.code && !is_bool) || got.bits != expected.bits || got.lanes != expected.lanes) {
    bad_argument(str_cat(name, ".dtype"), to_string(expected), to_string(got));
  }
  check_dense(name, *tensor, max_file_axes);
  if (tensor->device.kind == PLASTICITY_CUDA)
    bad_argument(str_cat(name, ".device"), "host memory", "CUDA memory");
  const std::int64_t elements = std::accumulate(tensor->shape, tensor->shape + tensor->ndim, std::int64_t{1},
                                                [](std::int64_t a, std::int64_t b) { return a * b; });
  return {static_cast<T*>(data_of(*tensor)), static_cast<std::size_t>(elements)};
}

}  // namespace
}  // namespace plasticity::c

using namespace plasticity;
using c::guarded, c::not_null, c::list_of;

plasticity_status plasticity_mse_loss(const plasticity_tensor* y, const plasticity_tensor* target,
                                      const plasticity_tensor* mask, const plasticity_tensor* dy,
                                      double* loss) {
  return guarded([&] {
    (void)not_null(y, "y");
    (void)not_null(target, "target");
    const double value = mse_loss(list_of<const float>("y", y), list_of<const float>("target", target),
                                  list_of<float>("dy", dy), list_of<const std::uint8_t>("mask", mask));
    if (loss != nullptr) *loss = value;
  });
}

plasticity_status plasticity_softmax_cross_entropy(const plasticity_tensor* logits,
                                                   const plasticity_tensor* labels,
                                                   const plasticity_tensor* dlogits, double* loss) {
  return guarded([&] {
    const plasticity_tensor& scores = not_null(logits, "logits");
    (void)not_null(labels, "labels");
    const std::span<const float> list = list_of<const float>("logits", logits);
    if (scores.ndim < 1) bad_argument("logits.ndim", "at least 1", str_cat(scores.ndim));
    const double value =
        softmax_cross_entropy(list, list_of<const std::int64_t>("labels", labels),
                              scores.shape[scores.ndim - 1], list_of<float>("dlogits", dlogits));
    if (loss != nullptr) *loss = value;
  });
}
