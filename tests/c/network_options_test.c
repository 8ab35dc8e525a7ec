/* Networks with names and batches, in double precision, and with labels. */
#include <math.h>

#include "c/check.h"

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
  options.preactivation = 1;
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
  options.preactivation = 0;
  OK(plasticity_network_create(&spec, &options, &other));
  const plasticity_argument with_a[] = {{"inputs.u", &small_}, {"a", &small_}};
  FAILS(plasticity_network_infer(other, 1, with_a, 2), PLASTICITY_INVALID_ARGUMENT, "a: expected no tensor");
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

/* The cross-entropy of the pre-activation of a saturated softmax, with a trainer and without one. */
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
  options.preactivation = 1;
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
