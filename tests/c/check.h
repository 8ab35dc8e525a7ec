/* Macros and helpers of the C tests. */
#ifndef PLASTICITY_TESTS_C_CHECK_H
#define PLASTICITY_TESTS_C_CHECK_H

#include <plasticity/plasticity.h>
#include <stdio.h>
#include <string.h>

extern int failures;

#define CHECK(holds)                                                   \
  do {                                                                 \
    if (!(holds)) {                                                    \
      printf("%s:%d: check failed: %s\n", __FILE__, __LINE__, #holds); \
      ++failures;                                                      \
    }                                                                  \
  } while (0)

/* A call that must succeed. */
#define OK(call)                                                                                           \
  do {                                                                                                     \
    const plasticity_status status_ = (call);                                                              \
    if (status_ != PLASTICITY_OK) {                                                                        \
      printf("%s:%d: %s\n  returned %s: %s\n", __FILE__, __LINE__, #call, plasticity_status_name(status_), \
             plasticity_last_error());                                                                     \
      ++failures;                                                                                          \
    }                                                                                                      \
  } while (0)

/* A call that must fail with that status and a message that contains the text. */
#define FAILS(call, expected, text)                                                                      \
  do {                                                                                                   \
    const plasticity_status status_ = (call);                                                            \
    if (status_ != (expected) || strstr(plasticity_last_error(), (text)) == NULL) {                      \
      printf("%s:%d: %s\n  returned %s: %s\n  expected %s with '%s'\n", __FILE__, __LINE__, #call,       \
             plasticity_status_name(status_), plasticity_last_error(), plasticity_status_name(expected), \
             (text));                                                                                    \
      ++failures;                                                                                        \
    }                                                                                                    \
  } while (0)

/* Dense tensors in host memory. `shape` has `ndim` sizes. */
plasticity_tensor floats(float* data, int32_t ndim, int64_t shape[]);
plasticity_tensor doubles(double* data, int32_t ndim, int64_t shape[]);
plasticity_tensor bytes(uint8_t* data, int32_t ndim, int64_t shape[]);

/* An rnn with Oja's rule and a modulated rate. */
plasticity_spec modulated_spec(int64_t inputs, int64_t neurons);

/* A network on one thread. Its other options have their default values. */
plasticity_network* make_network(const plasticity_spec* spec, int64_t batch, uint64_t seed);

/* Random numbers in -1..1, the same on every machine. */
float noise(uint64_t* state);

/* Whether two numbers differ by no more than a few roundings of floats, also of 1 - beta. */
int near(float got, double want);

#define TEST(name) void name(void);
#include "c/tests.def"
#undef TEST

#endif
