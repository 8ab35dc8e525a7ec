/* Wrong calls. The error names the tensor, its field, the expected and the actual value. */
#include <pthread.h>
#include <stdlib.h>

#include "c/check.h"

enum { B = 2, N = 3 };

static plasticity_network* make(void) {
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.neurons = N;
  return make_network(&spec, B, 0);
}

void wrong_tensors(void) {
  plasticity_network* network = make();
  float u[B * N + 1] = {0};
  int64_t shape[] = {1, B, N}, other[] = {1, N, B}, strides[] = {B * N, N, 1}, columns[] = {B * N, 1, B};
  int64_t negative[] = {1, -2, N}, huge[] = {INT64_C(1) << 40, INT64_C(1) << 40, 1};
  const plasticity_tensor right = floats(u, 3, shape);
#define WITH(change, text)                                                                              \
  do {                                                                                                  \
    plasticity_tensor tensor = right;                                                                   \
    tensor.change;                                                                                      \
    const plasticity_argument list[] = {{"inputs.u", &tensor}};                                         \
    FAILS(plasticity_network_infer(network, 1, list, 1), PLASTICITY_INVALID_ARGUMENT, "inputs.u" text); \
  } while (0)
  WITH(dtype.code = PLASTICITY_INT, ".dtype: expected float32, got int32");
  WITH(dtype.bits = 16, ".dtype: expected float32, got float16");
  WITH(dtype.lanes = 4, ".dtype: expected float32, got float32 x 4");
  WITH(shape = other, ".shape: expected [1,2,3], got [1,3,2]");
  WITH(ndim = 2, ".shape: expected [1,2,3], got [1,2]");
  WITH(ndim = -1, ".ndim: expected at least 0, got -1");
  WITH(ndim = 1000000, ".ndim: expected at most 3, got 1000000"); /* the shape has fewer entries */
  WITH(shape = NULL, ".shape: expected a pointer, got null");
  WITH(strides = columns, ".strides: expected the strides of a dense row-major tensor, or null, got [6,1,2]");
  WITH(device.kind = PLASTICITY_CUDA, ".device: expected the CPU, got CUDA device 0");
  WITH(device.kind = 7, ".device: expected the CPU, got a device of kind 7");
  WITH(shape = negative, ".shape[1]: expected at least 0, got -2");
  WITH(shape = huge, ".shape: expected at most 2^48 elements, got [1099511627776,1099511627776,1]");
  WITH(data = NULL, ".data: expected a pointer, got null");
  WITH(byte_offset = 2, ".data: expected memory aligned to 4 bytes, got 0x");
#undef WITH

  plasticity_tensor tensor = right;
  tensor.strides = strides;
  tensor.byte_offset = sizeof(float);  // the tensor begins at the second element
  u[1] = 1;
  float y[B * N];
  plasticity_tensor y_ = floats(y, 3, shape);
  const plasticity_argument list[] = {{"inputs.u", &tensor}, {"y", &y_}};
  OK(plasticity_network_infer(network, 1, list, 2));
  CHECK(y[0] > .7f && y[1] > -1e-6f && y[1] < 1e-6f);
  tensor.device.kind = PLASTICITY_CUDA_HOST;
  OK(plasticity_network_infer(network, 1, list, 2));

  const plasticity_argument twice[] = {{"inputs.u", &right}, {"inputs.u", &right}};
  FAILS(plasticity_network_infer(network, 1, twice, 2), PLASTICITY_INVALID_ARGUMENT,
        "inputs.u: occurs twice");
  const plasticity_argument once_null[] = {{"inputs.u", NULL}, {"inputs.u", &right}};
  FAILS(plasticity_network_infer(network, 1, once_null, 2), PLASTICITY_INVALID_ARGUMENT,
        "inputs.u: occurs twice");
  const plasticity_argument unknown[] = {{"inputs.z", &right}};
  FAILS(plasticity_network_infer(network, 1, unknown, 1), PLASTICITY_INVALID_ARGUMENT, "got 'inputs.z'");
  const plasticity_argument without[] = {{"inputs.x", &right}};
  FAILS(plasticity_network_infer(network, 1, without, 1), PLASTICITY_INVALID_ARGUMENT,
        "inputs.x: expected no tensor");
  const plasticity_argument nameless[] = {{NULL, &right}};
  FAILS(plasticity_network_infer(network, 1, nameless, 1), PLASTICITY_INVALID_ARGUMENT, "arguments[0].name");
  FAILS(plasticity_network_infer(network, 1, NULL, 1), PLASTICITY_INVALID_ARGUMENT, "arguments");
  FAILS(plasticity_network_infer(network, 1, list, (size_t)-1), PLASTICITY_INVALID_ARGUMENT,
        "number of arguments: expected at most 1048576, got 18446744073709551615");
  FAILS(plasticity_network_infer(network, -1, NULL, 0), PLASTICITY_INVALID_ARGUMENT, "steps");
  FAILS(plasticity_network_infer(network, INT64_MAX, NULL, 0), PLASTICITY_INVALID_ARGUMENT, "steps");
  plasticity_network_destroy(network);
}

