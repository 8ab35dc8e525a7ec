/* Losses, and the reaction to gradients that are not finite. */
#include <math.h>

#include "c/check.h"

static plasticity_tensor labels_of(int64_t* data, int64_t shape[]) {
  const plasticity_tensor tensor = {data, {PLASTICITY_CPU, 0}, 1, {PLASTICITY_INT, 64, 1}, shape, NULL, 0};
  return tensor;
}

void losses(void) {
  float y[4] = {1, 2, 3, 4}, target[4] = {0}, dy[4] = {0};
  uint8_t mask[4] = {1, 0, 0, 1};
  int64_t square[] = {2, 2}, four[] = {4};
  double loss = 0;
  const plasticity_tensor y_ = floats(y, 2, square), target_ = floats(target, 2, square),
                          dy_ = floats(dy, 1, four), mask_ = bytes(mask, 2, square);
  OK(plasticity_mse_loss(&y_, &target_, &mask_, &dy_, &loss));
  CHECK(loss == 8.5 && dy[0] == 1 && dy[1] == 0 && dy[3] == 4);
  OK(plasticity_mse_loss(&y_, &target_, NULL, NULL, NULL));
  FAILS(plasticity_mse_loss(&y_, NULL, NULL, NULL, NULL), PLASTICITY_INVALID_ARGUMENT,
        "target: expected a pointer");
  FAILS(plasticity_mse_loss(&y_, &mask_, NULL, NULL, NULL), PLASTICITY_INVALID_ARGUMENT,
        "target.dtype: expected float32, got uint8");

  int64_t labels[2] = {1, -1}, two[] = {2};
  const plasticity_tensor labels_ = labels_of(labels, two);
  OK(plasticity_softmax_cross_entropy(&y_, &labels_, &dy_, &loss));
  const double expected = log(1 + exp(-1));
  CHECK(fabs(loss - expected) < 1e-6 && fabs((double)dy[0] + (double)dy[1]) < 1e-6 && dy[0] > .26f &&
        dy[2] == 0);
  labels[0] = 2;
  FAILS(plasticity_softmax_cross_entropy(&y_, &labels_, NULL, &loss), PLASTICITY_INVALID_ARGUMENT,
        "labels[0]: expected -1 to 1, got 2");

  plasticity_adam_options options;
  plasticity_adam_options_init(&options);
  CHECK(options.not_finite == PLASTICITY_NOT_FINITE_FAIL);
  plasticity_adam* adam = NULL;
  OK(plasticity_adam_create(&options, &adam));
  dy[2] = NAN;
  const plasticity_parameter parameter = {"w", floats(y, 1, four), dy_, NULL};
  FAILS(plasticity_adam_step(adam, &parameter, 1), PLASTICITY_INVALID_ARGUMENT,
        "gradient of 'w': expected finite numbers, got NaN or infinity");
  CHECK(y[0] == 1);
  plasticity_adam_destroy(adam);
}
