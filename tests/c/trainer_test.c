/* A trainer of several modules, compared with the loop of an optimizer. */
#include <math.h>

#include "c/check.h"

enum { T = 3, B = 2, I = 2, E = 4, N = 3 };

/* An encoder, a stack behind it, and a scale of the program's own. */
typedef struct {
  plasticity_network* encoder;
  plasticity_stack* stack;
  float scale, dscale;
  plasticity_parameter own;
  int64_t one;
  float disturbance;           /* added to a gradient */
  plasticity_status to_return; /* by the callback */
} model;

static void create(model* of) {
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.cell = PLASTICITY_CELL_RNN;
  spec.inputs = I;
  spec.neurons = E;
  plasticity_network_options options;
  plasticity_network_options_init(&options);
  options.batch = B;
  options.threads = 1;
  options.name = "encoder";
  OK(plasticity_network_create(&spec, &options, &of->encoder));
  options.name = "stack";
  plasticity_stack_layer layer = {spec, NULL, 0};
  layer.spec.inputs = 0;
  layer.spec.neurons = N;
  OK(plasticity_stack_create(E, &layer, 1, &options, &of->stack));
  of->scale = 2;
  of->dscale = of->disturbance = 0;
  of->to_return = PLASTICITY_OK;
  of->one = 1;
  of->own.name = "scale";
  of->own.value = floats(&of->scale, 1, &of->one);
  of->own.gradient = floats(&of->dscale, 1, &of->one);
  of->own.version = NULL;
}

static void destroy(model* of) {
  plasticity_stack_destroy(of->stack);
  plasticity_network_destroy(of->encoder);
}

/* All parameters. Returns their number. */
static size_t parameters_of(model* of, plasticity_parameter* list) {
  size_t first = 0, second = 0;
  OK(plasticity_network_parameters(of->encoder, list, PLASTICITY_MAX_PARAMETERS, &first));
  OK(plasticity_stack_parameters(of->stack, list + first, PLASTICITY_MAX_PARAMETERS, &second));
  list[first + second] = of->own;
  return first + second + 1;
}

/* Forward, loss and backward: the output is scale * stack(encoder(x)). */
static plasticity_status passes(void* context, double* loss) {
  model* of = context;
  float x[T * B * I], e[T * B * E], y[T * B * N], dy[T * B * N], de[T * B * E];
  uint64_t state = 5;
  for (int k = 0; k < T * B * I; ++k) x[k] = noise(&state);
  int64_t in[] = {T, B, I}, between[] = {T, B, E}, out[] = {T, B, N};
  const plasticity_tensor x_ = floats(x, 3, in), e_ = floats(e, 3, between), y_ = floats(y, 3, out),
                          dy_ = floats(dy, 3, out), de_ = floats(de, 3, between);
  const plasticity_argument first[] = {{"inputs.x", &x_}, {"y", &e_}},
                            second[] = {{"inputs.x", &e_}, {"y", &y_}},
                            back[] = {{"dy", &dy_}, {"dinputs.x", &de_}}, last[] = {{"dy", &de_}};
  OK(plasticity_network_reset(of->encoder));
  OK(plasticity_stack_reset(of->stack, 0));
  OK(plasticity_network_forward(of->encoder, T, first, 2));
  OK(plasticity_stack_forward(of->stack, T, second, 2));
  *loss = 0;
  for (int k = 0; k < T * B * N; ++k) {
    const float error = of->scale * y[k] - .25f;
    *loss += .5 * (double)error * (double)error;
    of->dscale += error * y[k];
    dy[k] = error * of->scale;
  }
  dy[0] += of->disturbance;
  OK(plasticity_stack_backward(of->stack, back, 2));
  if (of->to_return != PLASTICITY_OK) return of->to_return;
  OK(plasticity_network_backward(of->encoder, last, 1));
  return PLASTICITY_OK;
}

static void expect_equal(model* first, model* second) {
  plasticity_parameter a[2 * PLASTICITY_MAX_PARAMETERS + 1], b[2 * PLASTICITY_MAX_PARAMETERS + 1];
  const size_t count = parameters_of(first, a);
  CHECK(parameters_of(second, b) == count);
  for (size_t k = 0; k < count; ++k) {
    size_t bytes_of = sizeof(float);
    for (int axis = 0; axis < a[k].value.ndim; ++axis) bytes_of *= (size_t)a[k].value.shape[axis];
    CHECK(memcmp(a[k].value.data, b[k].value.data, bytes_of) == 0);
    CHECK(memcmp(a[k].gradient.data, b[k].gradient.data, bytes_of) == 0);
  }
}