void wrong_tensors_of_a_file(void) {
  plasticity_file* file = NULL;
  OK(plasticity_file_create(&file));
  float values[1] = {0};
  int64_t shape[] = {1};
  plasticity_tensor tensor = floats(values, 1, shape);
  tensor.ndim = 1000000;
  FAILS(plasticity_file_set_tensor(file, "x", &tensor), PLASTICITY_INVALID_ARGUMENT,
        "x.ndim: expected at most 64, got 1000000");
  tensor.ndim = 1;
  tensor.device.kind = 10; /* another library's */
  FAILS(plasticity_file_set_tensor(file, "x", &tensor), PLASTICITY_INVALID_ARGUMENT,
        "x.device: expected host memory, got a device of kind 10");
  FAILS(plasticity_mse_loss(&tensor, &tensor, NULL, NULL, NULL), PLASTICITY_INVALID_ARGUMENT,
        ".device: expected host memory, got a device of kind 10");
  tensor.device.kind = PLASTICITY_CPU;
  tensor.byte_offset = 1;
  FAILS(plasticity_mse_loss(&tensor, &tensor, NULL, NULL, NULL), PLASTICITY_INVALID_ARGUMENT,
        ".data: expected memory aligned to 4 bytes, got 0x");
  char unaligned[sizeof values + 1] = {0};
  tensor.data = unaligned;
  OK(plasticity_file_set_tensor(file, "x", &tensor)); /* it copies the bytes */
  plasticity_file_destroy(file);
}

