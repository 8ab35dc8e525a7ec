#include "c/network.hpp"
#include "network/optimizer_options.hpp"

namespace plasticity::c {

AdamOptions to_options(const plasticity_adam_options& from) {
  return {.learning_rate = from.learning_rate,
          .beta1 = from.beta1,
          .beta2 = from.beta2,
          .epsilon = from.epsilon,
          .not_finite = static_cast<NotFinite>(from.not_finite)};
}

OptimizerOptions to_options(const plasticity_optimizer_options& from) {
  OptimizerOptions options{.update = {.method = static_cast<Method>(from.method),
                                      .learning_rate = from.learning_rate,
                                      .beta1 = from.beta1,
                                      .beta2 = from.beta2,
                                      .epsilon = from.epsilon,
                                      .momentum = from.momentum},
                           .weight_decay = from.weight_decay,
                           .clip_norm = from.clip_norm,
                           .not_finite = static_cast<NotFinite>(from.not_finite)};
  check_count("options.groups", from.group_count);
  for (std::size_t k = 0; k < from.group_count; ++k) {
    const plasticity_parameter_group& group = (&not_null(from.groups, "options.groups"))[k];
    ParameterGroup& to = options.groups.emplace_back();
    to.learning_rate_factor = group.learning_rate_factor;
    to.weight_decay = group.weight_decay;
    to.clip_norm = group.clip_norm;
    const std::string argument = str_cat("options.groups[", k, "].names");
    check_count(argument.c_str(), group.name_count);
    for (std::size_t name = 0; name < group.name_count; ++name) {
      to.names.emplace_back(&not_null((&not_null(group.names, argument.c_str()))[name], argument.c_str()));
    }
  }
  return options;
}

}  // namespace plasticity::c

using namespace plasticity;
using c::guarded, c::not_null;

void plasticity_optimizer_options_init(plasticity_optimizer_options* options) {
  if (options == nullptr) return;
  const OptimizerOptions defaults;
  *options = {.method = PLASTICITY_METHOD_ADAM,
              .learning_rate = defaults.update.learning_rate,
              .beta1 = defaults.update.beta1,
              .beta2 = defaults.update.beta2,
              .epsilon = defaults.update.epsilon,
              .momentum = defaults.update.momentum,
              .weight_decay = defaults.weight_decay,
              .clip_norm = defaults.clip_norm,
              .not_finite = PLASTICITY_NOT_FINITE_FAIL,
              .groups = nullptr,
              .group_count = 0};
}

plasticity_status plasticity_optimizer_create(const plasticity_optimizer_options* options,
                                              plasticity_optimizer** optimizer) {
  return guarded([&] {
    plasticity_optimizer*& out = not_null(optimizer, "optimizer");
    out = new plasticity_optimizer{Optimizer(c::to_options(not_null(options, "options")))};
  });
}

void plasticity_optimizer_destroy(plasticity_optimizer* optimizer) { delete optimizer; }

plasticity_status plasticity_optimizer_step(plasticity_optimizer* optimizer,
                                            const plasticity_parameter* parameters, size_t count) {
  return guarded([&] { not_null(optimizer, "optimizer").optimizer.step(c::to_views(parameters, count)); });
}

plasticity_status plasticity_optimizer_set_learning_rate(plasticity_optimizer* optimizer,
                                                         double learning_rate) {
  return guarded([&] { not_null(optimizer, "optimizer").optimizer.set_learning_rate(learning_rate); });
}

plasticity_status plasticity_optimizer_learning_rate(const plasticity_optimizer* optimizer,
                                                     double* learning_rate) {
  return guarded([&] {
    not_null(learning_rate, "learning_rate") = not_null(optimizer, "optimizer").optimizer.learning_rate();
  });
}

plasticity_status plasticity_optimizer_steps(const plasticity_optimizer* optimizer, int64_t* steps) {
  return guarded([&] { not_null(steps, "steps") = not_null(optimizer, "optimizer").optimizer.steps(); });
}

plasticity_status plasticity_optimizer_skipped(const plasticity_optimizer* optimizer, int64_t* skipped) {
  return guarded(
      [&] { not_null(skipped, "skipped") = not_null(optimizer, "optimizer").optimizer.skipped(); });
}

plasticity_status plasticity_optimizer_gradient_norm(const plasticity_optimizer* optimizer, double* norm) {
  return guarded(
      [&] { not_null(norm, "norm") = not_null(optimizer, "optimizer").optimizer.gradient_norm(); });
}

void plasticity_adam_options_init(plasticity_adam_options* options) {
  constexpr AdamOptions defaults;
  if (options == nullptr) return;
  *options = {defaults.learning_rate, defaults.beta1, defaults.beta2, defaults.epsilon,
              PLASTICITY_NOT_FINITE_FAIL};
}

plasticity_status plasticity_adam_create(const plasticity_adam_options* options, plasticity_adam** adam) {
  return guarded([&] {
    plasticity_adam*& out = not_null(adam, "adam");
    out = new plasticity_adam{Optimizer(optimizer_options_of(c::to_options(not_null(options, "options"))))};
  });
}

void plasticity_adam_destroy(plasticity_adam* adam) { plasticity_optimizer_destroy(adam); }

plasticity_status plasticity_adam_step(plasticity_adam* adam, const plasticity_parameter* parameters,
                                       size_t count) {
  return plasticity_optimizer_step(adam, parameters, count);
}

plasticity_status plasticity_adam_set_learning_rate(plasticity_adam* adam, double learning_rate) {
  return plasticity_optimizer_set_learning_rate(adam, learning_rate);
}

plasticity_status plasticity_adam_steps(const plasticity_adam* adam, int64_t* steps) {
  return plasticity_optimizer_steps(adam, steps);
}

plasticity_status plasticity_clip_gradients(const plasticity_parameter* parameters, size_t count,
                                            double max_norm, double* norm) {
  return guarded([&] {
    const double norm_before = clip_gradients(c::to_views(parameters, count), max_norm);
    if (norm != nullptr) *norm = norm_before;
  });
}
