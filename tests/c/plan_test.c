/* Plans through the C interface, compared with a network, with single steps and with finite differences. */
#include <stdlib.h>

#include "c/check.h"

enum { T = 5, B = 2, I = 3, N = 4 };

static plasticity_memory allocate(size_t size) {
  plasticity_memory memory = {NULL, (size + 63) / 64 * 64};
  if (size > 0) memory.data = aligned_alloc(64, memory.bytes);
  if (size > 0) memset(memory.data, 0xff, memory.bytes);
  return memory;
}

static plasticity_plan* make_plan(const plasticity_spec* spec, plasticity_precision precision) {
  plasticity_plan_options options;
  plasticity_plan_options_init(&options);
  options.steps = T;
  options.batch = B;
  options.threads = 1;
  options.precision = precision;
  plasticity_plan* plan = NULL;
  OK(plasticity_plan_create(spec, &options, &plan));
  return plan;
}

/* A network and a plan on the network's parameters give the same bits, forward and backward. */
void plans(void) {
  const plasticity_spec spec = modulated_spec(I, N);
  plasticity_network* network = make_network(&spec, B, 3);
  plasticity_plan* plan = make_plan(&spec, PLASTICITY_F32);
  uint64_t seed = 1;
  float x[T * B * I], dy[T * B * N], y[2][T * B * N], m[2][T * B], dx[2][T * B * I];
  for (size_t k = 0; k < sizeof x / sizeof *x; ++k) x[k] = noise(&seed);
  for (size_t k = 0; k < sizeof dy / sizeof *dy; ++k) dy[k] = noise(&seed);
  int64_t tbi[] = {T, B, I}, tbn[] = {T, B, N};
  const plasticity_tensor x_ = floats(x, 3, tbi), dy_ = floats(dy, 3, tbn);
  plasticity_tensor y_[2], m_[2], dx_[2];
  for (int k = 0; k < 2; ++k) {
    y_[k] = floats(y[k], 3, tbn);
    m_[k] = floats(m[k], 2, tbn);
    dx_[k] = floats(dx[k], 3, tbi);
  }
  const plasticity_argument in[] = {{"inputs.x", &x_}, {"y", &y_[0]}, {"modulation", &m_[0]}};
  const plasticity_argument back[] = {{"dy", &dy_}, {"dinputs.x", &dx_[0]}};
  OK(plasticity_network_forward(network, T, in, 3));
  OK(plasticity_network_backward(network, back, 2));

  plasticity_parameter parameters[PLASTICITY_MAX_PARAMETERS];
  size_t count = 0;
  OK(plasticity_network_parameters(network, parameters, PLASTICITY_MAX_PARAMETERS, &count));
  CHECK(count == 6);
  char names[2][PLASTICITY_MAX_PARAMETERS][64];
  float gradient[PLASTICITY_MAX_PARAMETERS][64] = {{0}};
  plasticity_tensor gradient_[PLASTICITY_MAX_PARAMETERS];
  plasticity_argument forward[PLASTICITY_MAX_PARAMETERS + 3], backward[2 * PLASTICITY_MAX_PARAMETERS + 3];
  for (size_t k = 0; k < count; ++k) {
    snprintf(names[0][k], 64, "parameters.%s", parameters[k].name);
    snprintf(names[1][k], 64, "dparameters.%s", parameters[k].name);
    gradient_[k] = parameters[k].gradient;
    gradient_[k].data = gradient[k];
    forward[k] = (plasticity_argument){names[0][k], &parameters[k].value};
    backward[k] = forward[k];
    backward[count + k] = (plasticity_argument){names[1][k], &gradient_[k]};
  }
  forward[count] = (plasticity_argument){"inputs.x", &x_};
  forward[count + 1] = (plasticity_argument){"y", &y_[1]};
  forward[count + 2] = (plasticity_argument){"modulation", &m_[1]};
  backward[2 * count] = (plasticity_argument){"inputs.x", &x_};
  backward[2 * count + 1] = (plasticity_argument){"dy", &dy_};
  backward[2 * count + 2] = (plasticity_argument){"dinputs.x", &dx_[1]};

  plasticity_plan_needs needs;
  OK(plasticity_plan_needs_of(plan, &needs));
  CHECK(needs.tape_bytes > 0 && needs.checkpoint_interval >= 1);
  const plasticity_memory tape = allocate(needs.tape_bytes), scratch = allocate(needs.scratch_bytes);
  OK(plasticity_plan_forward(plan, NULL, forward, count + 3, tape, scratch));
  OK(plasticity_plan_backward(plan, NULL, backward, 2 * count + 3, tape, scratch));
  CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0 && memcmp(m[0], m[1], sizeof m[0]) == 0);
  CHECK(memcmp(dx[0], dx[1], sizeof dx[0]) == 0);
  for (size_t k = 0; k < count; ++k) {
    size_t elements = 1;
    for (int32_t axis = 0; axis < parameters[k].value.ndim; ++axis) {
      elements *= (size_t)parameters[k].value.shape[axis];
    }
    CHECK(elements <= 64 && memcmp(gradient[k], parameters[k].gradient.data, elements * sizeof(float)) == 0);
  }

  plasticity_execution execution = PLASTICITY_EXECUTION_GRID;
  OK(plasticity_plan_execution(plan, &execution));
  CHECK(execution == PLASTICITY_EXECUTION_AUTOMATIC);
  FAILS(plasticity_plan_execution(plan, NULL), PLASTICITY_INVALID_ARGUMENT, "execution");
  FAILS(plasticity_plan_forward(plan, NULL, forward, count + 3, tape, (plasticity_memory){scratch.data, 8}),
        PLASTICITY_INVALID_ARGUMENT, "scratch.bytes");
  FAILS(plasticity_plan_forward(plan, NULL, forward + 1, count + 2, tape, scratch),
        PLASTICITY_INVALID_ARGUMENT, "parameters.w_in: expected a tensor of shape [3,4], got null");
  free(tape.data);
  free(scratch.data);
  plasticity_plan_destroy(plan);
  plasticity_network_destroy(network);
}

