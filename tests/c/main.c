/* Runs all tests, or the one that the argument names. */
#include <math.h>

#include "c/check.h"

int failures = 0;

static plasticity_tensor dense(void* data, uint8_t code, uint8_t bits, int32_t ndim, int64_t shape[]) {
  const plasticity_tensor tensor = {data, {PLASTICITY_CPU, 0}, ndim, {code, bits, 1}, shape, NULL, 0};
  return tensor;
}

plasticity_tensor floats(float* data, int32_t ndim, int64_t shape[]) {
  return dense(data, PLASTICITY_FLOAT, 32, ndim, shape);
}
plasticity_tensor doubles(double* data, int32_t ndim, int64_t shape[]) {
  return dense(data, PLASTICITY_FLOAT, 64, ndim, shape);
}
plasticity_tensor bytes(uint8_t* data, int32_t ndim, int64_t shape[]) {
  return dense(data, PLASTICITY_UINT, 8, ndim, shape);
}

plasticity_spec modulated_spec(int64_t inputs, int64_t neurons) {
  plasticity_spec spec;
  plasticity_spec_init(&spec);
  spec.rule = PLASTICITY_RULE_OJA;
  spec.rate = PLASTICITY_RATE_MODULATED;
  spec.inputs = inputs;
  spec.neurons = neurons;
  return spec;
}

plasticity_network* make_network(const plasticity_spec* spec, int64_t batch, uint64_t seed) {
  plasticity_network_options options;
  plasticity_network_options_init(&options);
  options.batch = batch;
  options.threads = 1;
  options.seed = seed;
  plasticity_network* network = NULL;
  OK(plasticity_network_create(spec, &options, &network));
  return network;
}

float noise(uint64_t* state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (float)(*state >> 40) / 8388608.0f - 1.0f;
}

int near(float got, double want) { return fabs((double)got - want) < 1e-5; }

int main(int count, char** arguments) {
  static const struct {
    const char* name;
    void (*run)(void);
  } tests[] = {
#define TEST(name) {#name, name},
#include "c/tests.def"
#undef TEST
  };
  int ran = 0;
  for (size_t k = 0; k < sizeof tests / sizeof tests[0]; ++k) {
    if (count > 1 && strcmp(arguments[1], tests[k].name) != 0) continue;
    tests[k].run();
    ++ran;
  }
  if (ran == 0) printf("no such test\n");
  return ran > 0 && failures == 0 ? 0 : 1;
}