void modules(void) {
  model want, got;
  create(&want);
  create(&got);
  plasticity_optimizer_options sgd;
  plasticity_optimizer_options_init(&sgd);
  sgd.method = PLASTICITY_METHOD_SGD;
  sgd.learning_rate = .1;
  sgd.momentum = .5;
  sgd.clip_norm = .5;
  sgd.not_finite = PLASTICITY_NOT_FINITE_SKIP;
  plasticity_optimizer* optimizer = NULL;
  OK(plasticity_optimizer_create(&sgd, &optimizer));
  plasticity_trainer_options options;
  plasticity_trainer_options_init(&options);
  options.optimizer = &sgd;
  const plasticity_module list[] = {
      {got.encoder, NULL, NULL, 0}, {NULL, got.stack, NULL, 0}, {NULL, NULL, &got.own, 1}};
  plasticity_trainer *trainer = NULL, *none = NULL;
  OK(plasticity_trainer_create_modules(list, 3, &options, &trainer));
  double loss = 0, first_loss = 0;
  for (int step = 0; step < 4; ++step) {
    plasticity_parameter all[2 * PLASTICITY_MAX_PARAMETERS + 1];
    double of_loop = 0;
    OK(plasticity_network_zero_gradients(want.encoder));
    OK(plasticity_stack_zero_gradients(want.stack));
    want.dscale = 0;
    OK(passes(&want, &of_loop));
    const size_t count = parameters_of(&want, all);
    OK(plasticity_optimizer_step(optimizer, all, count));
    OK(plasticity_trainer_step_iteration(trainer, passes, &got, &loss));
    CHECK(loss == of_loop);
    if (step == 0) first_loss = loss;
    expect_equal(&want, &got);
  }
  CHECK(loss < first_loss);

  /* A gradient that is not finite, an error of the callback, and a window without backward. */
  const float before = got.scale;
  int64_t count = 0;
  got.disturbance = NAN;
  OK(plasticity_trainer_step_iteration(trainer, passes, &got, NULL));
  OK(plasticity_trainer_skipped(trainer, &count));
  CHECK(count == 1 && got.scale == before);
  double norm = 0;
  OK(plasticity_trainer_gradient_norm(trainer, &norm));
  CHECK(isnan(norm));
  got.disturbance = 0;
  got.to_return = PLASTICITY_IO;
  FAILS(plasticity_network_reset(NULL), PLASTICITY_INVALID_ARGUMENT, "network"); /* an older error */
  FAILS(plasticity_trainer_step_iteration(trainer, passes, &got, &loss), PLASTICITY_IO,
        "iteration: expected ok, got io (6)");
  CHECK(got.scale == before);
  OK(plasticity_trainer_steps(trainer, &count));
  CHECK(count == 4);
  got.to_return = PLASTICITY_OK;
  OK(plasticity_trainer_step_iteration(trainer, passes, &got, &loss));
  CHECK(got.scale != before);
  OK(plasticity_trainer_gradient_norm(trainer, &norm));
  CHECK(norm > 0);

  /* Wrong calls. */
  FAILS(plasticity_trainer_step(trainer, 1, NULL, 0, &loss), PLASTICITY_INVALID_ARGUMENT,
        "trainer: expected a trainer of one network");
  FAILS(plasticity_trainer_step_iteration(trainer, NULL, NULL, &loss), PLASTICITY_INVALID_ARGUMENT, "iteration");
  FAILS(plasticity_trainer_create_modules(list, 0, &options, &none), PLASTICITY_INVALID_ARGUMENT, "modules");
  FAILS(plasticity_trainer_create_modules(NULL, 1, &options, &none), PLASTICITY_INVALID_ARGUMENT, "modules");
  const plasticity_module twice[] = {list[1], list[1]}, empty = {NULL, NULL, NULL, 0},
                          both = {got.encoder, got.stack, NULL, 0};
  FAILS(plasticity_trainer_create_modules(twice, 2, &options, &none), PLASTICITY_INVALID_ARGUMENT,
        "modules[1]: has the parameters of modules[0]");
  FAILS(plasticity_trainer_create_modules(&empty, 1, &options, &none), PLASTICITY_INVALID_ARGUMENT,
        "modules[0]: expected one of network, stack and parameters, got 0");
  FAILS(plasticity_trainer_create_modules(&both, 1, &options, &none), PLASTICITY_INVALID_ARGUMENT, "got 2");
  plasticity_trainer_destroy(trainer);
  plasticity_optimizer_destroy(optimizer);
  destroy(&want);
  destroy(&got);
}

static plasticity_status fails_in_a_call(void* context, double* loss) {
  (void)loss;
  return plasticity_network_forward(context, -1, NULL, 0);
}

/* The message of the call that failed is kept. A trainer whose network has been destroyed returns an error. */
void errors_of_trainers(void) {
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.neurons = N;
  plasticity_network* network = make_network(&spec, B, 0);
  plasticity_trainer_options options;
  plasticity_trainer_options_init(&options);
  plasticity_trainer* trainer = NULL;
  OK(plasticity_trainer_create(network, &options, &trainer));
  double loss = 7;
  FAILS(plasticity_trainer_step_iteration(trainer, fails_in_a_call, network, &loss), PLASTICITY_INVALID_ARGUMENT,
        "steps: expected at least 0, got -1");
  plasticity_network_destroy(network);
  FAILS(plasticity_trainer_step(trainer, 1, NULL, 0, &loss), PLASTICITY_INVALID_ARGUMENT,
        "trainer: its network has been destroyed");
  FAILS(plasticity_trainer_step_iteration(trainer, fails_in_a_call, NULL, &loss), PLASTICITY_INVALID_ARGUMENT,
        "trainer: its network has been destroyed");
  CHECK(loss == 7);
  plasticity_trainer_destroy(trainer);
}
