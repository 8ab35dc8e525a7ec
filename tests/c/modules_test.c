/* Optimizers, networks with names and batches, labels, and stacks through the C interface. */
#include <math.h>

#include "c/check.h"

/* One step of an optimizer from the value 1 with the gradient .5, then the same gradient again. */
static float after_two_steps(const plasticity_optimizer_options* options) {
  float value = 1, gradient = .5f;
  int64_t one[] = {1};
  const plasticity_parameter parameter = {"p", floats(&value, 1, one), floats(&gradient, 1, one)};
  plasticity_optimizer* optimizer = NULL;
  OK(plasticity_optimizer_create(options, &optimizer));
  for (int step = 0; step < 2; ++step) OK(plasticity_optimizer_step(optimizer, &parameter, 1));
  int64_t steps = 0;
  OK(plasticity_optimizer_steps(optimizer, &steps));
  CHECK(steps == 2);
  plasticity_optimizer_destroy(optimizer);
  return value;
}

/* A few roundings of floats, also of 1 - beta. */
static int near(float got, double want) { return fabs((double)got - want) < 1e-5; }

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
  const plasticity_parameter parameter = {"p", floats(&value, 1, one), floats(&gradient, 1, one)};
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
  plasticity_file* file = NULL;
  OK(plasticity_file_create(&file));
  OK(plasticity_optimizer_create(&options, &optimizer));
  OK(plasticity_optimizer_step(optimizer, &parameter, 1));
  OK(plasticity_optimizer_skipped(optimizer, &count));
  CHECK(count == 1 && value == 1);
  gradient = 1;
  OK(plasticity_optimizer_set_learning_rate(optimizer, .25));
  OK(plasticity_optimizer_step(optimizer, &parameter, 1));
  CHECK(near(value, .75));
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

