"""The kernels that pass over the trace: names, variants, and the bytes that one pass must move.

One entry per kernel declares the bytes that an iteration moves, per row of the thread's V columns. The tool finds the loop and
the path by them (paths.py), and divides by the connections that the bytes belong to. A kernel that moves other bytes
than declared is reported, so this table must be renewed with the kernel.
"""
import dataclasses
import re

STEP_THREADS, RESIDENT_THREADS = 256, 512
REPLAYED = 8  # connections per thread of a replay
MAX_ELEMENTS = 2  # batch elements of a step kernel's block
# The thread shapes of the resident kernels that are counted (kernels/resident/shape.hpp): {enumerator: columns}, {columns:
# rows}.
SHAPES, SHAPE_ROWS = {"rows_8x4": 4, "rows_32x1": 1}, {4: 8, 1: 32}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One instance of a kernel (kernel, rule or form, eligibility, precision, V) under the circumstances of a network
    (cell)."""
    kernel: str
    rule: str       # a form (kernels/rules/form.hpp), or the rule of a kernel per rule
    eligibility: str
    precision: str  # f32 or bf16: of the trace's tape
    columns: int    # V, columns per thread
    cell: str

    @property
    def eligible(self):
        return self.eligibility != "none"

    def __str__(self):
        return " ".join((self.kernel, self.rule, self.eligibility, self.cell, self.precision, f"V={self.columns}"))


@dataclasses.dataclass(frozen=True)
class Pass:
    """A loop: bytes per space that one row of the thread's columns moves, and connections that they belong to."""
    bytes: dict
    connections: int
    times: int = 1     # the loop runs so often per connection
    trips: int = 1     # of a loop inside it
    threads: int = STEP_THREADS


def _elements(v):
    """Batch elements that share the loads of w and alpha (kernels/step/tuning.hpp)."""
    return MAX_ELEMENTS if v.columns > 1 and not v.eligible else 1


def _copied(rows):
    """The bytes of rows that are copied ahead: a thread loads its copies from shared memory."""
    return {"copy": sum(rows.values()), "shared load": sum(rows.values()), "weights": 0}


def _step_forward(v):
    """Trace read and stored per batch element, w and alpha, and x of this step and of the one before as read-only loads.
    With V > 1 as many bytes are copied ahead into shared memory and loaded from there (kernels/step/ahead.cuh). With a
    checkpoint in bf16 a pass has one element, and stores the traces in bf16 too."""
    traces = 2 if v.eligible else 1
    halves = v.precision == "bf16"
    elements = 1 if halves else _elements(v)
    rows, x = {"load": elements * traces * 4 * v.columns, "weights": 8 * v.columns}, elements * 8
    if v.columns > 1:
        rows = _copied(rows)
    passes = [Pass({**rows, "weights": rows["weights"] + x, "store": elements * traces * v.columns * (6 if halves else 4)},
                   elements * v.columns)]
    if v.cell == "lstm":
        # The loop of the gates' products, once for each of i, f and o: its weights, and h of as many elements as a block
        # can have. A block with one element computes its products twice.
        passes.append(Pass({"weights": 4 * v.columns + MAX_ELEMENTS * 4}, _elements(v) * v.columns, times=3))
    return passes


def _step_backward(v):
    """Per batch element: trace and its gradient read, the gradient stored. w and alpha, and x of two steps as read-only
    loads. With V > 1 and a tape in f32 the rows are copied ahead, as in forward. One of the row's sums is stored by each
    thread per iteration. A tape in bf16 is read at two steps."""
    traces, elements = 2 if v.eligible else 1, _elements(v)
    gradients = traces * 4 * v.columns
    recorded = gradients if v.precision == "f32" else (traces + 1) * 2 * v.columns
    halves = v.precision == "bf16" and v.columns == 1
    sums = 1 if v.columns == 1 else 4
    elements = 1 if v.precision == "bf16" else elements
    rows = {"load": elements * (gradients + (0 if halves else recorded)), "half load": recorded if halves else 0,
            "weights": 8 * v.columns}
    if v.columns > 1 and v.precision == "f32":
        rows = _copied(rows)
    passes = [Pass({**rows, "weights": rows["weights"] + elements * 8, "store": elements * gradients + sums},
                   elements * v.columns)]
    if v.cell == "lstm":  # the gates' part of the row's sums
        passes.append(Pass({"weights": 12 * v.columns, "load": 4, "store": 4}, _elements(v) * v.columns))
    return passes


@dataclasses.dataclass(frozen=True)
class Unrolled:
    """A pass whose rows are unrolled (unrolled.py). `chunk_loads`: loads of 16 bytes from shared memory per four connections,
    without those of x, of which there are two per four rows."""
    rows: int
    columns: int  # per thread
    chunk_loads: int

    @property
    def connections(self):
        return self.columns

    def loads(self, rows):
        """
        >>> Unrolled(8, 4, 2).loads(8), Unrolled(32, 1, 3).loads(16)
        (20, 20)
        """
        return rows * self.columns // 4 * self.chunk_loads + 2 * (rows // 4)