void wrong_calls(void) {
  plasticity_spec spec;
  plasticity_plan_options options;
  plasticity_plan* plan = NULL;
  plasticity_spec_init(&spec);
  plasticity_plan_options_init(&options);
  FAILS(plasticity_plan_create(NULL, &options, &plan), PLASTICITY_INVALID_ARGUMENT,
        "spec: expected a pointer");
  FAILS(plasticity_plan_create(&spec, NULL, &plan), PLASTICITY_INVALID_ARGUMENT,
        "options: expected a pointer");
  FAILS(plasticity_plan_create(&spec, &options, NULL), PLASTICITY_INVALID_ARGUMENT,
        "plan: expected a pointer");
  FAILS(plasticity_network_reset(NULL), PLASTICITY_INVALID_ARGUMENT, "network: expected a pointer");
  FAILS(plasticity_file_create(NULL), PLASTICITY_INVALID_ARGUMENT, "file: expected a pointer");
  FAILS(plasticity_adam_steps(NULL, NULL), PLASTICITY_INVALID_ARGUMENT, "expected a pointer");
  FAILS(plasticity_spec_validate(NULL), PLASTICITY_INVALID_ARGUMENT, "spec: expected a pointer");
  spec.neurons = 0;
  FAILS(plasticity_spec_validate(&spec), PLASTICITY_INVALID_SPEC, "spec.neurons: expected at least 1, got 0");
  spec.neurons = 2;
  spec.rule = (plasticity_rule)17;
  FAILS(plasticity_plan_create(&spec, &options, &plan), PLASTICITY_INVALID_SPEC, "spec.rule");
  spec.rule = PLASTICITY_RULE_DECAY;
  options.steps = -1;
  FAILS(plasticity_plan_create(&spec, &options, &plan), PLASTICITY_INVALID_ARGUMENT, "steps");
  options.steps = 1;
  options.precision = (plasticity_precision)5;
  FAILS(plasticity_plan_create(&spec, &options, &plan), PLASTICITY_INVALID_ARGUMENT, "options.precision");
  options.precision = PLASTICITY_F32;
  options.device.kind = 9;
  FAILS(plasticity_plan_create(&spec, &options, &plan), PLASTICITY_INVALID_ARGUMENT, "options.device.kind");
  options.device.kind = PLASTICITY_CUDA;
  FAILS(plasticity_plan_create(&spec, &options, &plan), PLASTICITY_DEVICE_UNAVAILABLE, "Device::cuda(0)");
  CHECK(plan == NULL);
  plasticity_adam_options adam;
  plasticity_adam* made = NULL;
  plasticity_adam_options_init(&adam);
  adam.beta1 = 1;
  FAILS(plasticity_adam_create(&adam, &made), PLASTICITY_INVALID_ARGUMENT, "beta1");
  adam.beta1 = .9;
  OK(plasticity_adam_create(&adam, &made));
  FAILS(plasticity_adam_set_learning_rate(made, -1), PLASTICITY_INVALID_ARGUMENT, "learning_rate");
  OK(plasticity_adam_set_learning_rate(made, 1e-4));
  FAILS(plasticity_adam_set_learning_rate(NULL, 1e-4), PLASTICITY_INVALID_ARGUMENT,
        "optimizer: expected a pointer");
  plasticity_adam_destroy(made);
  plasticity_plan_destroy(NULL);
  plasticity_network_destroy(NULL);
  plasticity_adam_destroy(NULL);
  plasticity_file_destroy(NULL);
  plasticity_spec_init(NULL);

  plasticity_device best = {0, 7};
  OK(plasticity_device_best(&best));
  CHECK(best.kind == PLASTICITY_CPU || best.kind == PLASTICITY_CUDA);
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", PLASTICITY_VERSION_MAJOR, PLASTICITY_VERSION_MINOR,
           PLASTICITY_VERSION_PATCH);
  CHECK(strcmp(plasticity_version(), version) == 0);
  CHECK(strcmp(plasticity_status_name((plasticity_status)99), "(no such status)") == 0);
  for (int status = PLASTICITY_OK; status <= PLASTICITY_INTERNAL; ++status) {
    CHECK(plasticity_status_name((plasticity_status)status)[0] != '(');
  }
}

