"""The C interface, include/plasticity/plasticity.h, declared for ctypes.

Everything that the package uses of the header is declared here and nowhere else. tests/python/test_c_interface.py compiles
the header and compares every size, offset and enumerator with these declarations.
"""
import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint64,
    c_void_p,
)

# ---- Enumerations. The index of a name in a tuple is its number.
STATUS = (
    "OK",
    "INVALID_ARGUMENT",
    "INVALID_SPEC",
    "UNSUPPORTED",
    "DEVICE_UNAVAILABLE",
    "OUT_OF_MEMORY",
    "IO",
    "FORMAT",
    "INTERNAL",
    "COMMUNICATION",
)
CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13
INT, UINT, FLOAT, BFLOAT, BOOL = 0, 1, 2, 4, 6
CELL = ("feedforward", "rnn", "lstm")
RULE = ("decay", "oja", "hard_clip", "soft_clip", "additive", "read_clip")
RATE = ("fixed", "modulated", "fan_out", "external")
ELIGIBILITY = ("none", "before", "after")
ALPHA = ("scalar", "post", "connection", "none")
ACTIVATION = ("tanh", "sigmoid", "relu", "identity", "softmax")
MODULATOR_SOURCE = ("hidden", "cell")
PRECISION = ("f64", "f32", "bf16")
EXECUTION = ("automatic", "step", "graph", "cta", "cluster", "grid")
MAX_AXES = 3

# The header's name of every enumerator above, for the test that compares them.
ENUMERATORS = {
    "PLASTICITY_CPU": CPU,
    "PLASTICITY_CUDA": CUDA,
    "PLASTICITY_CUDA_HOST": CUDA_HOST,
    "PLASTICITY_CUDA_MANAGED": CUDA_MANAGED,
    "PLASTICITY_INT": INT,
    "PLASTICITY_UINT": UINT,
    "PLASTICITY_FLOAT": FLOAT,
    "PLASTICITY_BFLOAT": BFLOAT,
    "PLASTICITY_BOOL": BOOL,
    "PLASTICITY_MAX_AXES": MAX_AXES,
}
for _prefix, _names in (
    ("", STATUS),
    ("CELL_", CELL),
    ("RULE_", RULE),
    ("RATE_", RATE),
    ("ELIGIBILITY_", ELIGIBILITY),
    ("ALPHA_", ALPHA),
    ("ACTIVATION_", ACTIVATION),
    ("MODULATOR_", MODULATOR_SOURCE),
    ("", PRECISION),
    ("EXECUTION_", EXECUTION),
):
    ENUMERATORS.update({f"PLASTICITY_{_prefix}{_name.upper()}": _k for _k, _name in enumerate(_names)})


# ---- Structs.
class Device(Structure):
    _fields_ = [("kind", c_int32), ("index", c_int32)]


class DType(Structure):
    _fields_ = [("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16)]


class Tensor(Structure):
    """Laid out as DLTensor."""

    _fields_ = [
        ("data", c_void_p),
        ("device", Device),
        ("ndim", c_int32),
        ("dtype", DType),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class Argument(Structure):
    _fields_ = [("name", c_char_p), ("tensor", POINTER(Tensor))]


class Memory(Structure):
    _fields_ = [("data", c_void_p), ("bytes", c_size_t)]


class Spec(Structure):
    _fields_ = [
        ("cell", c_int),
        ("rule", c_int),
        ("rate", c_int),
        ("eligibility", c_int),
        ("alpha", c_int),
        ("activation", c_int),
        ("modulator_source", c_int),
        ("inputs", c_int64),
        ("neurons", c_int64),
        ("clip", c_double),
    ]


class PlanOptions(Structure):
    _fields_ = [
        ("steps", c_int64),
        ("batch", c_int64),
        ("device", Device),
        ("threads", c_int32),
        ("precision", c_int),
        ("checkpoint_interval", c_int64),
        ("memory_budget", c_uint64),
        ("execution", c_int),
    ]


class PlanNeeds(Structure):
    _fields_ = [
        ("tape_bytes", c_size_t),
        ("scratch_bytes", c_size_t),
        ("step_state_bytes", c_size_t),
        ("checkpoint_interval", c_int64),
    ]


# The header's name of every struct above, for the test that compares them.
STRUCTS = {
    "plasticity_device": Device,
    "plasticity_dtype": DType,
    "plasticity_tensor": Tensor,
    "plasticity_argument": Argument,
    "plasticity_memory": Memory,
    "plasticity_spec": Spec,
    "plasticity_plan_options": PlanOptions,
    "plasticity_plan_needs": PlanNeeds,
}

# ---- Functions: the result, then the parameters.
_OUT = POINTER(c_void_p)
_CALL = (c_int, [c_void_p, c_void_p, c_void_p, c_size_t, Memory, Memory])
_STATE = (c_int, [c_void_p, c_void_p, c_void_p, c_size_t, Memory])
FUNCTIONS = {
    "status_name": (c_char_p, [c_int]),
    "last_error": (c_char_p, []),
    "version": (c_char_p, []),
    "spec_init": (None, [POINTER(Spec)]),
    "spec_validate": (c_int, [POINTER(Spec)]),
    "spec_shape": (c_int, [POINTER(Spec), c_int64, c_int64, c_char_p, POINTER(c_int64), POINTER(c_int32)]),
    "device_best": (c_int, [POINTER(Device)]),
    "device_check": (c_int, [Device]),
    "plan_options_init": (None, [POINTER(PlanOptions)]),
    "plan_create": (c_int, [POINTER(Spec), POINTER(PlanOptions), _OUT]),
    "plan_destroy": (None, [c_void_p]),
    "plan_needs_of": (c_int, [c_void_p, POINTER(PlanNeeds)]),
    "plan_execution": (c_int, [c_void_p, POINTER(c_int)]),
    "plan_forward": _CALL,
    "plan_backward": _CALL,
    "plan_load": _STATE,
    "plan_step": _CALL,
    "plan_store": _STATE,
    "file_create": (c_int, [_OUT]),
    "file_load": (c_int, [c_char_p, _OUT]),
    "file_save": (c_int, [c_void_p, c_char_p]),
    "file_destroy": (None, [c_void_p]),
    "file_counts": (c_int, [c_void_p, POINTER(c_size_t), POINTER(c_size_t)]),
    "file_tensor_name": (c_int, [c_void_p, c_size_t, POINTER(c_char_p)]),
    "file_metadata_key": (c_int, [c_void_p, c_size_t, POINTER(c_char_p)]),
    "file_set_tensor": (c_int, [c_void_p, c_char_p, POINTER(Tensor)]),
    "file_tensor": (c_int, [c_void_p, c_char_p, POINTER(Tensor)]),
    "file_set_metadata": (c_int, [c_void_p, c_char_p, c_char_p]),
    "file_metadata": (c_int, [c_void_p, c_char_p, POINTER(c_char_p)]),
}


def declare(library):
    """Declares the types of every function of the loaded library. Raises AttributeError for one that is missing."""
    for name, (result, parameters) in FUNCTIONS.items():
        function = getattr(library, "plasticity_" + name)
        function.restype, function.argtypes = result, parameters
    return library
