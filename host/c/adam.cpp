#include "c/network.hpp"

using namespace plasticity;
using c::guarded, c::not_null;

void plasticity_adam_options_init(plasticity_adam_options* options) {
  constexpr AdamOptions defaults;
  if (options == nullptr) return;
  *options = {defaults.learning_rate, defaults.beta1, defaults.beta2, defaults.epsilon,
              PLASTICITY_NOT_FINITE_FAIL};
}

plasticity_status plasticity_adam_create(const plasticity_adam_options* options, plasticity_adam** adam) {
  return guarded([&] {
    plasticity_adam*& out = not_null(adam, "adam");
    const plasticity_adam_options& from = not_null(options, "options");
    out = new plasticity_adam{Adam({.learning_rate = from.learning_rate,
                                    .beta1 = from.beta1,
                                    .beta2 = from.beta2,
                                    .epsilon = from.epsilon,
                                    .not_finite = static_cast<NotFinite>(from.not_finite)})};
  });
}

void plasticity_adam_destroy(plasticity_adam* adam) { delete adam; }

plasticity_status plasticity_adam_step(plasticity_adam* adam, const plasticity_parameter* parameters,
                                       size_t count) {
  return guarded([&] { not_null(adam, "adam").adam.step(c::to_views(parameters, count)); });
}

plasticity_status plasticity_adam_set_learning_rate(plasticity_adam* adam, double learning_rate) {
  return guarded([&] { not_null(adam, "adam").adam.set_learning_rate(learning_rate); });
}

plasticity_status plasticity_adam_steps(const plasticity_adam* adam, int64_t* steps) {
  return guarded([&] { not_null(steps, "steps") = not_null(adam, "adam").adam.steps(); });
}

plasticity_status plasticity_clip_gradients(const plasticity_parameter* parameters, size_t count,
                                            double max_norm, double* norm) {
  return guarded([&] {
    const double norm_before = clip_gradients(c::to_views(parameters, count), max_norm);
    if (norm != nullptr) *norm = norm_before;
  });
}
