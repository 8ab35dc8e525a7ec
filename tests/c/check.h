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

/* Random numbers in -1..1, the same on every machine. */
float noise(uint64_t* state);

/* The tests. Their names are arguments of the program. */
void layout(void);
void shapes(void);
void plans(void);
void stepping(void);
void gradients(void);
void networks(void);
void learning(void);
void training(void);
void saving(void);
void losses(void);
void current(void);
void optimizers(void);
void names_and_batches(void);
void double_precision(void);
void labels(void);
void modules(void);
void stacks(void);
void struct_sizes(void);
void wrong_tensors(void);
void wrong_tensors_of_a_file(void);
void wrong_calls(void);
void ranks(void);
void threads(void);

#endif
