/* Communicators on threads, and trainers on several ranks. */
#include <pthread.h>

#include "c/check.h"

enum { RANKS = 2, T = 3, B = 4, N = 5 };

/* The work of one rank, and its results. */
typedef struct {
  plasticity_communicator* communicator; /* NULL: one rank with the whole batch */
  int32_t rank;
  float w[N * N];
  double loss;
} work;

/* Trains two iterations on the rank's part of the batch. */
static void train(work* of) {
  const int64_t own = of->communicator == NULL ? B : B / RANKS;
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.cell = PLASTICITY_CELL_RNN;
  spec.neurons = N;
  plasticity_network_options options;
  plasticity_network_options_init(&options);
  options.batch = own;
  options.threads = 1;
  options.device.kind = PLASTICITY_CPU;
  options.seed = 3 + (uint64_t)of->rank; /* the first step copies the parameters of rank 0 */
  plasticity_network* network = NULL;
  OK(plasticity_network_create(&spec, &options, &network));
  plasticity_trainer_options training;
  plasticity_trainer_options_init(&training);
  training.communicator = of->communicator;
  plasticity_trainer* trainer = NULL;
  OK(plasticity_trainer_create(network, &training, &trainer));
  float u[T * B * N], target[T * B * N];
  for (int step = 0; step < 2; ++step) {
    uint64_t state = 7 + (uint64_t)step;
    size_t count = 0;
    for (int t = 0; t < T; ++t) {
      for (int b = 0; b < B; ++b) {
        for (int n = 0; n < N; ++n) {
          const float value = noise(&state);
          if (of->communicator != NULL && b / (B / RANKS) != of->rank) continue;
          u[count] = value;
          target[count++] = value / 2;
        }
      }
    }
    int64_t shape[] = {T, own, N};
    plasticity_tensor of_u = floats(u, 3, shape), of_target = floats(target, 3, shape);
    const plasticity_argument arguments[] = {{"inputs.u", &of_u}, {"target", &of_target}};
    OK(plasticity_network_reset(network));
    OK(plasticity_trainer_step(trainer, T, arguments, 2, &of->loss));
  }
  plasticity_parameter parameters[PLASTICITY_MAX_PARAMETERS];
  size_t count = 0;
  OK(plasticity_network_parameters(network, parameters, PLASTICITY_MAX_PARAMETERS, &count));
  for (size_t k = 0; k < count; ++k) {
    if (strcmp(parameters[k].name, "w") == 0) memcpy(of->w, parameters[k].value.data, sizeof of->w);
  }
  if (of->communicator != NULL) { /* the gradients are equal on all ranks, so their mean is the same again */
    float* gradient = parameters[0].gradient.data;
    const float before = gradient[1];
    OK(plasticity_all_reduce(of->communicator, parameters, count, PLASTICITY_COMBINE_MEAN));
    CHECK(gradient[1] == before);
    OK(plasticity_all_reduce(of->communicator, parameters, count, PLASTICITY_COMBINE_SUM));
    CHECK(gradient[1] == before * (float)RANKS);
  }
  plasticity_trainer_destroy(trainer);
  plasticity_network_destroy(network);
}

static void* run(void* argument) {
  work* of = argument;
  int32_t rank = -1, size = -1;
  OK(plasticity_communicator_rank(of->communicator, &rank, &size));
  CHECK(rank == of->rank && size == RANKS);
  double values[2] = {1.5 + rank, 2};
  float single = (float)rank;
  int64_t two[] = {2}, one[] = {1};
  plasticity_tensor tensor = doubles(values, 1, two), scalar = floats(&single, 1, one);
  OK(plasticity_communicator_sum(of->communicator, &tensor));
  CHECK(values[0] == 4 && values[1] == 4);
  OK(plasticity_communicator_broadcast(of->communicator, &scalar, 1));
  CHECK(single == 1);
  OK(plasticity_communicator_barrier(of->communicator));
  train(of);
  return NULL;
}

void ranks(void) {
  plasticity_communicator* communicators[RANKS];
  OK(plasticity_communicator_create_threads(RANKS, 60, communicators));
  work of_rank[RANKS], whole = {NULL, 0, {0}, 0};
  pthread_t threads_of[RANKS];
  for (int32_t r = 0; r < RANKS; ++r) {
    const work begin = {communicators[r], r, {0}, 0};
    of_rank[r] = begin;
    CHECK(pthread_create(&threads_of[r], NULL, run, &of_rank[r]) == 0);
  }
  for (int32_t r = 0; r < RANKS; ++r) pthread_join(threads_of[r], NULL);
  train(&whole);
  for (int32_t r = 0; r < RANKS; ++r) {
    CHECK(memcmp(of_rank[r].w, whole.w, sizeof whole.w) == 0);
    CHECK(of_rank[r].loss == whole.loss);
  }

  uint8_t byte = 0, id[128] = {0};
  int64_t one[] = {1};
  plasticity_tensor wrong = bytes(&byte, 1, one);
  plasticity_communicator* none = NULL;
  FAILS(plasticity_communicator_sum(communicators[0], &wrong), PLASTICITY_INVALID_ARGUMENT,
        "float32 or float64");
  wrong = floats(&(float){0}, 1, one);
  wrong.device.kind = 10; /* another library's */
  FAILS(plasticity_communicator_sum(communicators[0], &wrong), PLASTICITY_INVALID_ARGUMENT,
        "tensor.device: expected host memory, got a device of kind 10");
  FAILS(plasticity_communicator_sum(communicators[0], NULL), PLASTICITY_INVALID_ARGUMENT, "tensor");
  FAILS(plasticity_communicator_create_threads(0, 1, &none), PLASTICITY_INVALID_ARGUMENT, "size");
  FAILS(plasticity_communicator_create_threads(INT32_MAX, 1, &none), PLASTICITY_INVALID_ARGUMENT,
        "size: expected 1 to 1024, got 2147483647");
  FAILS(plasticity_communicator_create_threads(2, 0, &none), PLASTICITY_INVALID_ARGUMENT, "time_limit");
  FAILS(plasticity_communicator_create_mpi(1, &none), PLASTICITY_UNSUPPORTED, "plasticity::mpi");
  FAILS(plasticity_communicator_create_nccl((plasticity_device){PLASTICITY_CUDA, 0}, id, 0, 1, 1, &none),
        PLASTICITY_DEVICE_UNAVAILABLE, "CUDA");
  OK(plasticity_communicator_create_environment(1, &none));
  CHECK(none == NULL);
  plasticity_communicator_destroy(communicators[1]);
  FAILS(plasticity_communicator_barrier(communicators[0]), PLASTICITY_COMMUNICATION, "rank 1");
  plasticity_communicator_destroy(communicators[0]);
  plasticity_communicator_destroy(NULL);
}
