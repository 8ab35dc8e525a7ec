/* Stacks of networks. */
#include <math.h>

#include "c/check.h"

void stacks(void) {
  enum { T = 2, B = 2, I = 3, N = 4 };
  plasticity_stack_layer layers[2];
  plasticity_spec_init(&layers[0].spec);
  layers[0].from = NULL;
  layers[0].from_count = 0;
  layers[1] = layers[0];
  layers[0].spec.neurons = 5;
  layers[1].spec.cell = PLASTICITY_CELL_FEEDFORWARD;
  layers[1].spec.neurons = N;
  const int32_t from[] = {PLASTICITY_STACK_INPUT, 0};
  layers[1].from = from;
  layers[1].from_count = 2;
  plasticity_network_options options;
  plasticity_network_options_init(&options);
  options.batch = B;
  options.threads = 1;
  options.seed = 4;
  plasticity_stack *stack = NULL, *again = NULL;
  OK(plasticity_stack_create(I, layers, 2, &options, &stack));
  plasticity_parameter parameters[2 * PLASTICITY_MAX_PARAMETERS];
  size_t count = 0;
  OK(plasticity_stack_parameters(stack, parameters, 2 * PLASTICITY_MAX_PARAMETERS, &count));
  CHECK(count == 8 && strcmp(parameters[0].name, "layer0.w_in") == 0);
  CHECK(strcmp(parameters[5].name, "layer1.w") == 0 && parameters[5].value.shape[0] == I + 5);

  float x[T * B * I], y[T * B * N], dy[T * B * N], dx[T * B * I], moved[T * B * N], moved_dx[T * B * I];
  uint64_t random = 5;
  for (size_t k = 0; k < T * B * I; ++k) x[k] = noise(&random);
  for (size_t k = 0; k < T * B * N; ++k) dy[k] = noise(&random);
  int64_t xs[] = {T, B, I}, ys[] = {T, B, N};
  const plasticity_tensor x_ = floats(x, 3, xs), y_ = floats(y, 3, ys), dy_ = floats(dy, 3, ys),
                          dx_ = floats(dx, 3, xs), moved_ = floats(moved, 3, ys),
                          moved_x_ = floats(moved_dx, 3, xs);
  const plasticity_argument in[] = {{"inputs.x", &x_}, {"y", &y_}},
                            back[] = {{"dy", &dy_}, {"dinputs.x", &dx_}},
                            shifted[] = {{"inputs.x", &x_}, {"y", &moved_}};
  int64_t windows = 0;
  OK(plasticity_stack_forward(stack, T, in, 2));
  OK(plasticity_stack_windows(stack, &windows));
  CHECK(windows == 1);
  OK(plasticity_stack_zero_gradients(stack));
  OK(plasticity_stack_backward(stack, back, 2));
  FAILS(plasticity_stack_backward(stack, back, 2), PLASTICITY_INVALID_ARGUMENT, "window");
  /* dx is the derivative of the sum of dy y. */
  for (size_t k = 0; k < T * B * I; k += 5) {
    double difference = 0;
    for (int side = 0; side < 2; ++side) {
      const float before = x[k];
      x[k] += side == 0 ? 1e-2f : -1e-2f;
      OK(plasticity_stack_reset(stack, 0));
      OK(plasticity_stack_infer(stack, T, shifted, 2));
      x[k] = before;
      for (size_t j = 0; j < T * B * N; ++j) difference += (side == 0 ? 50.0 : -50.0) * dy[j] * moved[j];
    }
    CHECK(fabs(difference - dx[k]) < 1e-3);
  }

  /* One file with the parameters and the states of all layers. */
  plasticity_file* file = NULL;
  OK(plasticity_file_create(&file));
  OK(plasticity_stack_save(stack, file));
  OK(plasticity_stack_reset(stack, 0));
  OK(plasticity_stack_infer(stack, T, in, 2));
  OK(plasticity_stack_save_state(stack, file));
  OK(plasticity_stack_infer(stack, T, in, 2));
  options.seed = 6;
  OK(plasticity_stack_create(I, layers, 2, &options, &again));
  OK(plasticity_stack_load(again, file));
  OK(plasticity_stack_load_state(again, file));
  OK(plasticity_stack_infer(again, T, shifted, 2));
  CHECK(memcmp(y, moved, sizeof y) == 0);
  const plasticity_argument with_a[] = {{"inputs.x", &x_}, {"a", &moved_}};
  FAILS(plasticity_stack_infer(again, T, with_a, 2), PLASTICITY_INVALID_ARGUMENT, "a: expected no tensor");

  OK(plasticity_stack_reset(again, 1));
  FAILS(plasticity_stack_infer(again, T, in, 2), PLASTICITY_INVALID_ARGUMENT,
        "inputs.x.shape: expected [2,1,3], got [2,2,3]");
  FAILS(plasticity_stack_infer(again, -1, NULL, 0), PLASTICITY_INVALID_ARGUMENT, "steps");
  OK(plasticity_stack_detach(again));
  plasticity_stack_destroy(again);

  /* The pre-activation of the last layer and its gradient. It is y itself under the identity. */
  options.preactivation = 1;
  layers[1].spec.activation = PLASTICITY_ACTIVATION_IDENTITY;
  OK(plasticity_stack_create(I, layers, 2, &options, &again));
  const plasticity_argument both[] = {{"inputs.x", &x_}, {"y", &y_}, {"a", &moved_}},
                            through_a[] = {{"da", &dy_}, {"dinputs.x", &moved_x_}};
  OK(plasticity_stack_forward(again, T, both, 3));
  CHECK(memcmp(y, moved, sizeof y) == 0);
  OK(plasticity_stack_backward(again, back, 2));
  OK(plasticity_stack_reset(again, 0));
  OK(plasticity_stack_forward(again, T, both, 3));
  OK(plasticity_stack_backward(again, through_a, 2));
  CHECK(memcmp(dx, moved_dx, sizeof dx) == 0);
  plasticity_stack_destroy(again);
  layers[1].from = NULL;
  FAILS(plasticity_stack_create(I, layers, 2, &options, &again), PLASTICITY_INVALID_ARGUMENT,
        "layers[1].from: expected a pointer");
  FAILS(plasticity_stack_create(I, NULL, 2, &options, &again), PLASTICITY_INVALID_ARGUMENT,
        "layers: expected a pointer");
  FAILS(plasticity_stack_create(I, layers, 0, &options, &again), PLASTICITY_INVALID_ARGUMENT, "layer");
  const int32_t sources[] = {PLASTICITY_STACK_INPUT, 0};
  plasticity_stack_layer huge[] = {layers[0], layers[0]};
  huge[0].spec.neurons = INT64_MAX;
  huge[1].spec.inputs = 0;
  huge[1].from = sources;
  huge[1].from_count = 2;
  FAILS(plasticity_stack_create(I, huge, 2, &options, &again), PLASTICITY_INVALID_ARGUMENT,
        "layers[1].from: expected sources of at most 2^48 elements together, got more");
  FAILS(plasticity_stack_reset(NULL, 0), PLASTICITY_INVALID_ARGUMENT, "stack: expected a pointer");
  plasticity_stack_destroy(NULL);
  plasticity_stack_destroy(stack);
  plasticity_file_destroy(file);
}
