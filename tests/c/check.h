/* The few words that the C tests are written in. */
#ifndef PLASTICITY_TESTS_C_CHECK_H
#define PLASTICITY_TESTS_C_CHECK_H

#include <plasticity/plasticity.h>
#include <stdio.h>
#include <string.h>

extern int failures;

#define CHECK(holds)                                             \
  do {                                                           \
    if (!(holds)) {                                              \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #holds); \
      ++failures;                                                \
    }                                                            \
  } while (0)

/* A call that must succeed. */
#define OK(call)                                                                                       \
  do {                                                                                                 \
    const plasticity_status status_ = (call);                                                          \
    if (status_ != PLASTICITY_OK) {                                                                    \
      printf("%s:%d: %s\n  gave %s: %s\n", __FILE__, __LINE__, #call, plasticity_status_name(status_), \
             plasticity_last_error());                                                                 \
      ++failures;                                                                                      \
    }                                                                                                  \
  } while (0)

/* A call that must fail with that status and a message that holds the text. */
#define FAILS(call, wanted, text)                                                                      \
  do {                                                                                                 \
    const plasticity_status status_ = (call);                                                          \
    if (status_ != (wanted) || strstr(plasticity_last_error(), (text)) == NULL) {                      \
      printf("%s:%d: %s\n  gave %s: %s\n  expected %s with '%s'\n", __FILE__, __LINE__, #call,         \
             plasticity_status_name(status_), plasticity_last_error(), plasticity_status_name(wanted), \
             (text));                                                                                  \
      ++failures;                                                                                      \
    }                                                                                                  \
  } while (0)

/* Dense tensors of the host's; `shape` has three sizes, of which the first `ndim` count. */
plasticity_tensor floats(float* data, int32_t ndim, int64_t shape[]);
plasticity_tensor doubles(double* data, int32_t ndim, int64_t shape[]);
plasticity_tensor bytes(uint8_t* data, int32_t ndim, int64_t shape[]);

/* The same numbers on every machine, in -1..1. */
float noise(uint64_t* state);

/* The tests, by their names on the command line. */
void layout(void);
void plans(void);
void stepping(void);
void gradients(void);
void networks(void);
void learning(void);
void training(void);
void saving(void);
void wrong_tensors(void);
void wrong_calls(void);
void threads(void);

#endif
