/* Networks, training and files through the C interface. */
#include <stdlib.h>
#include <unistd.h>

#include "c/check.h"

enum { T = 7, B = 8, N = 24 };

static plasticity_network* make(uint64_t seed) {
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.neurons = N;
  return make_network(&spec, B, seed);
}

static plasticity_adam* make_adam(double learning_rate) {
  plasticity_adam_options options;
  plasticity_adam_options_init(&options);
  options.learning_rate = learning_rate;
  plasticity_adam* adam = NULL;
  OK(plasticity_adam_create(&options, &adam));
  return adam;
}

/* Trains one episode of recall: a pattern for four steps, then half of it. Returns the squared error of the
 * other half. */
static float train(plasticity_network* network, plasticity_adam* adam, uint64_t* random) {
  static float pattern[T * B * N], y[T * B * N], dy[T * B * N];
  static uint8_t clamp[T * B * N];
  int64_t tbn[] = {T, B, N};
  for (size_t k = 0; k < T * B * N; ++k) {
    pattern[k] = k < B * N ? (noise(random) > 0 ? 1.0f : -1.0f) : pattern[k % (B * N)];
    clamp[k] = k < 4 * B * N || k % 2 == 0;
  }
  const plasticity_tensor clamp_ = bytes(clamp, 3, tbn), pattern_ = floats(pattern, 3, tbn);
  const plasticity_tensor y_ = floats(y, 3, tbn), dy_ = floats(dy, 3, tbn);
  const plasticity_argument in[] = {{"masks.clamp", &clamp_}, {"masks.clamp_value", &pattern_}, {"y", &y_}};
  const plasticity_argument back[] = {{"dy", &dy_}};
  OK(plasticity_network_reset(network));
  OK(plasticity_network_forward(network, T, in, 3));
  float error = 0;
  const float scored = B * N / 2;
  for (size_t k = 0; k < T * B * N; ++k) {
    const int counts = k >= (T - 1) * B * N && k % 2 != 0;
    const float difference = counts ? y[k] - pattern[k] : 0;
    error += difference * difference / scored;
    dy[k] = 2 * difference / scored;
  }
  OK(plasticity_network_zero_gradients(network));
  OK(plasticity_network_backward(network, back, 1));
  plasticity_parameter parameters[PLASTICITY_MAX_PARAMETERS];
  size_t count = 0;
  double norm = -1;
  OK(plasticity_network_parameters(network, parameters, PLASTICITY_MAX_PARAMETERS, &count));
  OK(plasticity_clip_gradients(parameters, count, 5, &norm));
  CHECK(norm >= 0);
  OK(plasticity_adam_step(adam, parameters, count));
  return error;
}

void learning(void) {
  plasticity_network* network = make(1);
  plasticity_adam* adam = make_adam(1e-2);
  uint64_t random = 1;
  const float first = train(network, adam, &random);
  float last = first;
  for (int episode = 1; episode < 300; ++episode) last = train(network, adam, &random);
  CHECK(first > .9f && last < .1f);
  plasticity_adam_destroy(adam);
  plasticity_network_destroy(network);
}

/* Backward refuses parameters that an optimizer has changed since forward. */
void changed_parameters(void) {
  static float u[T * B * N], dy[T * B * N];
  int64_t tbn[] = {T, B, N};
  const plasticity_tensor input = floats(u, 3, tbn), upstream = floats(dy, 3, tbn);
  const plasticity_argument in[] = {{"inputs.u", &input}}, back[] = {{"dy", &upstream}};
  plasticity_network* network = make(1);
  plasticity_adam* adam = make_adam(1e-2);
  plasticity_parameter parameters[PLASTICITY_MAX_PARAMETERS];
  size_t count = 0;
  OK(plasticity_network_parameters(network, parameters, PLASTICITY_MAX_PARAMETERS, &count));
  OK(plasticity_network_forward(network, T, in, 1));
  OK(plasticity_network_backward(network, back, 1));
  OK(plasticity_network_detach(network));
  OK(plasticity_network_forward(network, T, in, 1));
  OK(plasticity_adam_step(adam, parameters, count));
  FAILS(plasticity_network_backward(network, back, 1), PLASTICITY_INVALID_ARGUMENT, "changed since");
  plasticity_adam_destroy(adam);
  plasticity_network_destroy(network);
}