def _resident_forward(v):
    """w and alpha of a chunk."""
    return Unrolled(SHAPE_ROWS[v.columns], v.columns, 2)


def _resident_backward(v):
    """w, alpha and the gradient of alpha. Kernels for 512 threads load the factors of their columns again: da, drive and, if
    the form has it, kept."""
    factors = 0 if v.columns == 1 or v.eligible else 3 if v.rule in ("linear", "read_clipped") else 2
    return Unrolled(SHAPE_ROWS[v.columns], v.columns, 3 + factors)


def _replay(v):
    """Per step: y and ā of the columns and M; x of the rows, read-only. The traces are in registers."""
    return [Pass({"load": 8 * v.columns + 4, "weights": 4 * REPLAYED // v.columns}, REPLAYED)]


def _segment(v):
    """As the replay without ā; every trace is stored."""
    traces = 2 if v.eligible else 1
    return [Pass({"load": 4 * v.columns + 4, "weights": 4 * REPLAYED // v.columns, "store": traces * 4 * REPLAYED}, REPLAYED)]


@dataclasses.dataclass(frozen=True)
class Kernel:
    function: str   # name in the source
    passes: object  # Variant -> [Pass]
    threads: int
    cells: tuple    # in which the pass differs
    precision: str  # "argument": a template argument; "flag": a run-time flag; "f32": always


KERNELS = {
    "step forward": Kernel("forward_kernel", _step_forward, STEP_THREADS, ("rnn", "lstm"), "flag"),
    "step backward": Kernel("backward_kernel", _step_backward, STEP_THREADS, ("rnn", "lstm"), "argument"),
    "resident forward": Kernel("resident_forward_kernel", _resident_forward, RESIDENT_THREADS, ("rnn",), "f32"),
    "resident backward": Kernel("resident_backward_kernel", _resident_backward, RESIDENT_THREADS, ("rnn",), "f32"),
    "replay": Kernel("replay_kernel", _replay, STEP_THREADS, ("rnn",), "argument"),
    "segment": Kernel("segment_kernel", _segment, STEP_THREADS, ("rnn",), "f32"),
}

_NAME = re.compile(r"^(?:void )?(?:[\w:]+::)?(\w+?)<(.*)>\(")


def enumerators(header, name):
    """The enumerators of an `enum class` in a C++ header, in order.

    >>> enumerators("enum class Rule {\\n  decay,  ///< a, b [2016]\\n  oja,\\n};", "Rule")
    ['decay', 'oja']
    """
    body = re.search(r"enum class %s \{(.*?)\}" % name, header, re.S)[1]
    body = re.sub(r"//.*", "", body)
    return [part.strip() for part in body.split(",") if part.strip()]


def variants_of(demangled, names):
    """The variants that a function is, or [] if it passes over no trace. `names`: the enumerators of each enumeration.

    >>> names = {"Form": ["linear", "read_clipped", "clipped"], "Eligibility": ["none", "before", "after"]}
    >>> [str(v) for v in variants_of("void plasticity::cuda::backward_kernel<(plasticity::Form)2, "
    ...     "(plasticity::Eligibility)0, float, 4>(plasticity::cuda::BackwardStep)", names)]
    ['step backward clipped none rnn f32 V=4', 'step backward clipped none lstm f32 V=4']
    >>> variants_of("void plasticity::cuda::adam_kernel<4>(int)", names)
    []
    """
    found = _NAME.match(demangled)
    kernel = next((name for name, kernel in KERNELS.items() if found and kernel.function == found[1]), None)
    if kernel is None:
        return []
    arguments = [argument.strip() for argument in found[2].split(",")]
    rule, eligibility = (names[found[1]][int(found[2])]
                         for found in (re.match(r"\(plasticity::(\w+)\)(\d+)", argument) for argument in arguments[:2]))
    columns = next((int(argument) for argument in arguments[2:] if argument.isdigit()), 1)
    if kernel.startswith("resident"):  # template arguments: form, eligibility, shape, and whether the tape is in bf16
        shape = names["ThreadShape"][int(re.search(r"ThreadShape\)(\d+)", arguments[2])[1])]
        if shape not in SHAPES or arguments[3:] in (["true"], ["(bool)1"]):
            return []
        columns = SHAPES[shape]
    half = "__nv_bfloat16" in arguments
    table = KERNELS[kernel]
    precisions = {"argument": ("bf16",) if half else ("f32",), "flag": ("f32", "bf16"), "f32": ("f32",)}[table.precision]
    return [Variant(kernel, rule, eligibility, precision, columns, cell)
            for precision in precisions for cell in table.cells]


def forbidden_in(variant):
    """Which instructions the path must not pass: those of softmax, and of bf16 in f32."""
    conversions = ("F2F", "F2FP") if variant.precision == "f32" else ()
    return lambda instruction: instruction.name in conversions or instruction.opcode == "MUFU.EX2"
