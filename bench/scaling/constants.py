"""The constants of bench/scaling/model.py: value, unit, kind and origin of each.

measured: on an H200, in a file of bench/results. fitted: to such measurements. specification: a vendor's peak rate, which
programs do not reach. NCCL: a value with which NCCL itself chooses its algorithm (github.com/NVIDIA/nccl, src/graph/tuning.cc
and topo.h); its authors chose it for their machines. assumed: without a measurement.
"""
import dataclasses

FIRST = "2026-11-27_gpu_h200_first.json"
TUNED = "2026-11-27_gpu_h200_tuned.json"
TUNING = "2026-11-27_gpu_h200_tuning.json"
SPECIFICATION = "NVIDIA's data sheets of the H200 and of ConnectX-7"
NCCL = "NCCL, src/graph/tuning.cc at b647562"


@dataclasses.dataclass(frozen=True)
class Constant:
    value: float
    unit: str
    kind: str
    origin: str


CONSTANTS = {
    "gpus_per_node": Constant(8, "", "assumed", "an HGX H200 board, one network adapter per GPU"),
    "nvlink": Constant(18 * 20.6, "GB/s", "NCCL", "per direction: 18 links of 20.6 (src/graph/topo.h at 069a3d4); the peak is 450"),
    "network": Constant(50, "GB/s", "specification", f"NDR InfiniBand, 400 Gb/s per GPU and direction ({SPECIFICATION})"),
    "upload": Constant(10.3, "GB/s", "fitted", f"inputs and targets: copy to page-locked memory, then to the GPU ({FIRST}, operations:"
                       " training less forward and backward)"),
    "memory": Constant(3961, "GB/s", "measured", f"copy of 1 GB, read + written ({TUNED})"),
    "launch": Constant(3.146, "us", "fitted", f"a kernel in a stream ({TUNING}, constants.launch)"),
    "graph_launch": Constant(9.673, "us", "fitted", f"a CUDA graph ({TUNING}, constants.graph_launch)"),
    "graph_node": Constant(0.541, "us", "measured", f"a node of a graph ({TUNED}, ceilings)"),
    "small_copy": Constant(3.146, "us", "assumed", "a copy of a few bytes to or from the host: at least a launch"),
    "message": Constant(1.0, "us", "NCCL", f"the cost of a message for its sender on the network ({NCCL}, getNetOverhead);"
                        " only for messages as sends"),
}

# (algorithm, protocol) -> us before the first byte, us per hop of NVLink, us per hop of the network, share of the bus rate.
# From NCCL, see above. The tree's share includes its .92.
ALGORITHMS = {
    ("tree", "LL"): (6.8, 0.6, 5.0, 0.92 / 3.8), ("tree", "LL128"): (14.0, 1.25, 8.5, 0.92 * 0.92),
    ("tree", "Simple"): (0.0, 28.0, 28.0, 0.92), ("ring", "LL"): (6.6, 0.6, 2.7, 0.25),
    ("ring", "LL128"): (14.0, 1.9, 4.0, 0.92), ("ring", "Simple"): (8.4, 3.4, 14.0, 1.0)}
LL_BUS = {"node": 87.7, "network": 20.4}  # GB/s, the highest rate of the protocol LL

LEFT_OUT = (
    "NCCL's NVLS (sums in the NVLink switch) and sums in the network's switches (SHARP), which can be faster than its rings and trees",
    "NCCL's correction of trees for messages of 4 KB to 4 MB (up to a factor of 2)",
    "congestion, other jobs, switches with fewer links upward than downward, and distance: a hop has one price at any size",
    "ranks that differ: clocks, temperature, interrupts, slow nodes; the slowest rank sets the pace, and its loss grows with their number",
    "sequences of different lengths, and losses on the host",
    "input pipelines: the data are in the memory of the host when an iteration begins",
    "the host's work for a call, beyond launches and copies; checkpoints, evaluation, the start of 4,096 processes",
    "failures and restarts",
    "the effect of a larger global batch on learning: weak scaling counts samples per second, not progress")


def value(name, slower=1.0):
    """A constant in its unit, with the assumed and foreign ones `slower` times as slow.

    >>> value("memory", 2.0), value("network", 2.0), value("message", 2.0), value("gpus_per_node", 2.0)
    (3961, 25.0, 2.0, 8)
    """
    constant = CONSTANTS[name]
    if constant.kind in ("measured", "fitted") or not constant.unit:
        return constant.value
    return constant.value / slower if constant.unit == "GB/s" else constant.value * slower


def table():
    rows = [f"| {name} | {each.value:.4g} {each.unit} | {each.kind} | {each.origin} |" for name, each in CONSTANTS.items()]
    rows += [f"| all-reduce, {algorithm} {protocol} | {base:g} + {near:g} per NVLink hop + {far:g} per network hop us; {share:.0%}"
             f" of the rate | NCCL | {NCCL} |" for (algorithm, protocol), (base, near, far, share) in ALGORITHMS.items()]
    rows.append(f"| highest rate of LL | {LL_BUS['node']:g} GB/s in a node, {LL_BUS['network']:g} across | NCCL | {NCCL} |")
    return "\n".join(["| constant | value | kind | origin |", "|---|---|---|---|", *rows])