static float first_weight(plasticity_network* network) {
  plasticity_tensor w;
  OK(plasticity_network_parameter(network, "w", &w));
  return *(const float*)w.data;
}

/* A clone has its own parameters, and a network that shares has those of the first one. */
void clones(void) {
  static float u[B * N], y[B * N], y_of_clone[B * N], y_of_shared[B * N];
  int64_t tbn[] = {1, B, N};
  const plasticity_tensor input = floats(u, 3, tbn), outputs[] = {floats(y, 3, tbn), floats(y_of_clone, 3, tbn),
                                                                  floats(y_of_shared, 3, tbn)};
  uint64_t random = 1;
  for (size_t k = 0; k < B * N; ++k) u[k] = noise(&random);
  plasticity_network *network = make(1), *clone = NULL, *shared = NULL;
  const plasticity_argument run[] = {{"inputs.u", &input}, {"y", &outputs[0]}},
                            run_clone[] = {{"inputs.u", &input}, {"y", &outputs[1]}},
                            run_shared[] = {{"inputs.u", &input}, {"y", &outputs[2]}};
  OK(plasticity_network_infer(network, 1, run, 2));
  OK(plasticity_network_clone(network, &clone));
  OK(plasticity_network_share(network, &shared));
  OK(plasticity_network_infer(network, 1, run, 2));
  OK(plasticity_network_infer(clone, 1, run_clone, 2));
  CHECK(memcmp(y, y_of_clone, sizeof y) == 0); /* it has a copy of the state */
  OK(plasticity_network_infer(shared, 1, run_shared, 2));
  CHECK(memcmp(y, y_of_shared, sizeof y) != 0); /* its state was zero */
  OK(plasticity_network_infer(shared, 1, run_shared, 2));
  CHECK(memcmp(y, y_of_shared, sizeof y) == 0);

  plasticity_tensor w;
  OK(plasticity_network_parameter(network, "w", &w));
  const float before = first_weight(network);
  *(float*)w.data = before + 1;
  CHECK(first_weight(clone) == before && first_weight(shared) == before + 1);
  plasticity_network_destroy(network);
  CHECK(first_weight(shared) == before + 1);
  FAILS(plasticity_network_clone(clone, NULL), PLASTICITY_INVALID_ARGUMENT, "copy");
  FAILS(plasticity_network_clone(NULL, &network), PLASTICITY_INVALID_ARGUMENT, "network");
  FAILS(plasticity_network_share(NULL, &network), PLASTICITY_INVALID_ARGUMENT, "network");
  plasticity_network_destroy(clone);
  plasticity_network_destroy(shared);
}