void names_and_batches(void) {
  plasticity_spec spec, stored;
  plasticity_network_options options;
  plasticity_spec_init(&spec);
  plasticity_network_options_init(&options);
  spec.neurons = 3;
  options.threads = 1;
  plasticity_network *actor = NULL, *critic = NULL, *other = NULL;
  char name[] = "actor";
  options.name = name;
  OK(plasticity_network_create(&spec, &options, &actor));
  name[0] = 'A'; /* the network has a copy of the name */
  options.name = "critic";
  options.current = 1;
  spec.neurons = 2;
  OK(plasticity_network_create(&spec, &options, &critic));
  plasticity_parameter parameters[PLASTICITY_MAX_PARAMETERS];
  size_t count = 0;
  OK(plasticity_network_parameters(actor, parameters, PLASTICITY_MAX_PARAMETERS, &count));
  CHECK(count == 3 && strcmp(parameters[0].name, "actor.w") == 0 && parameters[0].value.shape[1] == 3);
  plasticity_tensor w, same, state;
  OK(plasticity_network_parameter(actor, "w", &w));
  OK(plasticity_network_parameter(actor, "actor.w", &same));
  CHECK(w.data == same.data && same.ndim == 2 && same.shape[0] == 3 && parameters[0].value.data == w.data);
  FAILS(plasticity_network_parameter(actor, "critic.w", &w), PLASTICITY_INVALID_ARGUMENT, "critic.w");

  plasticity_file* file = NULL;
  OK(plasticity_file_create(&file));
  OK(plasticity_network_save(actor, file));
  OK(plasticity_network_save(critic, file));
  FAILS(plasticity_network_save(actor, file), PLASTICITY_INVALID_ARGUMENT, "actor");
  OK(plasticity_file_spec_of(file, "critic", &stored));
  CHECK(stored.neurons == 2);
  FAILS(plasticity_file_spec(file, &stored), PLASTICITY_FORMAT, "cell");
  OK(plasticity_network_load(actor, file));

  /* Another batch: shapes of tensors and of the state follow. The state goes through a file. */
  float u[] = {1, 2, 3, 4}, y[4], a[4], small[2];
  int64_t two[] = {1, 2, 2}, one[] = {1, 1, 2}, batch = 0;
  const plasticity_tensor u_ = floats(u, 3, two), y_ = floats(y, 3, two), a_ = floats(a, 3, two),
                          small_ = floats(small, 3, one);
  const plasticity_argument in[] = {{"inputs.u", &u_}, {"y", &y_}, {"a", &a_}},
                            of_one[] = {{"inputs.u", &small_}};
  FAILS(plasticity_network_infer(critic, 1, in, 3), PLASTICITY_INVALID_ARGUMENT,
        "inputs.u.shape: expected [1,1,2], got [1,2,2]");
  OK(plasticity_network_reset_batch(critic, 2));
  OK(plasticity_network_batch(critic, &batch));
  OK(plasticity_network_infer(critic, 1, in, 3));
  CHECK(batch == 2 && memcmp(a, u, sizeof a) == 0 && near(y[3], tanh(4)));
  OK(plasticity_network_reset_batch(critic, 2));
  OK(plasticity_network_forward(critic, 1, in, 3));
  const plasticity_argument back[] = {{"dy", &u_}, {"dinputs.u", &a_}};
  OK(plasticity_network_backward(critic, back, 2));
  CHECK(near(a[3], 4 * (1 - tanh(4) * tanh(4))));
  FAILS(plasticity_network_infer(critic, 1, of_one, 1), PLASTICITY_INVALID_ARGUMENT, "inputs.u.shape");
  OK(plasticity_network_state(critic, "y", &state));
  CHECK(state.shape[0] == 2 && ((float*)state.data)[3] == y[3]);
  OK(plasticity_network_save_state(critic, file));
  OK(plasticity_network_reset(critic));
  OK(plasticity_network_batch(critic, &batch));
  CHECK(batch == 1);
  OK(plasticity_network_load_state(critic, file));
  OK(plasticity_network_state(critic, "hebb", &state));
  CHECK(state.shape[0] == 2 && state.shape[2] == 2);
  FAILS(plasticity_network_reset_batch(critic, -1), PLASTICITY_INVALID_ARGUMENT, "batch");
  options.current = 0;
  OK(plasticity_network_create(&spec, &options, &other));
  const plasticity_argument current[] = {{"inputs.u", &small_}, {"a", &small_}};
  FAILS(plasticity_network_infer(other, 1, current, 2), PLASTICITY_INVALID_ARGUMENT, "a: expected no tensor");
  plasticity_file_destroy(file);
  plasticity_network_destroy(actor);
  plasticity_network_destroy(critic);
  plasticity_network_destroy(other);
}

/* A network of precision f64 takes and returns float64 tensors. Its gradient matches central differences to
 * an accuracy that float does not have. */