/* Single steps have the same bits as the sequence, and store returns the state. */
void stepping(void) {
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.neurons = N;
  plasticity_plan* plan = make_plan(&spec, PLASTICITY_F32);
  plasticity_plan_needs needs;
  OK(plasticity_plan_needs_of(plan, &needs));
  const plasticity_memory scratch = allocate(needs.scratch_bytes),
                          step_state = allocate(needs.step_state_bytes);
  uint64_t seed = 2;
  float w[N * N], alpha[N * N], eta = .2f, u[T * B * N], whole[T * B * N], hebb[2][B * N * N];
  for (size_t k = 0; k < N * N; ++k) {
    w[k] = noise(&seed);
    alpha[k] = noise(&seed);
  }
  for (size_t k = 0; k < T * B * N; ++k) u[k] = noise(&seed);
  int64_t nn[] = {N, N}, one[] = {1}, tbn[] = {T, B, N}, bnn[] = {B, N, N}, bn[] = {B, N};
  const plasticity_tensor w_ = floats(w, 2, nn), alpha_ = floats(alpha, 2, nn), eta_ = floats(&eta, 1, one);
  const plasticity_tensor u_ = floats(u, 3, tbn), y_ = floats(whole, 3, tbn);
  const plasticity_tensor hebb_[] = {floats(hebb[0], 3, bnn), floats(hebb[1], 3, bnn)};
  const plasticity_argument all[] = {{"parameters.w", &w_},
                                     {"parameters.alpha", &alpha_},
                                     {"parameters.eta", &eta_},
                                     {"inputs.u", &u_},
                                     {"y", &y_},
                                     {"final_state.hebb", &hebb_[0]},
                                     {"initial_state.hebb", NULL}};
  OK(plasticity_plan_forward(plan, NULL, all, 7, (plasticity_memory){NULL, 0}, scratch));

  OK(plasticity_plan_load(plan, NULL, NULL, 0, step_state));
  for (size_t t = 0; t < T; ++t) {
    float y[B * N];
    const plasticity_tensor u_t = floats(u + t * B * N, 2, bn), y_t = floats(y, 2, bn);
    const plasticity_argument step[] = {all[0], all[1], all[2], {"inputs.u", &u_t}, {"y", &y_t}};
    OK(plasticity_plan_step(plan, NULL, step, 5, step_state, scratch));
    CHECK(memcmp(y, whole + t * B * N, sizeof y) == 0);
  }
  const plasticity_argument out[] = {{"state.hebb", &hebb_[1]}};
  OK(plasticity_plan_store(plan, NULL, out, 1, step_state));
  CHECK(memcmp(hebb[0], hebb[1], sizeof hebb[0]) == 0);
  free(scratch.data);
  free(step_state.data);
  plasticity_plan_destroy(plan);
}