/* The same training with a trainer, one call per episode. */
void training(void) {
  static float pattern[T * B * N], y[T * B * N];
  static uint8_t clamp[T * B * N], mask[T * B * N];
  int64_t tbn[] = {T, B, N};
  const plasticity_tensor clamp_ = bytes(clamp, 3, tbn), pattern_ = floats(pattern, 3, tbn);
  const plasticity_tensor y_ = floats(y, 3, tbn), mask_ = bytes(mask, 3, tbn);
  const plasticity_argument in[] = {{"masks.clamp", &clamp_},
                                    {"masks.clamp_value", &pattern_},
                                    {"target", &pattern_},
                                    {"target_mask", &mask_},
                                    {"y", &y_}};
  plasticity_network* network = make(1);
  plasticity_trainer_options options;
  plasticity_trainer_options_init(&options);
  options.adam.learning_rate = 1e-2;
  options.clip_norm = 5;
  plasticity_trainer* trainer = NULL;
  OK(plasticity_trainer_create(network, &options, &trainer));
  uint64_t random = 1;
  double first = 0, loss = 0;
  for (int episode = 0; episode < 300; ++episode) {
    for (size_t k = 0; k < T * B * N; ++k) {
      pattern[k] = k < B * N ? (noise(&random) > 0 ? 1.0f : -1.0f) : pattern[k % (B * N)];
      clamp[k] = k < 4 * B * N || k % 2 == 0;
      mask[k] = k >= (T - 1) * B * N && k % 2 != 0;
    }
    OK(plasticity_network_reset(network));
    OK(plasticity_trainer_step(trainer, T, in, 5, &loss));
    if (episode == 0) first = loss;
  }
  CHECK(first > .9 && loss < .1);
  CHECK((y[T * B * N - 1] > 0) == (pattern[T * B * N - 1] > 0));
  int64_t steps = 0;
  OK(plasticity_trainer_steps(trainer, &steps));
  CHECK(steps == 300);

  plasticity_file* file = NULL;
  plasticity_adam* adam = make_adam(1e-2);
  OK(plasticity_file_create(&file));
  OK(plasticity_trainer_save(trainer, file));
  OK(plasticity_adam_load(adam, file));
  OK(plasticity_adam_steps(adam, &steps));
  CHECK(steps == 300);
  OK(plasticity_trainer_load(trainer, file));
  plasticity_file_destroy(file);
  plasticity_adam_destroy(adam);

  OK(plasticity_trainer_set_learning_rate(trainer, 1e-3));
  FAILS(plasticity_trainer_set_learning_rate(trainer, -1), PLASTICITY_INVALID_ARGUMENT, "learning_rate");
  double learning_rate = 0;
  OK(plasticity_trainer_learning_rate(trainer, &learning_rate));
  CHECK(learning_rate == 1e-3);
  FAILS(plasticity_trainer_step(trainer, T, in, 2, NULL), PLASTICITY_INVALID_ARGUMENT, "target");
  OK(plasticity_network_forward(network, T, in, 2));
  FAILS(plasticity_trainer_step(trainer, T, in, 5, NULL), PLASTICITY_INVALID_ARGUMENT, "got 1 window");
  plasticity_trainer_destroy(trainer);
  options.reduction = (plasticity_reduction)7;
  FAILS(plasticity_trainer_create(network, &options, &trainer), PLASTICITY_INVALID_ARGUMENT, "reduction");
  FAILS(plasticity_trainer_step(NULL, T, in, 5, NULL), PLASTICITY_INVALID_ARGUMENT, "expected a pointer");
  plasticity_network_destroy(network);
}

/* Windows, state and trainable parameters. */
void networks(void) {
  plasticity_network* network = make(2);
  float u[2 * B * N], y[2 * B * N], two[2 * B * N];
  uint64_t random = 2;
  for (size_t k = 0; k < 2 * B * N; ++k) u[k] = noise(&random);
  int64_t both[] = {2, B, N}, one[] = {1, B, N};
  const plasticity_tensor u_ = floats(u, 3, both), y_ = floats(y, 3, both);
  const plasticity_argument whole[] = {{"inputs.u", &u_}, {"y", &y_}};
  OK(plasticity_network_infer(network, 2, whole, 2));
  OK(plasticity_network_reset(network));
  for (size_t t = 0; t < 2; ++t) {
    const plasticity_tensor u_t = floats(u + t * B * N, 3, one), y_t = floats(two + t * B * N, 3, one);
    const plasticity_argument window[] = {{"inputs.u", &u_t}, {"y", &y_t}};
    OK(plasticity_network_forward(network, 1, window, 2));
  }
  CHECK(memcmp(y, two, sizeof y) == 0);
  int64_t windows = 0;
  OK(plasticity_network_windows(network, &windows));
  CHECK(windows == 2);

  plasticity_tensor state;
  OK(plasticity_network_state(network, "y", &state));
  CHECK(state.ndim == 2 && state.shape[0] == B && state.shape[1] == N);
  CHECK(memcmp(state.data, y + B * N, B * N * sizeof(float)) == 0);
  plasticity_tensor again;
  OK(plasticity_network_state(network, "y", &again));
  CHECK(state.shape == again.shape && state.shape[0] == B && state.shape[1] == N);
  OK(plasticity_network_detach(network));
  FAILS(plasticity_network_backward(network, NULL, 0), PLASTICITY_INVALID_ARGUMENT,
        "a window that forward() recorded");

  size_t count = 0;
  plasticity_parameter parameters[PLASTICITY_MAX_PARAMETERS];
  OK(plasticity_network_set_trainable(network, "eta", 0));
  OK(plasticity_network_parameters(network, parameters, PLASTICITY_MAX_PARAMETERS, &count));
  CHECK(count == 2 && strcmp(parameters[0].name, "w") == 0 && strcmp(parameters[1].name, "alpha") == 0);
  FAILS(plasticity_network_parameters(network, parameters, 1, &count), PLASTICITY_INVALID_ARGUMENT,
        "capacity");
  plasticity_tensor eta;
  OK(plasticity_network_parameter(network, "eta", &eta));
  CHECK(eta.ndim == 1 && eta.shape[0] == 1);
  FAILS(plasticity_network_parameter(network, "gain", &eta), PLASTICITY_INVALID_ARGUMENT,
        "one of w, alpha, eta");
  plasticity_network_destroy(network);
}

