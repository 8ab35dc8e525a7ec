/* The library for C and for languages that bind to it: the same core, the same words as the C++ headers,
   which say more about every call (plan.hpp, network.hpp, optimizer.hpp, io/safetensors.hpp).

   Every call that can fail gives a plasticity_status; plasticity_last_error() then says which argument, what
   was expected, what came. A call that fails changes nothing, unless it says so. No exception leaves the
   library. Handles are created and destroyed here; destroying NULL does nothing. A handle is used by one
   thread at a time, except plans, which any number of threads may use at once.

   Sizes: T steps, B batch, I inputs, N neurons, P presynaptic neurons. Tensors are row-major. */
#ifndef PLASTICITY_PLASTICITY_H
#define PLASTICITY_PLASTICITY_H

#include <stddef.h>
#include <stdint.h>

#include "plasticity/config.h"

/* A caller may give any number for an enumeration, and is told so; in C++ that takes one that is an int. */
#ifdef __cplusplus
#define PLASTICITY_AS_INT : int
extern "C" {
#else
#define PLASTICITY_AS_INT
#endif

/* ---- Errors
 * ---------------------------------------------------------------------------------------------------- */

/** What kind of thing went wrong; as ErrorCode in error.hpp. */
typedef enum plasticity_status PLASTICITY_AS_INT {
  PLASTICITY_OK = 0,
  PLASTICITY_INVALID_ARGUMENT = 1,
  PLASTICITY_INVALID_SPEC = 2,
  PLASTICITY_UNSUPPORTED = 3,
  PLASTICITY_DEVICE_UNAVAILABLE = 4,
  PLASTICITY_OUT_OF_MEMORY = 5,
  PLASTICITY_IO = 6,
  PLASTICITY_FORMAT = 7,
  PLASTICITY_INTERNAL = 8 /**< a mistake of the library's own */
} plasticity_status;

/** The name of a status: "ok", "invalid_argument", … */
PLASTICITY_API const char* plasticity_status_name(plasticity_status status);

/** What went wrong in this thread's last call that failed; "" before there was one. Valid until the next that
 * fails. */
PLASTICITY_API const char* plasticity_last_error(void);

/** The version of the library that is linked: "0.1.0". */
PLASTICITY_API const char* plasticity_version(void);

/* ---- Tensors, as in DLPack
 * -------------------------------------------------------------------------------------- */

/** Where memory is. Laid out as DLDevice. */
typedef struct plasticity_device {
  int32_t kind;  /**< PLASTICITY_CPU or PLASTICITY_CUDA; tensors may also be in pinned or managed memory */
  int32_t index; /**< of a CUDA device; 0 on the CPU */
} plasticity_device;

/** Kinds of memory, with the numbers of DLDeviceType. */
enum {
  PLASTICITY_CPU = 1,
  PLASTICITY_CUDA = 2,
  PLASTICITY_CUDA_HOST = 3,    /**< pinned: the host's */
  PLASTICITY_CUDA_MANAGED = 13 /**< on either side */
};

/** The type of an element. Laid out as DLDataType. */
typedef struct plasticity_dtype {
  uint8_t code;   /**< one of the codes below */
  uint8_t bits;   /**< of one element */
  uint16_t lanes; /**< 1 */
} plasticity_dtype;

/** Codes of types, with the numbers of DLDataTypeCode. */
enum {
  PLASTICITY_INT = 0,
  PLASTICITY_UINT = 1,
  PLASTICITY_FLOAT = 2,
  PLASTICITY_BFLOAT = 4,
  PLASTICITY_BOOL = 6
};

/** A view of a tensor in somebody's memory. Laid out as DLTensor, so that a pointer to one may be passed as a
   pointer to the other. The library takes dense row-major tensors only, and says so when given another. */
typedef struct plasticity_tensor {
  void* data;               /**< may be NULL when there are no elements */
  plasticity_device device; /**< where the data is */
  int32_t ndim;             /**< number of axes */
  plasticity_dtype dtype;   /**< of an element */
  int64_t* shape;           /**< [ndim] */
  int64_t* strides;         /**< [ndim], in elements; NULL: dense, row-major */
  uint64_t byte_offset;     /**< from `data` to the first element */
} plasticity_tensor;

/** A tensor under the name that the C++ argument structs have for it: "parameters.w", "inputs.x",
   "masks.reset", "initial_state.hebb", "y". Types: float32, in a plan of precision f64 float64; masks uint8
   or bool; masks.length int64. */
typedef struct plasticity_argument {
  const char* name;                /**< "GROUP.TENSOR" */
  const plasticity_tensor* tensor; /**< NULL: as if it were not in the list */
} plasticity_argument;

/** 64-byte aligned memory of the caller's, on the device of the plan. */
typedef struct plasticity_memory {
  void* data;   /**< its beginning */
  size_t bytes; /**< its size */
} plasticity_memory;

/* ---- What a network is: spec.hpp
 * -------------------------------------------------------------------------------- */

typedef enum plasticity_cell PLASTICITY_AS_INT {
  PLASTICITY_CELL_FEEDFORWARD,
  PLASTICITY_CELL_RNN,
  PLASTICITY_CELL_LSTM
} plasticity_cell;

typedef enum plasticity_rule PLASTICITY_AS_INT {
  PLASTICITY_RULE_DECAY,
  PLASTICITY_RULE_OJA,
  PLASTICITY_RULE_HARD_CLIP,
  PLASTICITY_RULE_SOFT_CLIP,
  PLASTICITY_RULE_ADDITIVE,
  PLASTICITY_RULE_READ_CLIP
} plasticity_rule;

typedef enum plasticity_rate PLASTICITY_AS_INT {
  PLASTICITY_RATE_FIXED,
  PLASTICITY_RATE_MODULATED,
  PLASTICITY_RATE_FAN_OUT,
  PLASTICITY_RATE_EXTERNAL
} plasticity_rate;

typedef enum plasticity_eligibility PLASTICITY_AS_INT {
  PLASTICITY_ELIGIBILITY_NONE,
  PLASTICITY_ELIGIBILITY_BEFORE,
  PLASTICITY_ELIGIBILITY_AFTER
} plasticity_eligibility;

typedef enum plasticity_granularity PLASTICITY_AS_INT {
  PLASTICITY_ALPHA_SCALAR,
  PLASTICITY_ALPHA_POST,
  PLASTICITY_ALPHA_CONNECTION
} plasticity_granularity;

typedef enum plasticity_activation PLASTICITY_AS_INT {
  PLASTICITY_ACTIVATION_TANH,
  PLASTICITY_ACTIVATION_SIGMOID,
  PLASTICITY_ACTIVATION_RELU,
  PLASTICITY_ACTIVATION_IDENTITY,
  PLASTICITY_ACTIVATION_SOFTMAX
} plasticity_activation;

typedef enum plasticity_modulator_source PLASTICITY_AS_INT {
  PLASTICITY_MODULATOR_HIDDEN,
  PLASTICITY_MODULATOR_CELL
} plasticity_modulator_source;

typedef enum plasticity_precision PLASTICITY_AS_INT {
  PLASTICITY_F64,
  PLASTICITY_F32,
  PLASTICITY_BF16
} plasticity_precision;

typedef enum plasticity_execution PLASTICITY_AS_INT {
  PLASTICITY_EXECUTION_AUTOMATIC,
  PLASTICITY_EXECUTION_STEP,
  PLASTICITY_EXECUTION_GRAPH,
  PLASTICITY_EXECUTION_CTA,
  PLASTICITY_EXECUTION_CLUSTER,
  PLASTICITY_EXECUTION_GRID
} plasticity_execution;

/** What a plastic cell is; as Spec. */
typedef struct plasticity_spec {
  plasticity_cell cell;                         /**< what the plastic connection sits in */
  plasticity_rule rule;                         /**< how its trace changes */
  plasticity_rate rate;                         /**< how fast */
  plasticity_eligibility eligibility;           /**< what drives it */
  plasticity_granularity alpha;                 /**< how many plasticity coefficients there are */
  plasticity_activation activation;             /**< of the postsynaptic neurons */
  plasticity_modulator_source modulator_source; /**< what the modulator reads */
  int64_t inputs;                               /**< I */
  int64_t neurons;                              /**< N */
  double clip;                                  /**< of hard_clip and read_clip */
} plasticity_spec;

/** The defaults of Spec. */
PLASTICITY_API void plasticity_spec_init(plasticity_spec* spec);

/** Fails with PLASTICITY_INVALID_SPEC for an impossible field or mix of fields. */
PLASTICITY_API plasticity_status plasticity_spec_validate(const plasticity_spec* spec);

/** The first CUDA device if the program and the machine have one, otherwise the CPU. */
PLASTICITY_API plasticity_status plasticity_device_best(plasticity_device* device);

/* ---- The core: plan.hpp
 * ----------------------------------------------------------------------------------------- */

/** As PlanOptions. */
typedef struct plasticity_plan_options {
  int64_t steps;                  /**< T */
  int64_t batch;                  /**< B */
  plasticity_device device;       /**< where it runs, and where its tensors are */
  int32_t threads;                /**< CPU; 0: PLASTICITY_THREADS, or one per hardware thread */
  plasticity_precision precision; /**< f64: float64 tensors; f32 and bf16: float32 */
  int64_t checkpoint_interval;    /**< K: the tape keeps every K-th trace; 0: chosen */
  uint64_t memory_budget;         /**< bytes that the tape may take; 0: K = ceil(sqrt(T)) */
  plasticity_execution execution; /**< which kernels run a sequence on a GPU; automatic on the CPU */
} plasticity_plan_options;

/** The defaults of PlanOptions: one step, one sample, the CPU, f32. */
PLASTICITY_API void plasticity_plan_options_init(plasticity_plan_options* options);

/** A cell, its sizes and a device, made ready. */
typedef struct plasticity_plan plasticity_plan;

PLASTICITY_API plasticity_status plasticity_plan_create(const plasticity_spec* spec,
                                                        const plasticity_plan_options* options,
                                                        plasticity_plan** plan);
PLASTICITY_API void plasticity_plan_destroy(plasticity_plan* plan);

/** Bytes of memory that the calls below need, and the checkpoint interval that was chosen. */
typedef struct plasticity_plan_needs {
  size_t tape_bytes;           /**< for forward and backward */
  size_t scratch_bytes;        /**< for every call */
  size_t live_bytes;           /**< for load, step and store */
  int64_t checkpoint_interval; /**< K */
} plasticity_plan_needs;
PLASTICITY_API plasticity_status plasticity_plan_needs_of(const plasticity_plan* plan,
                                                          plasticity_plan_needs* needs);

/** T steps. `stream` is a cudaStream_t, or NULL. Arguments: parameters.*, inputs.*, masks.*, initial_state.*,
   and out: y, modulation, final_state.*. A tape whose data is NULL: nothing is recorded. */
PLASTICITY_API plasticity_status plasticity_plan_forward(const plasticity_plan* plan, void* stream,
                                                         const plasticity_argument* arguments, size_t count,
                                                         plasticity_memory tape, plasticity_memory scratch);

/** The gradients of the forward pass that wrote the tape. Arguments: parameters.*, inputs.*, masks.* as they
   were; dy, dfinal_state.*; and out: dparameters.* (added to), dinputs.*, dinitial_state.*. */
PLASTICITY_API plasticity_status plasticity_plan_backward(const plasticity_plan* plan, void* stream,
                                                          const plasticity_argument* arguments, size_t count,
                                                          plasticity_memory tape, plasticity_memory scratch);

/** Puts a state (state.*; what is absent is zero) into live memory. */
PLASTICITY_API plasticity_status plasticity_plan_load(const plasticity_plan* plan, void* stream,
                                                      const plasticity_argument* arguments, size_t count,
                                                      plasticity_memory live);

/** One step of a network that acts. Arguments as of forward with T = 1, without the states: inputs.x [1,B,I]
   or [B,I], y [1,B,N] or [B,N], and so on. */
PLASTICITY_API plasticity_status plasticity_plan_step(const plasticity_plan* plan, void* stream,
                                                      const plasticity_argument* arguments, size_t count,
                                                      plasticity_memory live, plasticity_memory scratch);

/** Takes the state out of live memory: state.*. */
PLASTICITY_API plasticity_status plasticity_plan_store(const plasticity_plan* plan, void* stream,
                                                       const plasticity_argument* arguments, size_t count,
                                                       plasticity_memory live);

/* ---- A network that owns its memory: network.hpp
 * ---------------------------------------------------------------- */

/** As NetworkOptions. */
typedef struct plasticity_network_options {
  int64_t batch;                  /**< B */
  plasticity_device device;       /**< where it runs */
  int32_t threads;                /**< CPU; 0: PLASTICITY_THREADS, or one per hardware thread */
  plasticity_precision precision; /**< f32 or bf16 */
  uint64_t seed;                  /**< of the initial parameters */
  int64_t checkpoint_interval;    /**< as in plasticity_plan_options */
  uint64_t memory_budget;         /**< as in plasticity_plan_options */
  plasticity_execution execution; /**< as in plasticity_plan_options */
  void* stream;                   /**< a cudaStream_t that all of its work goes onto, or NULL */
} plasticity_network_options;

/** The defaults of NetworkOptions, on the CPU. */
PLASTICITY_API void plasticity_network_options_init(plasticity_network_options* options);

/** Parameters, gradients, state and tape of a cell. Its tensors, and those it is given, are the host's, also
   where it runs on a GPU. */
typedef struct plasticity_network plasticity_network;

PLASTICITY_API plasticity_status plasticity_network_create(const plasticity_spec* spec,
                                                           const plasticity_network_options* options,
                                                           plasticity_network** network);
PLASTICITY_API void plasticity_network_destroy(plasticity_network* network);

/** Runs and records T steps. Arguments: inputs.*, masks.*, and out: y [T,B,N], modulation [T,B]. The inputs
   and masks must stay as they are until backward is done. */
PLASTICITY_API plasticity_status plasticity_network_forward(plasticity_network* network, int64_t steps,
                                                            const plasticity_argument* arguments,
                                                            size_t count);

/** As forward, without recording. */
PLASTICITY_API plasticity_status plasticity_network_infer(plasticity_network* network, int64_t steps,
                                                          const plasticity_argument* arguments, size_t count);

/** Takes the last recorded window back. Arguments: dy [T,B,N], and out: dinputs.*. Adds to the parameters'
 * gradients. */
PLASTICITY_API plasticity_status plasticity_network_backward(plasticity_network* network,
                                                             const plasticity_argument* arguments,
                                                             size_t count);

PLASTICITY_API plasticity_status plasticity_network_windows(const plasticity_network* network,
                                                            int64_t* windows);
/** The state becomes zero, the windows are forgotten. */
PLASTICITY_API plasticity_status plasticity_network_reset(plasticity_network* network);
/** The windows are forgotten, the state stays. */
PLASTICITY_API plasticity_status plasticity_network_detach(plasticity_network* network);
PLASTICITY_API plasticity_status plasticity_network_zero_gradients(plasticity_network* network);

/** A parameter and its gradient: views of the network's memory, valid as long as the network. On a GPU copies
   that the network goes by, until a step of a trainer has changed the parameters there: then ask again. */
typedef struct plasticity_parameter {
  const char* name;           /**< "w", "alpha", "modulator.weight" */
  plasticity_tensor value;    /**< float32 */
  plasticity_tensor gradient; /**< what backward adds to */
} plasticity_parameter;

/** The most parameters that a network has. */
enum { PLASTICITY_MOST_PARAMETERS = 10 };

/** The parameters that are trained, in a fixed order. `count` gives how many there are; fails when `capacity`
 * is less. */
PLASTICITY_API plasticity_status plasticity_network_parameters(plasticity_network* network,
                                                               plasticity_parameter* parameters,
                                                               size_t capacity, size_t* count);

/** One of them by its name ("w", "alpha", "modulator.weight"), trained or not. */
PLASTICITY_API plasticity_status plasticity_network_parameter(plasticity_network* network, const char* name,
                                                              plasticity_tensor* value);

/** Whether plasticity_network_parameters() lists it: 1 or 0. */
PLASTICITY_API plasticity_status plasticity_network_set_trainable(plasticity_network* network,
                                                                  const char* name, int trainable);

/** A tensor of the state ("y", "c", "hebb", "eligibility"), to read or to set. On a GPU a copy as of this
   call, which the next forward or infer takes back: ask again after it. */
PLASTICITY_API plasticity_status plasticity_network_state(plasticity_network* network, const char* name,
                                                          plasticity_tensor* state);

/* ---- Training: optimizer.hpp, trainer.hpp
 * ------------------------------------------------------------------------------------ */

/** As AdamOptions. */
typedef struct plasticity_adam_options {
  double learning_rate; /**< the paper's alpha, >= 0 */
  double beta1;         /**< in [0, 1) */
  double beta2;         /**< in [0, 1) */
  double epsilon;       /**< > 0 */
} plasticity_adam_options;
PLASTICITY_API void plasticity_adam_options_init(plasticity_adam_options* options);

/** Adam (Kingma and Ba 2015). */
typedef struct plasticity_adam plasticity_adam;

PLASTICITY_API plasticity_status plasticity_adam_create(const plasticity_adam_options* options,
                                                        plasticity_adam** adam);
PLASTICITY_API void plasticity_adam_destroy(plasticity_adam* adam);

/** One step down the gradients of parameters of any origin, dense float32 on the host. */
PLASTICITY_API plasticity_status plasticity_adam_step(plasticity_adam* adam,
                                                      const plasticity_parameter* parameters, size_t count);
PLASTICITY_API plasticity_status plasticity_adam_set_learning_rate(plasticity_adam* adam,
                                                                   double learning_rate);
PLASTICITY_API plasticity_status plasticity_adam_steps(const plasticity_adam* adam, int64_t* steps);

/** Scales all gradients down so that their 2-norm is at most `most`; `norm` (or NULL) gives it as it was. */
PLASTICITY_API plasticity_status plasticity_clip_gradients(const plasticity_parameter* parameters,
                                                           size_t count, double most, double* norm);

/** As Reduction: what a sum of squared errors is divided by. */
typedef enum plasticity_reduction PLASTICITY_AS_INT {
  PLASTICITY_MEAN = 0,    /**< the number of entries that count */
  PLASTICITY_SUM = 1,     /**< nothing */
  PLASTICITY_RELATIVE = 2 /**< the sum of the squared targets */
} plasticity_reduction;

/** As TrainerOptions. */
typedef struct plasticity_trainer_options {
  plasticity_adam_options adam;   /**< of the optimiser */
  double clip_norm;               /**< the most that the gradients' 2-norm may be; 0: any */
  plasticity_reduction reduction; /**< of the squared errors */
} plasticity_trainer_options;
PLASTICITY_API void plasticity_trainer_options_init(plasticity_trainer_options* options);

/** Whole training iterations of a network towards a target; on a GPU one CUDA graph each. */
typedef struct plasticity_trainer plasticity_trainer;

/** The network must outlive it. */
PLASTICITY_API plasticity_status plasticity_trainer_create(plasticity_network* network,
                                                           const plasticity_trainer_options* options,
                                                           plasticity_trainer** trainer);
PLASTICITY_API void plasticity_trainer_destroy(plasticity_trainer* trainer);

/** One iteration over T steps: forward, squared error, backward, clipping, Adam. Arguments: inputs.*, masks.*
   as of plasticity_network_forward; target [T,B,N]; target_mask [T,B,N] of uint8, 0 where an entry does not
   count; and out: y [T,B,N], modulation [T,B]. `loss` may be NULL. Fails while the network has windows. */
PLASTICITY_API plasticity_status plasticity_trainer_step(plasticity_trainer* trainer, int64_t steps,
                                                         const plasticity_argument* arguments, size_t count,
                                                         double* loss);
PLASTICITY_API plasticity_status plasticity_trainer_set_learning_rate(plasticity_trainer* trainer,
                                                                      double learning_rate);
PLASTICITY_API plasticity_status plasticity_trainer_steps(const plasticity_trainer* trainer, int64_t* steps);

/* ---- Files: io/safetensors.hpp
 * ---------------------------------------------------------------------------------- */

/** Named tensors and text, as a safetensors file holds them. */
typedef struct plasticity_file plasticity_file;

/** An empty one. */
PLASTICITY_API plasticity_status plasticity_file_create(plasticity_file** file);
/** One that is read from the disk. */
PLASTICITY_API plasticity_status plasticity_file_load(const char* path, plasticity_file** file);
/** Writes it: completely, or not at all. */
PLASTICITY_API plasticity_status plasticity_file_save(const plasticity_file* file, const char* path);
PLASTICITY_API void plasticity_file_destroy(plasticity_file* file);

/** Puts a copy of a tensor of the host's into it: float64, float32, bfloat16, float16, int64, int32, uint8 or
 * bool. */
PLASTICITY_API plasticity_status plasticity_file_set_tensor(plasticity_file* file, const char* name,
                                                            const plasticity_tensor* tensor);
/** A view of one; valid until the file is changed or destroyed. Fails with PLASTICITY_FORMAT when there is
 * none. */
PLASTICITY_API plasticity_status plasticity_file_tensor(const plasticity_file* file, const char* name,
                                                        plasticity_tensor* tensor);
PLASTICITY_API plasticity_status plasticity_file_set_metadata(plasticity_file* file, const char* key,
                                                              const char* value);
/** Valid until the file is changed or destroyed. Fails with PLASTICITY_FORMAT when there is none. */
PLASTICITY_API plasticity_status plasticity_file_metadata(const plasticity_file* file, const char* key,
                                                          const char** value);

/** Puts the network's parameters and spec into a file, or takes the parameters from it. */
PLASTICITY_API plasticity_status plasticity_network_save(const plasticity_network* network,
                                                         plasticity_file* file);
PLASTICITY_API plasticity_status plasticity_network_load(plasticity_network* network,
                                                         const plasticity_file* file);

/** Puts the optimiser's moments and step count into a file, or takes them from it. */
PLASTICITY_API plasticity_status plasticity_adam_save(const plasticity_adam* adam, plasticity_file* file);
PLASTICITY_API plasticity_status plasticity_adam_load(plasticity_adam* adam, const plasticity_file* file);

/** The same for a trainer: either can be loaded from a file of the other. */
PLASTICITY_API plasticity_status plasticity_trainer_save(const plasticity_trainer* trainer,
                                                         plasticity_file* file);
PLASTICITY_API plasticity_status plasticity_trainer_load(plasticity_trainer* trainer,
                                                         const plasticity_file* file);

/** The spec that plasticity_network_save() wrote. */
PLASTICITY_API plasticity_status plasticity_file_spec(const plasticity_file* file, plasticity_spec* spec);

#ifdef __cplusplus
}
#endif

#endif