void double_precision(void) {
  plasticity_spec spec;
  plasticity_network_options options;
  plasticity_spec_init(&spec);
  plasticity_network_options_init(&options);
  spec.neurons = 2;
  options.threads = 1;
  options.precision = PLASTICITY_F64;
  plasticity_network* network = NULL;
  OK(plasticity_network_create(&spec, &options, &network));
  enum { STEPS = 3 };
  double u[STEPS * 2] = {.1, .2, -.3, .4, .5, -.6}, y[STEPS * 2], dy[STEPS * 2], du[STEPS * 2];
  int64_t shape[] = {STEPS, 1, 2};
  const plasticity_tensor u_ = doubles(u, 3, shape), y_ = doubles(y, 3, shape), dy_ = doubles(dy, 3, shape),
                          du_ = doubles(du, 3, shape);
  const plasticity_argument in[] = {{"inputs.u", &u_}, {"y", &y_}},
                            back[] = {{"dy", &dy_}, {"dinputs.u", &du_}};
  plasticity_tensor w, state;
  OK(plasticity_network_parameter(network, "w", &w));
  CHECK(w.dtype.code == PLASTICITY_FLOAT && w.dtype.bits == 64);
  for (int k = 0; k < 4; ++k) ((double*)w.data)[k] = .3 + .2 * k;
  OK(plasticity_network_forward(network, STEPS, in, 2));
  for (int k = 0; k < STEPS * 2; ++k) dy[k] = k - 1.5;
  OK(plasticity_network_backward(network, back, 2));
  double loss[2] = {0, 0};
  const double h = 1e-5;
  for (int side = 0; side < 2; ++side) {
    u[1] += side == 0 ? h : -2 * h;
    OK(plasticity_network_reset(network));
    OK(plasticity_network_infer(network, STEPS, in, 2));
    for (int k = 0; k < STEPS * 2; ++k) loss[side] += dy[k] * y[k];
  }
  CHECK(fabs((loss[0] - loss[1]) / (2 * h) - du[1]) < 1e-9 && fabs(du[1]) > .1);
  OK(plasticity_network_state(network, "y", &state));
  CHECK(state.dtype.bits == 64 && ((double*)state.data)[1] == y[STEPS * 2 - 1]);
  plasticity_parameter parameters[PLASTICITY_MAX_PARAMETERS];
  size_t count = 0;
  OK(plasticity_network_parameters(network, parameters, PLASTICITY_MAX_PARAMETERS, &count));
  CHECK(count == 3 && parameters[0].gradient.dtype.bits == 64 &&
        ((double*)parameters[0].gradient.data)[0] != 0);

  plasticity_file* file = NULL;
  plasticity_tensor stored;
  OK(plasticity_file_create(&file));
  OK(plasticity_network_save(network, file));
  OK(plasticity_file_tensor(file, "param.w", &stored));
  CHECK(stored.dtype.bits == 64 && ((double*)stored.data)[1] == .5);
  OK(plasticity_network_load(network, file));
  plasticity_file_destroy(file);

  float single[STEPS * 2];
  const plasticity_tensor single_ = floats(single, 3, shape);
  const plasticity_argument wrong[] = {{"inputs.u", &single_}};
  FAILS(plasticity_network_infer(network, STEPS, wrong, 1), PLASTICITY_INVALID_ARGUMENT,
        "inputs.u.dtype: expected float64, got float32");
  plasticity_trainer_options training;
  plasticity_trainer_options_init(&training);
  plasticity_trainer* trainer = NULL;
  FAILS(plasticity_trainer_create(network, &training, &trainer), PLASTICITY_UNSUPPORTED,
        "network: expected a network of precision f32 or bf16, got f64");
  plasticity_adam_options adam_options;
  plasticity_adam_options_init(&adam_options);
  plasticity_adam* adam = NULL;
  OK(plasticity_adam_create(&adam_options, &adam));
  FAILS(plasticity_adam_step(adam, parameters, count), PLASTICITY_INVALID_ARGUMENT,
        "expected float32, got float64");
  plasticity_adam_destroy(adam);
  plasticity_network_destroy(network);
}

