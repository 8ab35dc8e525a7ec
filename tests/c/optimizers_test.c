/* Optimizers: their updates, groups, files and errors. */
#include <math.h>

#include "c/check.h"

/* One step of an optimizer from the value 1 with the gradient .5, then the same gradient again. */
static float after_two_steps(const plasticity_optimizer_options* options) {
  float value = 1, gradient = .5f;
  int64_t one[] = {1};
  const plasticity_parameter parameter = {"p", floats(&value, 1, one), floats(&gradient, 1, one), NULL};
  plasticity_optimizer* optimizer = NULL;
  OK(plasticity_optimizer_create(options, &optimizer));
  for (int step = 0; step < 2; ++step) OK(plasticity_optimizer_step(optimizer, &parameter, 1));
  int64_t steps = 0;
  OK(plasticity_optimizer_steps(optimizer, &steps));
  double learning_rate = 0;
  OK(plasticity_optimizer_learning_rate(optimizer, &learning_rate));
  CHECK(learning_rate == options->learning_rate);
  CHECK(steps == 2);
  plasticity_optimizer_destroy(optimizer);
  return value;
}

void optimizers(void) {
  plasticity_optimizer_options options;
  plasticity_optimizer_options_init(&options);
  CHECK(options.method == PLASTICITY_METHOD_ADAM && options.learning_rate == 1e-3);
  options.learning_rate = .1;
  CHECK(near(after_two_steps(&options), 1 - .1 - .1)); /* Adam: each step has the length of the rate */
  options.weight_decay = .5;                           /* AdamW: .05 of the value before each step */
  CHECK(near(after_two_steps(&options), (.95 - .1) * .95 - .1));
  plasticity_optimizer_options_init(&options);
  options.method = PLASTICITY_METHOD_SGD;
  options.learning_rate = .1;
  options.momentum = .5;
  CHECK(near(after_two_steps(&options), 1 - .1 * .5 - .1 * (.25 + .5)));
  options.method = PLASTICITY_METHOD_RMSPROP;
  options.momentum = 0;
  options.beta2 = .75;
  const double first = .25 * .25, second = .75 * first + .25 * .25;
  CHECK(near(after_two_steps(&options), 1 - .1 * .5 / sqrt(first) - .1 * .5 / sqrt(second)));

  /* A group with a rate of its own, and a name that no parameter has. */
  options.method = PLASTICITY_METHOD_SGD;
  const char* names[] = {"p"};
  plasticity_parameter_group group = {names, 1, 2, 0, 0};
  options.groups = &group;
  options.group_count = 1;
  CHECK(near(after_two_steps(&options), 1 - 2 * .1 * .5 * 2));
  group.clip_norm = .25;
  CHECK(near(after_two_steps(&options), 1 - 2 * .1 * .25 * 2));
  names[0] = "q";
  float value = 1, gradient = NAN;
  int64_t one[] = {1}, count = 0;
  const plasticity_parameter parameter = {"p", floats(&value, 1, one), floats(&gradient, 1, one), NULL};
  plasticity_optimizer* optimizer = NULL;
  OK(plasticity_optimizer_create(&options, &optimizer));
  FAILS(plasticity_optimizer_step(optimizer, &parameter, 1), PLASTICITY_INVALID_ARGUMENT, "'q'");
  plasticity_optimizer_destroy(optimizer);
  group.names = NULL;
  FAILS(plasticity_optimizer_create(&options, &optimizer), PLASTICITY_INVALID_ARGUMENT,
        "options.groups[0].names: expected a pointer");
  options.groups = NULL;
  FAILS(plasticity_optimizer_create(&options, &optimizer), PLASTICITY_INVALID_ARGUMENT,
        "options.groups: expected a pointer");
  options.group_count = 0;
  options.method = (plasticity_method)9;
  FAILS(plasticity_optimizer_create(&options, &optimizer), PLASTICITY_INVALID_ARGUMENT, "method");

  /* A gradient that is not finite is skipped, and a file has the count and the rate. */
  options.method = PLASTICITY_METHOD_SGD;
  options.not_finite = PLASTICITY_NOT_FINITE_SKIP;
  options.clip_norm = 1e30;
  plasticity_file* file = NULL;
  OK(plasticity_file_create(&file));
  OK(plasticity_optimizer_create(&options, &optimizer));
  OK(plasticity_optimizer_step(optimizer, &parameter, 1));
  OK(plasticity_optimizer_skipped(optimizer, &count));
  CHECK(count == 1 && value == 1);
  double norm = 0;
  OK(plasticity_optimizer_gradient_norm(optimizer, &norm));
  CHECK(isnan(norm));
  gradient = 1;
  OK(plasticity_optimizer_set_learning_rate(optimizer, .25));
  OK(plasticity_optimizer_step(optimizer, &parameter, 1));
  CHECK(near(value, .75));
  OK(plasticity_optimizer_gradient_norm(optimizer, &norm));
  CHECK(norm == 1);
  OK(plasticity_optimizer_save(optimizer, file));
  plasticity_optimizer_destroy(optimizer);
  OK(plasticity_optimizer_create(&options, &optimizer));
  OK(plasticity_optimizer_load(optimizer, file));
  OK(plasticity_optimizer_steps(optimizer, &count));
  CHECK(count == 1);
  OK(plasticity_optimizer_step(optimizer, &parameter, 1));
  CHECK(near(value, .5)); /* the loaded rate */
  plasticity_optimizer_destroy(optimizer);
  plasticity_optimizer_destroy(NULL);
  plasticity_file_destroy(file);
}
