/* Losses, struct sizes, and the reaction to gradients that are not finite. */
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
  const plasticity_parameter parameter = {"w", floats(y, 1, four), dy_};
  FAILS(plasticity_adam_step(adam, &parameter, 1), PLASTICITY_INVALID_ARGUMENT,
        "gradient of 'w': expected finite numbers, got NaN or infinity");
  CHECK(y[0] == 1);
  plasticity_adam_destroy(adam);
}

/* The gradient of a loss on the current passes a saturated activation. */
void current(void) {
  plasticity_spec spec;
  plasticity_plan_options options;
  plasticity_plan* plan = NULL;
  plasticity_plan_needs needs;
  plasticity_spec_init(&spec);
  plasticity_plan_options_init(&options);
  spec.neurons = 1;
  options.threads = 1;
  OK(plasticity_plan_create(&spec, &options, &plan));
  OK(plasticity_plan_needs_of(plan, &needs));
  static _Alignas(64) char tape[1 << 16], scratch[1 << 16];
  const plasticity_memory tape_ = {tape, needs.tape_bytes}, scratch_ = {scratch, needs.scratch_bytes};
  CHECK(needs.tape_bytes <= sizeof tape && needs.scratch_bytes <= sizeof scratch);
  float zero = 0, u = 120, y = 0, a = 0, da = 1, du = 0;
  int64_t one[] = {1}, square[] = {1, 1}, sequence[] = {1, 1, 1};
  const plasticity_tensor w_ = floats(&zero, 2, square), eta_ = floats(&zero, 1, one),
                          u_ = floats(&u, 3, sequence), y_ = floats(&y, 3, sequence),
                          a_ = floats(&a, 3, sequence), da_ = floats(&da, 3, sequence),
                          du_ = floats(&du, 3, sequence);
  const plasticity_argument forward[] = {{"parameters.w", &w_},
                                         {"parameters.alpha", &w_},
                                         {"parameters.eta", &eta_},
                                         {"inputs.u", &u_},
                                         {"y", &y_},
                                         {"a", &a_}};
  OK(plasticity_plan_forward(plan, NULL, forward, 6, tape_, scratch_));
  CHECK(y == 1 && a == 120);
  const plasticity_argument backward[] = {
      {"parameters.w", &w_}, {"parameters.alpha", &w_}, {"parameters.eta", &eta_}, {"inputs.u", &u_},
      {"da", &da_},          {"dinputs.u", &du_}};
  OK(plasticity_plan_backward(plan, NULL, backward, 6, tape_, scratch_));
  CHECK(du == 1);
  plasticity_plan_destroy(plan);
}

void struct_sizes(void) {
  CHECK(plasticity_struct_size("plasticity_spec") == sizeof(plasticity_spec));
  CHECK(plasticity_struct_size("plasticity_adam_options") == sizeof(plasticity_adam_options));
  CHECK(plasticity_struct_size("plasticity_network_options") == sizeof(plasticity_network_options));
  CHECK(plasticity_struct_size("plasticity_optimizer_options") == sizeof(plasticity_optimizer_options));
  CHECK(plasticity_struct_size("plasticity_parameter_group") == sizeof(plasticity_parameter_group));
  CHECK(plasticity_struct_size("plasticity_stack_layer") == sizeof(plasticity_stack_layer));
  CHECK(plasticity_struct_size("plasticity_module") == sizeof(plasticity_module));
  CHECK(plasticity_struct_size("plasticity_nothing") == 0 && plasticity_struct_size(NULL) == 0);
  const plasticity_device gpu = {PLASTICITY_CUDA, 0};
  const int missing = plasticity_device_check(gpu) == PLASTICITY_DEVICE_UNAVAILABLE;
  CHECK(missing == (strlen(plasticity_cuda_unavailable_reason()) > 0));
}