/* The cross-entropy of the current of a saturated softmax, with a trainer and without one. */
void labels(void) {
  plasticity_spec spec;
  plasticity_network_options options;
  plasticity_spec_init(&spec);
  plasticity_network_options_init(&options);
  spec.cell = PLASTICITY_CELL_FEEDFORWARD;
  spec.activation = PLASTICITY_ACTIVATION_SOFTMAX;
  spec.inputs = 1;
  spec.neurons = 2;
  options.threads = 1;
  options.current = 1;
  plasticity_network* network = NULL;
  OK(plasticity_network_create(&spec, &options, &network));
  plasticity_tensor w;
  OK(plasticity_network_parameter(network, "w", &w));
  float* const weights = w.data;
  weights[0] = weights[1] = 0;
  float pre[] = {1}, u[] = {120, -120}, y[2], a[2], da[2], du[2];
  int64_t label[] = {1}, row[] = {1, 1}, input[] = {1, 1, 1}, all[] = {1, 1, 2};
  plasticity_tensor label_ = floats(NULL, 2, row);
  label_.data = label;
  label_.dtype.code = PLASTICITY_INT;
  label_.dtype.bits = 64;
  const plasticity_tensor pre_ = floats(pre, 3, input), u_ = floats(u, 3, all), y_ = floats(y, 3, all),
                          a_ = floats(a, 3, all), da_ = floats(da, 3, all), du_ = floats(du, 3, all);
  const plasticity_argument in[] = {{"inputs.pre", &pre_}, {"inputs.u", &u_}, {"y", &y_}, {"a", &a_}},
                            back[] = {{"da", &da_}, {"dinputs.u", &du_}};
  double loss = 0;
  OK(plasticity_network_forward(network, 1, in, 4));
  CHECK(y[0] == 1 && y[1] == 0 && memcmp(a, u, sizeof a) == 0);
  const plasticity_tensor logits = floats(a, 2, all + 1);
  plasticity_tensor only = label_, dlogits = floats(da, 2, all + 1);
  only.ndim = 1;
  OK(plasticity_softmax_cross_entropy(&logits, &only, &dlogits, &loss));
  OK(plasticity_network_backward(network, back, 2));
  CHECK(loss == 240 && du[0] == 1 && du[1] == -1);

  plasticity_optimizer_options sgd;
  plasticity_optimizer_options_init(&sgd);
  sgd.method = PLASTICITY_METHOD_SGD;
  sgd.learning_rate = 1;
  plasticity_trainer_options training;
  plasticity_trainer_options_init(&training);
  CHECK(training.optimizer == NULL);
  training.optimizer = &sgd;
  plasticity_trainer* trainer = NULL;
  OK(plasticity_network_reset(network));
  OK(plasticity_network_set_trainable(network, "alpha", 0));
  OK(plasticity_trainer_create(network, &training, &trainer));
  plasticity_argument step[] = {
      {"inputs.pre", &pre_}, {"inputs.u", &u_}, {"labels", &label_}, {"target", NULL}};
  OK(plasticity_trainer_step(trainer, 1, step, 4, &loss));
  CHECK(loss == 240 && weights[0] == -1 && weights[1] == 1);
  step[3].tensor = &y_;
  FAILS(plasticity_trainer_step(trainer, 1, step, 4, &loss), PLASTICITY_INVALID_ARGUMENT,
        "labels: expected no tensor");
  label[0] = 2;
  FAILS(plasticity_trainer_step(trainer, 1, step, 3, &loss), PLASTICITY_INVALID_ARGUMENT, "labels[0]");
  plasticity_trainer_destroy(trainer);
  plasticity_network_destroy(network);
}

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
  const plasticity_argument current[] = {{"inputs.x", &x_}, {"a", &moved_}};
  FAILS(plasticity_stack_infer(again, T, current, 2), PLASTICITY_INVALID_ARGUMENT, "a: expected no tensor");

  OK(plasticity_stack_reset(again, 1));
  FAILS(plasticity_stack_infer(again, T, in, 2), PLASTICITY_INVALID_ARGUMENT,
        "inputs.x.shape: expected [2,1,3], got [2,2,3]");
  FAILS(plasticity_stack_infer(again, -1, NULL, 0), PLASTICITY_INVALID_ARGUMENT, "steps");
  OK(plasticity_stack_detach(again));
  plasticity_stack_destroy(again);

  /* The current of the last layer and its gradient. It is y itself under the identity. */
  options.current = 1;
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
  FAILS(plasticity_stack_reset(NULL, 0), PLASTICITY_INVALID_ARGUMENT, "stack: expected a pointer");
  plasticity_stack_destroy(NULL);
  plasticity_stack_destroy(stack);
  plasticity_file_destroy(file);
}
