/* The layout of structs, the shapes of tensors, and devices. */
#include "c/check.h"

enum { T = 5, B = 2, I = 3, N = 4 };

/* The structs have the layout of DLPack. */
void layout(void) {
  CHECK(sizeof(plasticity_device) == 8 && sizeof(plasticity_dtype) == 4);
  CHECK(offsetof(plasticity_tensor, data) == 0 && offsetof(plasticity_tensor, device) == sizeof(void*));
  CHECK(offsetof(plasticity_tensor, ndim) == sizeof(void*) + 8);
  CHECK(offsetof(plasticity_tensor, dtype) == sizeof(void*) + 12);
  CHECK(offsetof(plasticity_tensor, shape) == sizeof(void*) + 16);
  CHECK(offsetof(plasticity_tensor, strides) == 2 * sizeof(void*) + 16);
  CHECK(offsetof(plasticity_tensor, byte_offset) == 3 * sizeof(void*) + 16);
}

void struct_sizes(void) {
  CHECK(plasticity_struct_size("plasticity_spec") == sizeof(plasticity_spec));
  CHECK(plasticity_struct_size("plasticity_adam_options") == sizeof(plasticity_adam_options));
  CHECK(plasticity_struct_size("plasticity_network_options") == sizeof(plasticity_network_options));
  CHECK(plasticity_struct_size("plasticity_optimizer_options") == sizeof(plasticity_optimizer_options));
  CHECK(plasticity_struct_size("plasticity_parameter_group") == sizeof(plasticity_parameter_group));
  CHECK(plasticity_struct_size("plasticity_stack_layer") == sizeof(plasticity_stack_layer));
  CHECK(plasticity_struct_size("plasticity_module") == sizeof(plasticity_module));
  CHECK(plasticity_struct_size("plasticity_nothing") == 0 && plasticity_struct_size(NULL) == 0);
  const plasticity_device gpu = {PLASTICITY_CUDA, 0};
  const int missing = plasticity_device_check(gpu) == PLASTICITY_DEVICE_UNAVAILABLE;
  CHECK(missing == (strlen(plasticity_cuda_unavailable_reason()) > 0));
}

/* The shape of every kind of tensor, and names that do not exist. */
void shapes(void) {
  const plasticity_spec spec = modulated_spec(I, N);
  static const struct {
    const char* name;
    int32_t ndim;
    int64_t shape[PLASTICITY_MAX_AXES];
  } wanted[] = {{"parameters.w_in", 2, {I, N}},
                {"dparameters.modulator.bias", 1, {1}},
                {"inputs.x", 3, {T, B, I}},
                {"inputs.u", 3, {T, B, N}},
                {"inputs.pre", 0, {0}},
                {"parameters.w_gates", 0, {0}},
                {"initial_state.hebb", 3, {B, N, N}},
                {"final_state.eligibility", 0, {0}},
                {"masks.reset", 2, {T, B}},
                {"masks.length", 1, {B}},
                {"masks.clamp_value", 3, {T, B, N}},
                {"y", 3, {T, B, N}},
                {"modulation", 2, {T, B}}};
  for (size_t k = 0; k < sizeof wanted / sizeof *wanted; ++k) {
    int64_t shape[PLASTICITY_MAX_AXES] = {0};
    int32_t ndim = -1;
    OK(plasticity_spec_shape(&spec, T, B, wanted[k].name, shape, &ndim));
    CHECK(ndim == wanted[k].ndim && memcmp(shape, wanted[k].shape, sizeof shape) == 0);
  }
  int64_t shape[PLASTICITY_MAX_AXES];
  int32_t ndim = 0;
  FAILS(plasticity_spec_shape(&spec, T, B, "parameters.gain", shape, &ndim), PLASTICITY_INVALID_ARGUMENT,
        "'parameters.gain'");
  FAILS(plasticity_spec_shape(&spec, T, B, "w", shape, &ndim), PLASTICITY_INVALID_ARGUMENT, "name");
  FAILS(plasticity_spec_shape(&spec, -1, B, "y", shape, &ndim), PLASTICITY_INVALID_ARGUMENT, "steps");
}

void devices(void) {
  const plasticity_device cpu = {PLASTICITY_CPU, 0}, unknown = {99, 0};
  OK(plasticity_device_check(cpu));
  FAILS(plasticity_device_check(unknown), PLASTICITY_INVALID_ARGUMENT, "kind");
  float values[] = {1, 2, 3};
  OK(plasticity_fill_zero(cpu, NULL, values, 2 * sizeof *values));
  CHECK(values[0] < 1 && values[1] < 1 && values[2] > 2);
  FAILS(plasticity_fill_zero(cpu, NULL, NULL, 4), PLASTICITY_INVALID_ARGUMENT, "data");
  const plasticity_device second_cpu = {PLASTICITY_CPU, 1};
  FAILS(plasticity_fill_zero(second_cpu, NULL, NULL, 0), PLASTICITY_INVALID_ARGUMENT, "device.index: expected 0");
}