/* A training that was saved and loaded continues to the same bits. */
void saving(void) {
  char path[64];
  snprintf(path, sizeof path, "plasticity_c_test_%ld.safetensors", (long)getpid());
  plasticity_network* straight = make(1);
  plasticity_adam* adam = make_adam(1e-2);
  uint64_t random = 1;
  for (int episode = 0; episode < 3; ++episode) train(straight, adam, &random);

  plasticity_file* file = NULL;
  char iteration[32];
  snprintf(iteration, sizeof iteration, "%llu", (unsigned long long)random);
  OK(plasticity_file_create(&file));
  OK(plasticity_network_save(straight, file));
  OK(plasticity_adam_save(adam, file));
  OK(plasticity_file_set_metadata(file, "random", iteration));
  OK(plasticity_file_save(file, path));
  plasticity_file_destroy(file);
  for (int episode = 0; episode < 3; ++episode) train(straight, adam, &random);

  plasticity_network* resumed = make(99);
  plasticity_adam* resumed_adam = make_adam(1e-2);
  const char* text = "";
  plasticity_spec spec;
  int64_t steps = 0;
  OK(plasticity_file_load(path, &file));
  OK(plasticity_file_spec(file, &spec));
  CHECK(spec.neurons == N && spec.cell == PLASTICITY_CELL_RNN);
  OK(plasticity_network_load(resumed, file));
  OK(plasticity_adam_load(resumed_adam, file));
  OK(plasticity_adam_steps(resumed_adam, &steps));
  CHECK(steps == 3);
  OK(plasticity_file_metadata(file, "random", &text));
  uint64_t again = strtoull(text, NULL, 10);
  for (int episode = 0; episode < 3; ++episode) train(resumed, resumed_adam, &again);
  plasticity_tensor a, b;
  OK(plasticity_network_parameter(straight, "w", &a));
  OK(plasticity_network_parameter(resumed, "w", &b));
  CHECK(memcmp(a.data, b.data, N * N * sizeof(float)) == 0);

  plasticity_tensor stored;
  OK(plasticity_file_tensor(file, "param.w", &stored));
  CHECK(stored.ndim == 2 && stored.dtype.code == PLASTICITY_FLOAT && stored.dtype.bits == 32);
  FAILS(plasticity_file_tensor(file, "param.gain", &stored), PLASTICITY_FORMAT, "param.gain");
  size_t tensors = 0, entries = 0;
  OK(plasticity_file_counts(file, &tensors, &entries));
  CHECK(tensors > 3 && entries > 9);
  for (size_t k = 0; k < tensors; ++k) {
    OK(plasticity_file_tensor_name(file, k, &text));
    OK(plasticity_file_tensor(file, text, &stored));
  }
  OK(plasticity_file_metadata_key(file, 0, &text));
  CHECK(strcmp(text, "I") == 0);
  FAILS(plasticity_file_metadata_key(file, entries, &text), PLASTICITY_INVALID_ARGUMENT, "index");
  FAILS(plasticity_file_tensor_name(file, tensors, &text), PLASTICITY_INVALID_ARGUMENT, "index");
  int64_t three[] = {3};
  uint8_t flags[] = {1, 0, 1};
  plasticity_tensor mask = bytes(flags, 1, three);
  OK(plasticity_file_set_tensor(file, "mask", &mask));
  OK(plasticity_file_tensor(file, "mask", &stored));
  CHECK(memcmp(stored.data, flags, sizeof flags) == 0);
  mask.dtype.bits = 16;
  FAILS(plasticity_file_set_tensor(file, "mask", &mask), PLASTICITY_INVALID_ARGUMENT, "mask.dtype");
  FAILS(plasticity_file_metadata(file, "colour", &text), PLASTICITY_FORMAT, "colour");
  plasticity_file_destroy(file);
  remove(path);
  FAILS(plasticity_file_load(path, &file), PLASTICITY_IO, path);

  plasticity_adam_destroy(adam);
  plasticity_adam_destroy(resumed_adam);
  plasticity_network_destroy(straight);
  plasticity_network_destroy(resumed);
}