/* A negative number that became a size_t. The lists are not read past their ends. */
void wrong_counts(void) {
  const size_t count = (size_t)-1;
  plasticity_network* network = make();
  plasticity_parameter parameters[PLASTICITY_MAX_PARAMETERS];
  size_t got = 0;
  OK(plasticity_network_parameters(network, parameters, PLASTICITY_MAX_PARAMETERS, &got));
  FAILS(plasticity_clip_gradients(parameters, count, 1, NULL), PLASTICITY_INVALID_ARGUMENT,
        "number of parameters: expected at most");
  plasticity_network_options options;
  plasticity_network_options_init(&options);
  const int32_t from[] = {PLASTICITY_STACK_INPUT};
  plasticity_stack_layer layer = {.from = from, .from_count = count};
  plasticity_spec_init(&layer.spec);
  plasticity_stack* stack = NULL;
  FAILS(plasticity_stack_create(1, &layer, 1, &options, &stack), PLASTICITY_INVALID_ARGUMENT,
        "number of layers[0].from: expected at most");
  layer.from_count = 1;
  FAILS(plasticity_stack_create(1, &layer, count, &options, &stack), PLASTICITY_INVALID_ARGUMENT,
        "number of layers: expected at most");
  const char* names[] = {"w"};
  plasticity_parameter_group group = {.names = names, .name_count = count};
  plasticity_optimizer_options of_optimizer;
  plasticity_optimizer_options_init(&of_optimizer);
  of_optimizer.groups = &group;
  of_optimizer.group_count = 1;
  plasticity_optimizer* optimizer = NULL;
  FAILS(plasticity_optimizer_create(&of_optimizer, &optimizer), PLASTICITY_INVALID_ARGUMENT,
        "number of options.groups[0].names: expected at most");
  group.name_count = 1;
  of_optimizer.group_count = count;
  FAILS(plasticity_optimizer_create(&of_optimizer, &optimizer), PLASTICITY_INVALID_ARGUMENT,
        "number of options.groups: expected at most");
  const plasticity_module module = {network, NULL, NULL, 0};
  plasticity_trainer_options training;
  plasticity_trainer_options_init(&training);
  plasticity_trainer* trainer = NULL;
  FAILS(plasticity_trainer_create_modules(&module, count, &training, &trainer), PLASTICITY_INVALID_ARGUMENT,
        "number of modules: expected at most");
  CHECK(stack == NULL && optimizer == NULL && trainer == NULL);
  plasticity_network_destroy(network);
}

static void* fail_elsewhere(void* got) {
  CHECK(plasticity_last_error()[0] == '\0');
  FAILS(plasticity_network_reset(NULL), PLASTICITY_INVALID_ARGUMENT, "network");
  *(int*)got = 1;
  return NULL;
}

/* plasticity_last_error() returns the last error of the calling thread. */
void threads(void) {
  FAILS(plasticity_spec_validate(NULL), PLASTICITY_INVALID_ARGUMENT, "spec");
  pthread_t thread;
  int ran = 0;
  CHECK(pthread_create(&thread, NULL, fail_elsewhere, &ran) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(ran == 1 && strstr(plasticity_last_error(), "spec") != NULL);
}

/* Records windows and runs backward. Another thread does the same with the same network. */
static void* use(void* argument) {
  plasticity_network* network = argument;
  for (int k = 0; k < 500; ++k) {
    plasticity_status status = PLASTICITY_OK;
    switch (k % 4) {
      case 0:
      case 1: status = plasticity_network_forward(network, 1, NULL, 0); break;
      case 2: status = plasticity_network_backward(network, NULL, 0); break;
      default: status = plasticity_network_detach(network);
    }
    CHECK(status == PLASTICITY_OK || status == PLASTICITY_INVALID_ARGUMENT);
  }
  return NULL;
}

/* Calls of two threads on one network are errors. The network stays usable. */
void threads_on_one_network(void) {
  plasticity_network* network = make();
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, use, network) == 0);
  use(network);
  CHECK(pthread_join(thread, NULL) == 0);
  int64_t windows = -1;
  OK(plasticity_network_detach(network));
  OK(plasticity_network_forward(network, 2, NULL, 0));
  OK(plasticity_network_windows(network, &windows));
  CHECK(windows == 1);
  OK(plasticity_network_backward(network, NULL, 0));
  plasticity_network_destroy(network);
}

/* The message of an error is valid until the process ends, and an exit handler may fail too. */
static void at_exit(void) {
  if (strstr(plasticity_last_error(), "a name that is long enough to need memory of its own") == NULL) abort();
  if (plasticity_network_reset(NULL) != PLASTICITY_INVALID_ARGUMENT) abort();
  if (strstr(plasticity_last_error(), "network: expected a pointer, got null") == NULL) abort();
}

void errors_at_exit(void) {
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.neurons = 1;
  int64_t shape[PLASTICITY_MAX_AXES];
  int32_t ndim = 0;
  CHECK(atexit(at_exit) == 0);
  FAILS(plasticity_spec_shape(&spec, 1, 1, "a name that is long enough to need memory of its own", shape, &ndim),
        PLASTICITY_INVALID_ARGUMENT, "long enough");
}
