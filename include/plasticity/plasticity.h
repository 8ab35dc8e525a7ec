/* The C interface of the library, for C programs and for bindings of other languages. It has the
   functions and the terms of the C++ headers. plan.hpp, network.hpp, optimizer.hpp, trainer.hpp, stack.hpp
   and io/safetensors.hpp document each call in more detail.

   Errors: every call that can fail returns a plasticity_status. plasticity_last_error() then returns a
   message that names the argument, the expected value and the actual value. A call that fails changes
   nothing, unless its documentation says otherwise. No C++ exception leaves the library. Pointers must not be
   NULL, unless their documentation allows it; a NULL pointer is reported as PLASTICITY_INVALID_ARGUMENT.

   Handles: each type has a function that creates a handle and one that destroys it. Destroying NULL does
   nothing. A plan may be used by any number of threads at once. Any other handle may be used by one thread at
   a time.

   Sizes: T steps, B batch, I inputs, N neurons, P presynaptic neurons. Tensors are row-major. */
#ifndef PLASTICITY_PLASTICITY_H
#define PLASTICITY_PLASTICITY_H

#include <stddef.h>
#include <stdint.h>

#include "plasticity/config.h"

/* In C++ every enumeration has the underlying type int. A caller may then pass any number: the library
   reports a number that is not an enumerator as an error. */