/* In float64 the gradient of w matches central differences. */
void gradients(void) {
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.neurons = N;
  plasticity_plan* plan = make_plan(&spec, PLASTICITY_F64);
  plasticity_plan_needs needs;
  OK(plasticity_plan_needs_of(plan, &needs));
  const plasticity_memory tape = allocate(needs.tape_bytes), scratch = allocate(needs.scratch_bytes);
  uint64_t seed = 4;
  double w[N * N], alpha[N * N], eta = .2, u[T * B * N], y[T * B * N], dy[T * B * N], dw[N * N] = {0};
  for (size_t k = 0; k < N * N; ++k) {
    w[k] = (double)noise(&seed);
    alpha[k] = (double)noise(&seed);
  }
  for (size_t k = 0; k < T * B * N; ++k) {
    u[k] = (double)noise(&seed);
    dy[k] = (double)noise(&seed);
  }
  int64_t nn[] = {N, N}, one[] = {1}, tbn[] = {T, B, N};
  const plasticity_tensor w_ = doubles(w, 2, nn), alpha_ = doubles(alpha, 2, nn),
                          eta_ = doubles(&eta, 1, one);
  const plasticity_tensor u_ = doubles(u, 3, tbn), y_ = doubles(y, 3, tbn), dy_ = doubles(dy, 3, tbn);
  const plasticity_tensor dw_ = doubles(dw, 2, nn);
  const plasticity_argument forward[] = {{"parameters.w", &w_},
                                         {"parameters.alpha", &alpha_},
                                         {"parameters.eta", &eta_},
                                         {"inputs.u", &u_},
                                         {"y", &y_}};
  const plasticity_argument backward[] = {forward[0], forward[1],   forward[2],
                                          forward[3], {"dy", &dy_}, {"dparameters.w", &dw_}};
  OK(plasticity_plan_forward(plan, NULL, forward, 5, tape, scratch));
  OK(plasticity_plan_backward(plan, NULL, backward, 6, tape, scratch));
  for (size_t k = 0; k < N * N; ++k) {
    double loss[2] = {0, 0};
    const double before = w[k], h = 1e-5;
    for (int side = 0; side < 2; ++side) {
      w[k] = before + (side == 0 ? h : -h);
      OK(plasticity_plan_forward(plan, NULL, forward, 5, (plasticity_memory){NULL, 0}, scratch));
      for (size_t j = 0; j < T * B * N; ++j) loss[side] += y[j] * dy[j];
    }
    w[k] = before;
    const double slope = (loss[0] - loss[1]) / (2 * h);
    /* Central differences have an error of about h^2 = 1e-10, and rounding adds about 1e-16 / h = 1e-11. */
    const double tolerance = 1e-8;
    CHECK(dw[k] - slope < tolerance && slope - dw[k] < tolerance);
  }
  free(tape.data);
  free(scratch.data);
  plasticity_plan_destroy(plan);
}

/* The gradient of a loss on the pre-activation passes a saturated activation. */
void preactivation(void) {
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