#ifdef __cplusplus
#define PLASTICITY_AS_INT : int
extern "C" {
#else
#define PLASTICITY_AS_INT
#endif

/* ---- Errors ---- */

/** The kind of an error. The values correspond to ErrorCode in error.hpp. */
typedef enum plasticity_status PLASTICITY_AS_INT {
  PLASTICITY_OK = 0,
  PLASTICITY_INVALID_ARGUMENT = 1,   /**< an argument has the wrong size, value or combination */
  PLASTICITY_INVALID_SPEC = 2,       /**< the equations do not define this combination of spec fields */
  PLASTICITY_UNSUPPORTED = 3,        /**< a valid request that this build or device does not support */
  PLASTICITY_DEVICE_UNAVAILABLE = 4, /**< the device does not exist or cannot be used */
  PLASTICITY_OUT_OF_MEMORY = 5,      /**< an allocation failed */
  PLASTICITY_IO = 6,                 /**< a file could not be opened, read or written */
  PLASTICITY_FORMAT = 7,             /**< the content of a file does not follow its format */
  PLASTICITY_INTERNAL = 8,           /**< a bug in the library */
  PLASTICITY_COMMUNICATION = 9       /**< a rank of a communicator has ended, hangs, or made another call */
} plasticity_status;

/** Returns the name of a status, for example "invalid_argument". The text is static. */
PLASTICITY_API const char* plasticity_status_name(plasticity_status status);

/** Returns the message of the last call that failed on this thread, or "" if none has failed. The text is
   valid until the next call that fails on this thread. */
PLASTICITY_API const char* plasticity_last_error(void);

/** Returns the version of the linked library, for example "0.1.0". The text is static. */
PLASTICITY_API const char* plasticity_version(void);

/** Returns the size in bytes of the struct `name` in the linked library, for example "plasticity_spec",
   or 0 for an unknown name. A binding whose own size differs was written for another version. */
PLASTICITY_API size_t plasticity_struct_size(const char* name);

/* ---- Tensors (DLPack) ---- */

/** The location of memory. It has the layout of DLDevice. */
typedef struct plasticity_device {
  int32_t kind;  /**< PLASTICITY_CPU or PLASTICITY_CUDA; a tensor may also be in pinned or managed memory */
  int32_t index; /**< number of the CUDA device; 0 on the CPU */
} plasticity_device;

/** Kinds of memory. The values are those of DLDeviceType. */
enum {
  PLASTICITY_CPU = 1,
  PLASTICITY_CUDA = 2,
  PLASTICITY_CUDA_HOST = 3,    /**< pinned host memory */
  PLASTICITY_CUDA_MANAGED = 13 /**< managed memory: the host and the device can access it */
};

/** An element type. It has the layout of DLDataType. */
typedef struct plasticity_dtype {
  uint8_t code;   /**< a type code, listed below */
  uint8_t bits;   /**< bits per element */
  uint16_t lanes; /**< must be 1 */
} plasticity_dtype;

/** Type codes. The values are those of DLDataTypeCode. */
enum {
  PLASTICITY_INT = 0,
  PLASTICITY_UINT = 1,
  PLASTICITY_FLOAT = 2,
  PLASTICITY_BFLOAT = 4,
  PLASTICITY_BOOL = 6
};

/** A view of a tensor; it does not own the data. It has the layout of DLTensor, so a DLTensor* may be cast to
   a plasticity_tensor*. The library takes only dense row-major tensors, whose elements are aligned to
   their size, and reports any other as an error. A tensor of a file may be unaligned. */
typedef struct plasticity_tensor {
  void* data;               /**< may be NULL if the tensor has no elements */
  plasticity_device device; /**< location of the data */
  int32_t ndim;             /**< number of axes */
  plasticity_dtype dtype;   /**< element type */
  int64_t* shape;           /**< [ndim] */
  int64_t* strides;         /**< [ndim], in elements; NULL means dense and row-major */
  uint64_t byte_offset;     /**< bytes from `data` to the first element */
} plasticity_tensor;

/** A named tensor argument. The names are those of the C++ argument structs in arguments.hpp: "parameters.w",
   "inputs.x", "masks.reset", "initial_state.hebb", "y". Element types: masks.length is int64, other masks are
   uint8 or bool, and all other tensors are float32 (float64 in a plan of precision f64). */
typedef struct plasticity_argument {
  const char* name;                /**< for example "inputs.x"; at most once per call */
  const plasticity_tensor* tensor; /**< NULL: the argument is absent */
} plasticity_argument;

/** A block of the caller's memory on the plan's device, aligned to 64 bytes. */
typedef struct plasticity_memory {
  void* data;   /**< first byte */
  size_t bytes; /**< size */
} plasticity_memory;

/* ---- The plastic cell (spec.hpp) ---- */

/** The cell that contains the plastic connection. See Cell. */
typedef enum plasticity_cell PLASTICITY_AS_INT {
  PLASTICITY_CELL_FEEDFORWARD,
  PLASTICITY_CELL_RNN,
  PLASTICITY_CELL_LSTM
} plasticity_cell;

/** The update rule of the Hebbian trace. See Rule for the equations. */
typedef enum plasticity_rule PLASTICITY_AS_INT {
  PLASTICITY_RULE_DECAY,
  PLASTICITY_RULE_OJA,
  PLASTICITY_RULE_HARD_CLIP,
  PLASTICITY_RULE_SOFT_CLIP,
  PLASTICITY_RULE_ADDITIVE,
  PLASTICITY_RULE_READ_CLIP
} plasticity_rule;

/** The source of the trace's rate. See Rate. */
typedef enum plasticity_rate PLASTICITY_AS_INT {
  PLASTICITY_RATE_FIXED,
  PLASTICITY_RATE_MODULATED,
  PLASTICITY_RATE_FAN_OUT,
  PLASTICITY_RATE_EXTERNAL
} plasticity_rate;

/** The order of the trace update and the eligibility trace update. See Eligibility. */
typedef enum plasticity_eligibility PLASTICITY_AS_INT {
  PLASTICITY_ELIGIBILITY_NONE,
  PLASTICITY_ELIGIBILITY_BEFORE,
  PLASTICITY_ELIGIBILITY_AFTER
} plasticity_eligibility;

/** The shape of the plasticity coefficients alpha: [1], [N] or [P,N]; or no plastic part. See Granularity. */
typedef enum plasticity_granularity PLASTICITY_AS_INT {
  PLASTICITY_ALPHA_SCALAR,
  PLASTICITY_ALPHA_POST,
  PLASTICITY_ALPHA_CONNECTION,
  PLASTICITY_ALPHA_NONE
} plasticity_granularity;

/** The activation of the postsynaptic neurons. */
typedef enum plasticity_activation PLASTICITY_AS_INT {
  PLASTICITY_ACTIVATION_TANH,
  PLASTICITY_ACTIVATION_SIGMOID,
  PLASTICITY_ACTIVATION_RELU,
  PLASTICITY_ACTIVATION_IDENTITY,
  PLASTICITY_ACTIVATION_SOFTMAX
} plasticity_activation;

/** The state that the modulator of an LSTM reads. Other cells take only PLASTICITY_MODULATOR_HIDDEN. */
typedef enum plasticity_modulator_source PLASTICITY_AS_INT {
  PLASTICITY_MODULATOR_HIDDEN,
  PLASTICITY_MODULATOR_CELL
} plasticity_modulator_source;

/** The precision of the arithmetic and of stored traces. See Precision. */
typedef enum plasticity_precision PLASTICITY_AS_INT {
  PLASTICITY_F64,
  PLASTICITY_F32,
  PLASTICITY_BF16
} plasticity_precision;

/** The kernels that run a sequence on a CUDA device. See Execution. */
typedef enum plasticity_execution PLASTICITY_AS_INT {
  PLASTICITY_EXECUTION_AUTOMATIC,
  PLASTICITY_EXECUTION_STEP,
  PLASTICITY_EXECUTION_GRAPH,
  PLASTICITY_EXECUTION_CTA,
  PLASTICITY_EXECUTION_CLUSTER,
  PLASTICITY_EXECUTION_GRID
} plasticity_execution;

/** Describes a plastic cell. The fields are those of Spec. */
typedef struct plasticity_spec {
  plasticity_cell cell;                         /**< cell that contains the plastic connection */
  plasticity_rule rule;                         /**< update rule of the Hebbian trace */
  plasticity_rate rate;                         /**< source of the trace's rate */
  plasticity_eligibility eligibility;           /**< whether an eligibility trace drives the Hebbian trace */
  plasticity_granularity alpha;                 /**< shape of the plasticity coefficients */
  plasticity_activation activation;             /**< activation of the postsynaptic neurons */
  plasticity_modulator_source modulator_source; /**< state that the modulator reads */
  int64_t inputs;                               /**< I */
  int64_t neurons;                              /**< N */
  double clip;                                  /**< c > 0 of hard_clip and read_clip; others ignore it */
} plasticity_spec;

/** Sets the defaults of Spec. Does nothing for NULL. */
PLASTICITY_API void plasticity_spec_init(plasticity_spec* spec);

/** Returns PLASTICITY_INVALID_SPEC if a field, or a combination of fields, is not valid. */
PLASTICITY_API plasticity_status plasticity_spec_validate(const plasticity_spec* spec);

/** Largest number of axes of a tensor in a call. */
enum { PLASTICITY_MAX_AXES = 3 };

/** Sets `shape` to the shape of a tensor in a call of T steps and B samples. Names are "parameters.w",
   "inputs.x", "masks.reset", "initial_state.hebb", "y", "modulation". Sets `ndim` to 0 if the spec has no
   such tensor. Returns PLASTICITY_INVALID_ARGUMENT for an unknown name. */
PLASTICITY_API plasticity_status plasticity_spec_shape(const plasticity_spec* spec, int64_t steps,
                                                       int64_t batch, const char* name,
                                                       int64_t shape[PLASTICITY_MAX_AXES], int32_t* ndim);

/** Sets `device` to the first CUDA device if this build and machine have one, otherwise to the CPU. */
PLASTICITY_API plasticity_status plasticity_device_best(plasticity_device* device);

/** Returns PLASTICITY_DEVICE_UNAVAILABLE if no plan can run on the device. The error text is the reason. */
PLASTICITY_API plasticity_status plasticity_device_check(plasticity_device device);

/** Returns why no CUDA device can be used, or "" if one can. The text is valid until this thread's next call
   of this function. */
PLASTICITY_API const char* plasticity_cuda_unavailable_reason(void);

/** Sets memory on a device to zero: at once on the CPU, on `stream` (a cudaStream_t, or NULL) on a GPU. */
PLASTICITY_API plasticity_status plasticity_fill_zero(plasticity_device device, void* stream, void* data,
                                                      size_t bytes);

/* ---- Calls on the caller's buffers (plan.hpp) ---- */

/** The sizes and options of a plan. The fields are those of PlanOptions. */
typedef struct plasticity_plan_options {
  int64_t steps;                  /**< T >= 0 */
  int64_t batch;                  /**< B >= 0 */
  plasticity_device device;       /**< device that runs the plan and holds its tensors */
  int32_t threads;                /**< CPU threads; 0: PLASTICITY_THREADS, or one per hardware thread */
  plasticity_precision precision; /**< f64 takes float64 tensors, on the CPU; f32 and bf16 take float32 */
  int64_t checkpoint_interval;    /**< K: the tape stores every K-th trace; 0: the plan chooses K */
  uint64_t memory_budget;         /**< maximum tape size in bytes; 0: none, and K <= ceil(sqrt(T)) */
  plasticity_execution execution; /**< kernels that run a sequence on a GPU; must be automatic on the CPU */
} plasticity_plan_options;

/** Sets the defaults of PlanOptions, on the CPU: T = 1, B = 1, f32. Does nothing for NULL. */
PLASTICITY_API void plasticity_plan_options_init(plasticity_plan_options* options);

/** Runs one spec, at fixed sizes, on one device. Immutable. See Plan. */
typedef struct plasticity_plan plasticity_plan;

/** Creates a plan. The caller destroys it. */
PLASTICITY_API plasticity_status plasticity_plan_create(const plasticity_spec* spec,
                                                        const plasticity_plan_options* options,
                                                        plasticity_plan** plan);
PLASTICITY_API void plasticity_plan_destroy(plasticity_plan* plan);

/** The memory that the calls below need, and the plan's checkpoint interval. */
typedef struct plasticity_plan_needs {
  size_t tape_bytes;           /**< tape of forward and backward */
  size_t scratch_bytes;        /**< scratch of forward, backward and step */
  size_t step_state_bytes;     /**< step state of load, step and store */
  int64_t checkpoint_interval; /**< K */
} plasticity_plan_needs;
/** Returns the memory that the plan's calls need. */
PLASTICITY_API plasticity_status plasticity_plan_needs_of(const plasticity_plan* plan,
                                                          plasticity_plan_needs* needs);

/** Sets `execution` to the kernels that the plan chose. On the CPU it is PLASTICITY_EXECUTION_AUTOMATIC. */
PLASTICITY_API plasticity_status plasticity_plan_execution(const plasticity_plan* plan,
                                                           plasticity_execution* execution);

/** Runs T steps. Input arguments: parameters.*, inputs.*, masks.*, initial_state.*. Output arguments: y,
   modulation, a, final_state.*. If tape is {NULL, 0}, nothing is recorded. `stream` is a cudaStream_t; NULL
   is the default stream, and the CPU ignores it. */
PLASTICITY_API plasticity_status plasticity_plan_forward(const plasticity_plan* plan, void* stream,
                                                         const plasticity_argument* arguments, size_t count,
                                                         plasticity_memory tape, plasticity_memory scratch);

/** Computes the gradients of the forward pass that wrote the tape. Input arguments: parameters.*, inputs.*
   and masks.* with the values that forward read, and the upstream gradients dy, da and dfinal_state.*. Output
   arguments: dparameters.*, dinputs.*, dinitial_state.*. The call adds to dparameters.* and overwrites the
   other outputs. */
PLASTICITY_API plasticity_status plasticity_plan_backward(const plasticity_plan* plan, void* stream,
                                                          const plasticity_argument* arguments, size_t count,
                                                          plasticity_memory tape, plasticity_memory scratch);

/** Copies a state (state.*) into the step state. An absent tensor counts as zero. */
PLASTICITY_API plasticity_status plasticity_plan_load(const plasticity_plan* plan, void* stream,
                                                      const plasticity_argument* arguments, size_t count,
                                                      plasticity_memory step_state);

/** Advances the step state by one step. Takes the arguments of forward with T = 1, without initial_state.*
   and final_state.*. The leading axis of size 1 may be missing: inputs.x is [1,B,I] or [B,I], y is [1,B,N] or
   [B,N]. masks.length must be absent. */
PLASTICITY_API plasticity_status plasticity_plan_step(const plasticity_plan* plan, void* stream,
                                                      const plasticity_argument* arguments, size_t count,
                                                      plasticity_memory step_state,
                                                      plasticity_memory scratch);

/** Copies the step state to state.*. An absent tensor is not copied. The step state stays valid. */
PLASTICITY_API plasticity_status plasticity_plan_store(const plasticity_plan* plan, void* stream,
                                                       const plasticity_argument* arguments, size_t count,
                                                       plasticity_memory step_state);

/* ---- A network that owns its memory (network.hpp) ---- */

/** The options of a network. The fields are those of NetworkOptions. */
typedef struct plasticity_network_options {
  int64_t batch;                  /**< B */
  plasticity_device device;       /**< device that runs the network */
  int32_t threads;                /**< CPU threads; 0: PLASTICITY_THREADS, or one per hardware thread */
  plasticity_precision precision; /**< f64 takes float64 tensors, on the CPU; f32 and bf16 take float32 */
  uint64_t seed;                  /**< seed of the initial parameters */
  int64_t checkpoint_interval;    /**< see plasticity_plan_options */
  uint64_t memory_budget;         /**< see plasticity_plan_options */
  plasticity_execution execution; /**< see plasticity_plan_options */
  void* stream;                   /**< a cudaStream_t for all work of the network; NULL: default stream */
  const char* name;               /**< name of the network in files and of its parameters; NULL: none */
  int32_t preactivation;          /**< 1: forward and infer can return the pre-activation a; 0: they cannot */
} plasticity_network_options;

/** Sets the defaults of NetworkOptions, on the CPU. Does nothing for NULL. */
PLASTICITY_API void plasticity_network_options_init(plasticity_network_options* options);

/** A cell with its parameters, gradients, state and tape. See Network. All tensors of its calls are in host
   memory, also if the network runs on a GPU. */
typedef struct plasticity_network plasticity_network;

/** Creates a network. The caller destroys it. options->stream must outlive the network. */
PLASTICITY_API plasticity_status plasticity_network_create(const plasticity_spec* spec,
                                                           const plasticity_network_options* options,
                                                           plasticity_network** network);
/** Creates a network with copies of the parameters and of the state. See Network::clone. The caller destroys
   it. */
PLASTICITY_API plasticity_status plasticity_network_clone(const plasticity_network* network,
                                                          plasticity_network** copy);
/** Creates a network with a state of its own that shares the parameters and gradients, for example to act
   while the first one learns. See Network::share. The caller destroys it. The parameters live as long as one
   of the two. */
PLASTICITY_API plasticity_status plasticity_network_share(plasticity_network* network,
                                                          plasticity_network** second);
PLASTICITY_API void plasticity_network_destroy(plasticity_network* network);

/** Runs T steps from the current state and records them as a window. Input arguments: inputs.*, masks.*.
   Output arguments: y [T,B,N], modulation [T,B], and with options.preactivation the pre-activation a [T,B,N].
   The network copies inputs and masks, so the caller may reuse their memory after the call. B is the batch of
   the state, see plasticity_network_reset_batch(). */
PLASTICITY_API plasticity_status plasticity_network_forward(plasticity_network* network, int64_t steps,
                                                            const plasticity_argument* arguments,
                                                            size_t count);

/** Runs T steps like plasticity_network_forward, without recording them. */
PLASTICITY_API plasticity_status plasticity_network_infer(plasticity_network* network, int64_t steps,
                                                          const plasticity_argument* arguments, size_t count);

/** Computes the gradients of the last recorded window and removes that window. Input arguments: dy [T,B,N]
   and the gradient da [T,B,N] of the pre-activation; an absent one counts as zero. Output arguments:
   dinputs.*. Adds to the parameters' gradients. */
PLASTICITY_API plasticity_status plasticity_network_backward(plasticity_network* network,
                                                             const plasticity_argument* arguments,
                                                             size_t count);

/** Returns the number of recorded windows for which backward has not run. */
PLASTICITY_API plasticity_status plasticity_network_windows(const plasticity_network* network,
                                                            int64_t* windows);
/** Sets the state to zero and discards the recorded windows. */
PLASTICITY_API plasticity_status plasticity_network_reset(plasticity_network* network);
/** As plasticity_network_reset(). The state then has `batch` samples; 0: those of the options. */
PLASTICITY_API plasticity_status plasticity_network_reset_batch(plasticity_network* network, int64_t batch);
/** Returns B of the state. */
PLASTICITY_API plasticity_status plasticity_network_batch(const plasticity_network* network, int64_t* batch);
/** Discards the recorded windows and keeps the state. */
PLASTICITY_API plasticity_status plasticity_network_detach(plasticity_network* network);
/** Sets the parameters' gradients to zero. */
PLASTICITY_API plasticity_status plasticity_network_zero_gradients(plasticity_network* network);

/** A parameter's name, and views of it and its gradient. They belong to the network and live as long as it.
   On a GPU the views are host copies. Every call uploads values from them; every backward downloads gradients
   into them. plasticity_trainer_step makes them stale: call plasticity_network_parameters again. */
typedef struct plasticity_parameter {
  const char* name;           /**< "w", "modulator.weight"; "NAME.w" in a network with a name */
  plasticity_tensor value;    /**< float32; float64 in a network of precision f64 */
  plasticity_tensor gradient; /**< as value; backward adds to it */
  uint64_t* version; /**< the network's count of changes to its values, or NULL for tensors of your own.
                        An optimizer increments it, so that plasticity_network_backward can refuse
                        parameters that differ from those of forward */
} plasticity_parameter;

/** The maximum number of parameters of a network. */
enum { PLASTICITY_MAX_PARAMETERS = 10 };

/** Lists the trainable parameters in a fixed order and sets *count to their number. Fails if `capacity`, the
   length of `parameters`, is less than *count; *count is set then too. */
PLASTICITY_API plasticity_status plasticity_network_parameters(plasticity_network* network,
                                                               plasticity_parameter* parameters,
                                                               size_t capacity, size_t* count);

/** Returns a view of the parameter `name`, trainable or not. In a network with a name "w" and "NAME.w" are
   the same. The rules for stale copies on a GPU are those of plasticity_parameter. */
PLASTICITY_API plasticity_status plasticity_network_parameter(plasticity_network* network, const char* name,
                                                              plasticity_tensor* value);

/** Sets whether the parameter `name` is trainable (1) or not (0). plasticity_network_parameters() lists only
   trainable parameters. At first all are trainable. */
PLASTICITY_API plasticity_status plasticity_network_set_trainable(plasticity_network* network,
                                                                  const char* name, int trainable);

/** Returns a view of the state tensor `name` ("y", "c", "hebb" or "eligibility"), to read or to set. On a GPU
   the view is a host copy made by this call, and the next forward or infer uploads it. Call this function
   again after forward or infer. */
PLASTICITY_API plasticity_status plasticity_network_state(plasticity_network* network, const char* name,
                                                          plasticity_tensor* state);

/* ---- Training (optimizer.hpp, trainer.hpp) ---- */

/** Sets `loss` to the mean of (y - target)^2 over the entries whose `mask` is not 0, and writes the gradient
   to `dy`. All tensors have the same number of elements and are in host memory: y, target and dy of float32,
   mask of uint8 or bool. `mask`, `dy` and `loss` may be NULL. dy may alias y or target as a whole. */
PLASTICITY_API plasticity_status plasticity_mse_loss(const plasticity_tensor* y,
                                                     const plasticity_tensor* target,
                                                     const plasticity_tensor* mask,
                                                     const plasticity_tensor* dy, double* loss);

/** Sets `loss` to the mean softmax cross-entropy of `logits` [.., classes] against `labels` [..], in nats,
   and writes the gradient to `dlogits` [.., classes]. A row whose label is -1 is ignored. All tensors are in
   host memory: logits and dlogits of float32, labels of int64. `dlogits` and `loss` may be NULL. */
PLASTICITY_API plasticity_status plasticity_softmax_cross_entropy(const plasticity_tensor* logits,
                                                                  const plasticity_tensor* labels,
                                                                  const plasticity_tensor* dlogits,
                                                                  double* loss);

/** The reaction to a gradient with a NaN or an infinity. See NotFinite. */
typedef enum plasticity_not_finite PLASTICITY_AS_INT {
  PLASTICITY_NOT_FINITE_FAIL = 0, /**< the step fails, and the error names the parameter */
  PLASTICITY_NOT_FINITE_SKIP = 1  /**< the step does nothing */
} plasticity_not_finite;

/** The equations of an optimizer's step. See Method. */
typedef enum plasticity_method PLASTICITY_AS_INT {
  PLASTICITY_METHOD_ADAM,
  PLASTICITY_METHOD_SGD,
  PLASTICITY_METHOD_RMSPROP
} plasticity_method;

/** Parameters that an optimizer treats alike. The fields are those of ParameterGroup. */
typedef struct plasticity_parameter_group {
  const char* const* names;    /**< [name_count] names of parameters; each in one group only */
  size_t name_count;           /**< number of names */
  double learning_rate_factor; /**< factor of the learning rate, >= 0 */
  double weight_decay;         /**< >= 0 */
  double clip_norm;            /**< maximum 2-norm of the group's gradients; 0: no clipping */
} plasticity_parameter_group;

/** The options of an optimizer. The fields are those of OptimizerOptions and UpdateOptions. */
typedef struct plasticity_optimizer_options {
  plasticity_method method;         /**< AdamW is PLASTICITY_METHOD_ADAM with a weight_decay */
  double learning_rate;             /**< >= 0 */
  double beta1;                     /**< adam: in [0, 1) */
  double beta2;                     /**< adam, rmsprop: in [0, 1) */
  double epsilon;                   /**< adam, rmsprop: > 0 */
  double momentum;                  /**< sgd, rmsprop: in [0, 1); 0: no velocity */
  double weight_decay;              /**< decoupled weight decay of parameters outside of groups, >= 0 */
  double clip_norm;                 /**< maximum 2-norm of all gradients outside of groups; 0: no clipping */
  plasticity_not_finite not_finite; /**< reaction to a gradient with a NaN or an infinity */
  const plasticity_parameter_group* groups; /**< [group_count]; NULL if there is none */
  size_t group_count;                       /**< number of groups */
} plasticity_optimizer_options;
/** Sets the defaults of OptimizerOptions, those of Adam. Does nothing for NULL. */
PLASTICITY_API void plasticity_optimizer_options_init(plasticity_optimizer_options* options);

/** Adam, AdamW, SGD or RMSprop for the parameters of any modules. See Optimizer. */
typedef struct plasticity_optimizer plasticity_optimizer;

/** Creates an optimizer. The caller destroys it. The options are copied. */
PLASTICITY_API plasticity_status plasticity_optimizer_create(const plasticity_optimizer_options* options,
                                                             plasticity_optimizer** optimizer);
PLASTICITY_API void plasticity_optimizer_destroy(plasticity_optimizer* optimizer);

/** Updates the parameters with their gradients. The tensors may belong to any module; they must be dense
   float32 tensors in host memory that do not overlap. Moments belong to a name, and a name must keep its
   size. */
PLASTICITY_API plasticity_status plasticity_optimizer_step(plasticity_optimizer* optimizer,
                                                           const plasticity_parameter* parameters,
                                                           size_t count);
/** Sets the learning rate of the next step. It must be finite and >= 0. */
PLASTICITY_API plasticity_status plasticity_optimizer_set_learning_rate(plasticity_optimizer* optimizer,
                                                                        double learning_rate);
/** Returns the learning rate of the next step. */
PLASTICITY_API plasticity_status plasticity_optimizer_learning_rate(const plasticity_optimizer* optimizer,
                                                                    double* learning_rate);
/** Returns the number of steps so far, without skipped ones. */
PLASTICITY_API plasticity_status plasticity_optimizer_steps(const plasticity_optimizer* optimizer,
                                                            int64_t* steps);
/** Returns the number of steps that PLASTICITY_NOT_FINITE_SKIP has skipped. */
PLASTICITY_API plasticity_status plasticity_optimizer_skipped(const plasticity_optimizer* optimizer,
                                                              int64_t* skipped);
/** Returns the 2-norm of the last step's gradients outside of groups, before clipping. See
   Optimizer::gradient_norm. */
PLASTICITY_API plasticity_status plasticity_optimizer_gradient_norm(const plasticity_optimizer* optimizer,
                                                                    double* norm);

/** The constants of Adam. The fields are those of AdamOptions. */
typedef struct plasticity_adam_options {
  double learning_rate;             /**< alpha in the paper, >= 0 */
  double beta1;                     /**< in [0, 1) */
  double beta2;                     /**< in [0, 1) */
  double epsilon;                   /**< > 0 */
  plasticity_not_finite not_finite; /**< reaction to a gradient with a NaN or an infinity */
} plasticity_adam_options;
/** Sets the defaults of AdamOptions. Does nothing for NULL. */
PLASTICITY_API void plasticity_adam_options_init(plasticity_adam_options* options);

/** The Adam optimizer (Kingma and Ba 2015, algorithm 1). Functions of plasticity_optimizer take it too. */
typedef plasticity_optimizer plasticity_adam;

/** Creates an optimizer. The caller destroys it. */
PLASTICITY_API plasticity_status plasticity_adam_create(const plasticity_adam_options* options,
                                                        plasticity_adam** adam);
PLASTICITY_API void plasticity_adam_destroy(plasticity_adam* adam);

/** Updates the parameters with their gradients. The tensors may belong to any module; they must be dense
   float32 tensors in host memory that do not overlap. Moments belong to a name, and a name must keep its
   size. */
PLASTICITY_API plasticity_status plasticity_adam_step(plasticity_adam* adam,
                                                      const plasticity_parameter* parameters, size_t count);
/** Sets the learning rate of the next step. It must be finite and >= 0. */
PLASTICITY_API plasticity_status plasticity_adam_set_learning_rate(plasticity_adam* adam,
                                                                   double learning_rate);
/** Returns the number of steps so far, without skipped ones. */
PLASTICITY_API plasticity_status plasticity_adam_steps(const plasticity_adam* adam, int64_t* steps);

/** Scales all gradients so that their global 2-norm is at most `max_norm` > 0. The norm before scaling is
   stored in `norm`, which may be NULL. Returns PLASTICITY_INVALID_ARGUMENT if two gradients overlap. */
PLASTICITY_API plasticity_status plasticity_clip_gradients(const plasticity_parameter* parameters,
                                                           size_t count, double max_norm, double* norm);

/** The divisor of the sum of squared errors. The values are those of Reduction. */
typedef enum plasticity_reduction PLASTICITY_AS_INT {
  PLASTICITY_MEAN = 0,    /**< the number of unmasked entries */
  PLASTICITY_SUM = 1,     /**< 1 */
  PLASTICITY_RELATIVE = 2 /**< the sum of the squared unmasked targets */
} plasticity_reduction;

/* ---- Ranks (communicator.hpp) ---- */

/** One member of a group of ranks: threads, processes or GPUs. See Communicator. Each rank uses its own
   handle, and all ranks make the same calls. After PLASTICITY_COMMUNICATION the handle is unusable. Time
   limits are in seconds, from 0.001 to 1000000. */
typedef struct plasticity_communicator plasticity_communicator;

/** Creates the communicators of `size` threads of this process, at most 1024: communicators[0] to
   communicators[size-1]. The caller destroys each. */
PLASTICITY_API plasticity_status plasticity_communicator_create_threads(
    int32_t size, double time_limit, plasticity_communicator** communicators);
/** Creates the communicator of the processes that mpirun started. Returns PLASTICITY_UNSUPPORTED if the
   program does not link plasticity::mpi. The caller destroys it. */
PLASTICITY_API plasticity_status plasticity_communicator_create_mpi(double time_limit,
                                                                    plasticity_communicator** communicator);
/** As plasticity_communicator_create_mpi if mpirun started this process with others. Otherwise `communicator`
   is set to NULL. PLASTICITY_TIME_LIMIT in the environment replaces the time limit. */
PLASTICITY_API plasticity_status
plasticity_communicator_create_environment(double time_limit, plasticity_communicator** communicator);
/** Writes a new id of a group of NCCL ranks to `id`, 128 bytes. One rank creates it and passes it to the
 * others. */
PLASTICITY_API plasticity_status plasticity_nccl_id(uint8_t* id);
/** Creates the NCCL communicator of a rank, which uses the GPU `device`. Waits for the other ranks. The
   caller destroys it. */
PLASTICITY_API plasticity_status plasticity_communicator_create_nccl(plasticity_device device,
                                                                     const uint8_t* id, int32_t rank,
                                                                     int32_t size, double time_limit,
                                                                     plasticity_communicator** communicator);
PLASTICITY_API void plasticity_communicator_destroy(plasticity_communicator* communicator);

/** Sets `rank` and `size`. Either pointer may be NULL. */
PLASTICITY_API plasticity_status plasticity_communicator_rank(const plasticity_communicator* communicator,
                                                              int32_t* rank, int32_t* size);
/** Replaces a dense float32 or float64 tensor in host memory by its sum over the ranks. */
PLASTICITY_API plasticity_status plasticity_communicator_sum(plasticity_communicator* communicator,
                                                             const plasticity_tensor* tensor);
/** Copies a dense float32 or float64 tensor in host memory from rank `root` to all ranks. */
PLASTICITY_API plasticity_status plasticity_communicator_broadcast(plasticity_communicator* communicator,
                                                                   const plasticity_tensor* tensor,
                                                                   int32_t root);
/** Returns when all ranks have called it. */
PLASTICITY_API plasticity_status plasticity_communicator_barrier(plasticity_communicator* communicator);
/** Ends all ranks at once with an exit code: with MPI through MPI_Abort, otherwise this process. */
PLASTICITY_API plasticity_status plasticity_communicator_abort(plasticity_communicator* communicator,
                                                               int32_t exit_code);

/** The result of plasticity_all_reduce. The values are those of Combine. */
typedef enum plasticity_combine PLASTICITY_AS_INT {
  PLASTICITY_COMBINE_SUM = 0, /**< the sum over the ranks */
  PLASTICITY_COMBINE_MEAN = 1 /**< the sum divided by the number of ranks */
} plasticity_combine;

/** Replaces the gradients of the parameters by their combination over the ranks. All ranks pass parameters of
   the same names and sizes. */
PLASTICITY_API plasticity_status plasticity_all_reduce(plasticity_communicator* communicator,
                                                       const plasticity_parameter* parameters, size_t count,
                                                       plasticity_combine combine);

/* ---- Trainers (trainer.hpp) ---- */

/** The options of a trainer. The fields are those of TrainerOptions. */
typedef struct plasticity_trainer_options {
  plasticity_adam_options adam;   /**< constants of Adam */
  double clip_norm;               /**< maximum global 2-norm of the gradients; 0: no clipping */
  plasticity_reduction reduction; /**< divisor of the squared error */
  /** If not NULL, this optimizer replaces `adam` and `clip_norm`, which must have their defaults. It is
   * copied. */
  const plasticity_optimizer_options* optimizer;
  plasticity_communicator*
      communicator; /**< ranks that train together, or NULL; it must outlive the trainer */
} plasticity_trainer_options;
/** Sets the defaults of TrainerOptions. Does nothing for NULL. */
PLASTICITY_API void plasticity_trainer_options_init(plasticity_trainer_options* options);

/** Trains a network towards a target, or several modules together. On a GPU one CUDA graph runs a whole
   iteration of one network. See Trainer. */
typedef struct plasticity_trainer plasticity_trainer;

/** Creates a trainer. The caller destroys it. `network` must outlive it. Returns PLASTICITY_UNSUPPORTED for a
   network of precision f64. */
PLASTICITY_API plasticity_status plasticity_trainer_create(plasticity_network* network,
                                                           const plasticity_trainer_options* options,
                                                           plasticity_trainer** trainer);

/** One of several modules that a trainer trains together. Set one of network, stack and parameters, and the
   others to NULL. */
typedef struct plasticity_module {
  plasticity_network* network;    /**< of precision f32 or bf16; it must outlive the trainer */
  struct plasticity_stack* stack; /**< it must outlive the trainer */
  /** [parameter_count] parameters of the caller's own code: dense float32 tensors in host memory, which must
     outlive the trainer. The list itself is copied. */
  const plasticity_parameter* parameters;
  size_t parameter_count; /**< number of parameters */
} plasticity_module;

/** Creates a trainer of several modules, for plasticity_trainer_step_iteration(). The caller destroys it.
   Returns PLASTICITY_INVALID_ARGUMENT if the list is empty, a module occurs twice, or two modules have
   parameters of the same name. options->reduction is ignored. */
PLASTICITY_API plasticity_status plasticity_trainer_create_modules(const plasticity_module* modules,
                                                                   size_t count,
                                                                   const plasticity_trainer_options* options,
                                                                   plasticity_trainer** trainer);
PLASTICITY_API void plasticity_trainer_destroy(plasticity_trainer* trainer);

/** Runs one training iteration over T steps: forward, loss, backward, gradient clipping, a step of the
   optimizer. Input arguments: inputs.* and masks.* of plasticity_network_forward. For the squared error:
   target [T,B,N], and optionally target_mask [T,B,N] of uint8, which is 0 for entries that the loss ignores.
   For the softmax cross-entropy of the pre-activation: labels [T,B] of int64 instead, -1 for steps that the
   loss ignores. Output arguments: y [T,B,N], modulation [T,B]. The loss is stored in `loss`, which may be
   NULL. Fails while the network has recorded windows, and for a trainer of several modules. */
PLASTICITY_API plasticity_status plasticity_trainer_step(plasticity_trainer* trainer, int64_t steps,
                                                         const plasticity_argument* arguments, size_t count,
                                                         double* loss);

/** The caller's part of an iteration: runs forward, the loss and backward of the modules, and stores the
   loss. `context` is the argument of plasticity_trainer_step_iteration(). The function returns PLASTICITY_OK,
   or the status of a call that failed; it must not end by longjmp. */
typedef plasticity_status (*plasticity_iteration)(void* context, double* loss);

/** Runs one iteration of the caller's: sets the gradients of all modules to zero, calls `iteration`, clips
   the gradients, and makes a step of the optimizer. With ranks it adds their gradients before clipping, and
   sums the losses. Stores the loss in `loss`, which may be NULL. If `iteration` returns an error, this call
   returns it and no parameter changes. Returns PLASTICITY_INVALID_ARGUMENT if `iteration` leaves a window
   without backward. See Trainer::step. */
PLASTICITY_API plasticity_status plasticity_trainer_step_iteration(plasticity_trainer* trainer,
                                                                   plasticity_iteration iteration,
                                                                   void* context, double* loss);
/** Sets the learning rate of the next step. It must be finite and >= 0. */
PLASTICITY_API plasticity_status plasticity_trainer_set_learning_rate(plasticity_trainer* trainer,
                                                                      double learning_rate);
/** Returns the learning rate of the next step. */
PLASTICITY_API plasticity_status plasticity_trainer_learning_rate(const plasticity_trainer* trainer,
                                                                  double* learning_rate);
/** Returns the number of steps so far, without skipped ones. */
PLASTICITY_API plasticity_status plasticity_trainer_steps(const plasticity_trainer* trainer, int64_t* steps);
/** Returns the number of steps that PLASTICITY_NOT_FINITE_SKIP has skipped. */
PLASTICITY_API plasticity_status plasticity_trainer_skipped(const plasticity_trainer* trainer,
                                                            int64_t* skipped);
/** Returns the 2-norm of the last step's gradients outside of groups, before clipping. See
   Optimizer::gradient_norm. */
PLASTICITY_API plasticity_status plasticity_trainer_gradient_norm(const plasticity_trainer* trainer,
                                                                  double* norm);

/* ---- Files (io/safetensors.hpp) ---- */

/** The content of a safetensors file: named tensors and text metadata. */
typedef struct plasticity_file plasticity_file;

/** Creates an empty file. The caller destroys it. */
PLASTICITY_API plasticity_status plasticity_file_create(plasticity_file** file);
/** Reads a file from disk. The caller destroys it. */
PLASTICITY_API plasticity_status plasticity_file_load(const char* path, plasticity_file** file);
/** Writes the file to disk atomically: after an error the old file, if any, is unchanged. */
PLASTICITY_API plasticity_status plasticity_file_save(const plasticity_file* file, const char* path);
PLASTICITY_API void plasticity_file_destroy(plasticity_file* file);

/** Stores a copy of a tensor under `name`. The tensor is in host memory, of type float64, float32, bfloat16,
   float16, int64, int32, uint8 or bool. */
PLASTICITY_API plasticity_status plasticity_file_set_tensor(plasticity_file* file, const char* name,
                                                            const plasticity_tensor* tensor);
/** Returns a view of the tensor `name`. The view is valid until the file is changed or destroyed. Returns
   PLASTICITY_FORMAT if there is no such tensor. */
PLASTICITY_API plasticity_status plasticity_file_tensor(const plasticity_file* file, const char* name,
                                                        plasticity_tensor* tensor);
/** Stores a copy of `value` as the metadata `key`. */
PLASTICITY_API plasticity_status plasticity_file_set_metadata(plasticity_file* file, const char* key,
                                                              const char* value);
/** Returns the metadata `key`. The text is valid until the file is changed or destroyed. Returns
   PLASTICITY_FORMAT if there is no such key. */
PLASTICITY_API plasticity_status plasticity_file_metadata(const plasticity_file* file, const char* key,
                                                          const char** value);

/** Sets the numbers of tensors and of metadata entries. Either pointer may be NULL. */
PLASTICITY_API plasticity_status plasticity_file_counts(const plasticity_file* file, size_t* tensors,
                                                        size_t* metadata);
/** Sets `name` to the name of tensor number `index`, in alphabetical order. It is valid until the file
   changes or is destroyed. */
PLASTICITY_API plasticity_status plasticity_file_tensor_name(const plasticity_file* file, size_t index,
                                                             const char** name);
/** Sets `key` to the key of metadata entry number `index`, in alphabetical order. It is valid until the file
   changes or is destroyed. */
PLASTICITY_API plasticity_status plasticity_file_metadata_key(const plasticity_file* file, size_t index,
                                                              const char** key);

/** Stores the network's parameters and spec in a file. */
PLASTICITY_API plasticity_status plasticity_network_save(const plasticity_network* network,
                                                         plasticity_file* file);
/** Loads the parameters from a file that plasticity_network_save() wrote. Returns PLASTICITY_FORMAT if the
   spec in the file differs, or if a parameter is missing or has another shape. */
PLASTICITY_API plasticity_status plasticity_network_load(plasticity_network* network,
                                                         const plasticity_file* file);

/** Stores the network's state in a file. */
PLASTICITY_API plasticity_status plasticity_network_save_state(const plasticity_network* network,
                                                               plasticity_file* file);
/** Loads a state that plasticity_network_save_state() wrote. The state then has the batch of the file. Fails
   while there are recorded windows. */
PLASTICITY_API plasticity_status plasticity_network_load_state(plasticity_network* network,
                                                               const plasticity_file* file);

/** Stores the optimizer's moments, step count and learning rate in a file. */
PLASTICITY_API plasticity_status plasticity_optimizer_save(const plasticity_optimizer* optimizer,
                                                           plasticity_file* file);
/** Loads moments, step count and learning rate. If the file has no rate, the rate does not change. Returns
   PLASTICITY_FORMAT if the others are incomplete. */
PLASTICITY_API plasticity_status plasticity_optimizer_load(plasticity_optimizer* optimizer,
                                                           const plasticity_file* file);
/** As plasticity_optimizer_save(). */
PLASTICITY_API plasticity_status plasticity_adam_save(const plasticity_adam* adam, plasticity_file* file);
/** As plasticity_optimizer_load(). */
PLASTICITY_API plasticity_status plasticity_adam_load(plasticity_adam* adam, const plasticity_file* file);

/** Stores the trainer's moments, step count and learning rate in the format of plasticity_optimizer_save().
   An optimizer of the same method can load them. */
PLASTICITY_API plasticity_status plasticity_trainer_save(const plasticity_trainer* trainer,
                                                         plasticity_file* file);
/** Loads a file that plasticity_trainer_save() or plasticity_optimizer_save() wrote. Returns
   PLASTICITY_FORMAT if the step count is missing or moments do not match the network. */
PLASTICITY_API plasticity_status plasticity_trainer_load(plasticity_trainer* trainer,
                                                         const plasticity_file* file);

/** Returns the spec that plasticity_network_save() stored for a network without a name. */
PLASTICITY_API plasticity_status plasticity_file_spec(const plasticity_file* file, plasticity_spec* spec);
/** Returns the spec that plasticity_network_save() stored for the network `name`. */
PLASTICITY_API plasticity_status plasticity_file_spec_of(const plasticity_file* file, const char* name,
                                                         plasticity_spec* spec);

/* ---- Networks in sequence (stack.hpp) ---- */

/** One layer of a stack. The fields are those of StackLayer. */
typedef struct plasticity_stack_layer {
  plasticity_spec spec; /**< spec.inputs may be 0: it is then the width of the layer's input */
  const int32_t* from;  /**< [from_count] earlier layers, or PLASTICITY_STACK_INPUT; NULL: the layer before */
  size_t from_count;    /**< number of sources; 0 if `from` is NULL */
} plasticity_stack_layer;

/** In plasticity_stack_layer::from: the input of the stack. */
enum { PLASTICITY_STACK_INPUT = -1 };

/** Networks in sequence, with one state and one file. See Stack. The calls are those of plasticity_network,
   with the same rules. */
typedef struct plasticity_stack plasticity_stack;

/** Creates a stack of `count` layers whose input has `inputs` elements. The caller destroys it. */
PLASTICITY_API plasticity_status plasticity_stack_create(int64_t inputs, const plasticity_stack_layer* layers,
                                                         size_t count,
                                                         const plasticity_network_options* options,
                                                         plasticity_stack** stack);
PLASTICITY_API void plasticity_stack_destroy(plasticity_stack* stack);

/** Runs T steps from the current state and records them as a window. Input arguments: inputs.x [T,B,I],
   masks.reset [T,B], masks.length [B]. Output arguments: y [T,B,N] of the last layer, and with
   options.preactivation its pre-activation a [T,B,N]. */
PLASTICITY_API plasticity_status plasticity_stack_forward(plasticity_stack* stack, int64_t steps,
                                                          const plasticity_argument* arguments, size_t count);
/** Runs T steps like plasticity_stack_forward, without recording them. */
PLASTICITY_API plasticity_status plasticity_stack_infer(plasticity_stack* stack, int64_t steps,
                                                        const plasticity_argument* arguments, size_t count);
/** Computes the gradients of the last recorded window and removes that window. Input arguments: dy and da
   [T,B,N] of the last layer; an absent one counts as zero. Output argument: dinputs.x. Adds to the
   parameters' gradients. */
PLASTICITY_API plasticity_status plasticity_stack_backward(plasticity_stack* stack,
                                                           const plasticity_argument* arguments,
                                                           size_t count);
/** Returns the number of recorded windows for which backward has not run. */
PLASTICITY_API plasticity_status plasticity_stack_windows(const plasticity_stack* stack, int64_t* windows);
/** Sets the states to zero and discards the recorded windows. The states then have `batch` samples; 0: those
   of the options. */
PLASTICITY_API plasticity_status plasticity_stack_reset(plasticity_stack* stack, int64_t batch);
/** Discards the recorded windows and keeps the states. */
PLASTICITY_API plasticity_status plasticity_stack_detach(plasticity_stack* stack);
/** Sets the gradients of all parameters to zero. */
PLASTICITY_API plasticity_status plasticity_stack_zero_gradients(plasticity_stack* stack);
/** Lists the parameters of all layers, "layer0.w" and so on; at most PLASTICITY_MAX_PARAMETERS per layer.
   See plasticity_network_parameters(). */
PLASTICITY_API plasticity_status plasticity_stack_parameters(plasticity_stack* stack,
                                                             plasticity_parameter* parameters,
                                                             size_t capacity, size_t* count);
/** Stores the parameters, specs and sources of all layers in a file. */
PLASTICITY_API plasticity_status plasticity_stack_save(const plasticity_stack* stack, plasticity_file* file);
/** Loads the parameters from a file that plasticity_stack_save() wrote. Returns PLASTICITY_FORMAT if it does
   not match the stack. */
PLASTICITY_API plasticity_status plasticity_stack_load(plasticity_stack* stack, const plasticity_file* file);
/** Stores the states of all layers in a file. */
PLASTICITY_API plasticity_status plasticity_stack_save_state(const plasticity_stack* stack,
                                                             plasticity_file* file);
/** Loads the states that plasticity_stack_save_state() wrote. */
PLASTICITY_API plasticity_status plasticity_stack_load_state(plasticity_stack* stack,
                                                             const plasticity_file* file);

#ifdef __cplusplus
}
#endif

#endif
