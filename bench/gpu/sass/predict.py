"""Predicts µs per step of the whole batch from the counts: a calculation, not a measurement.

Issue: a multiprocessor issues 4 warp instructions per clock. Bytes: a step moves the trace (from HBM if it does not fit
in L2) and reads w and alpha from L2 once per block of one or two batch elements. Latency: an iteration of one warp waits for memory
`rounds` times and issues its instructions one after another; other warps of the scheduler fill the gaps. A step kernel
takes the longest of these, and constants for the launch and for the work around the pass. A resident kernel issues its
pass, reads w and alpha from L2 if they are not on chip, and adds constants for the rest of the step and for the
barrier; elements that do not fit come in waves. Backward adds the replayed segments and the replay for the gradient of
alpha. Not counted: sums after the loop.
"""
import dataclasses
import math

# An H100: clocks per µs, warp instructions per clock, multiprocessors.
CLOCK, ISSUE, MULTIPROCESSORS, LANES = 1800.0, 4, 132, 32
L2_BYTES, L2_RATE, HBM_RATE = 50e6, 5.5e6, 3.0e6  # rates in bytes per µs
# Estimates in µs, chosen so that they agree with a calculation by hand of these six sizes; a GPU will replace them.
NODE = 1.5              # a graph's node
STEP_OUTSIDE = 1.8      # of a step kernel, before and after its pass, with fan_out
LATENCY = 0.22          # of a load from L2 in an iteration
WARP_CLOCKS = 2         # between two instructions of one warp
RESIDENT_OUTSIDE = 1.45 # of a resident step, with fan_out: all warps execute 394 instructions, and four loads in a chain
BARRIER = {"cta": 0.0, "cluster": 0.75, "grid": 2.0}
TILE_COLUMNS, TILE_ROWS = 32, 64


@dataclasses.dataclass(frozen=True)
class Shape:
    """How the planner (host/cuda/planner.cpp) lays out one batch element today, on an H100."""
    kind: str
    blocks: int
    columns: int
    on_chip: bool = True  # w and alpha

    def lanes(self):
        """Threads that a row of the block takes: whole tiles of a power of two.

        >>> Shape("cluster", 4, 50).lanes(), Shape("grid", 125, 8).lanes()
        (64, 8)
        """
        tile = min(2 ** math.ceil(math.log2(self.columns)), LANES)
        return math.ceil(self.columns / tile) * tile

    def at_once(self):
        return 1 if self.kind == "grid" else MULTIPROCESSORS // self.blocks


SIZES = {(64, 64): Shape("cta", 1, 64), (200, 30): Shape("cluster", 4, 50), (256, 64): Shape("cluster", 8, 32),
         (512, 32): Shape("cluster", 8, 64, on_chip=False), (1000, 1): Shape("grid", 125, 8),
         (1024, 16): Shape("grid", 128, 8)}


def issue_time(connections, instructions):
    """µs to issue a pass over `connections` on all multiprocessors."""
    return connections * instructions / LANES / (ISSUE * CLOCK * MULTIPROCESSORS)


def _iteration(cost, rounds, warps):
    """µs of an iteration of all `warps` of a scheduler."""
    return max(rounds * LATENCY + cost.iteration * WARP_CLOCKS / CLOCK, cost.iteration * warps / CLOCK)


def elements_per_block(cost, N, B):
    """As in kernels/step/vectors.cu.

    >>> from count import Cost, Usage
    >>> from kernels import Variant
    >>> cost = Cost(Variant("step forward", "clipped", "none", "f32", 4, "rnn"), Usage(98, 0, 0), 0, 2)
    >>> [elements_per_block(cost, N, B) for N, B in ((200, 30), (256, 64), (1000, 1))]
    [1, 2, 1]
    """
    tiles = math.ceil(N / TILE_COLUMNS)
    shares = cost.variant.columns > 1 and not cost.variant.eligible and B > 1
    return 2 if shares and 2 * math.ceil(B / 2) * tiles >= 3 * MULTIPROCESSORS else 1


def _step_kernel(cost, N, B, trace_bytes, trace_size):
    """One launch per step: a block of 256 threads for each tile of 32 columns of one or two batch elements. An iteration
    takes as many connections of one element as of two."""
    elements = elements_per_block(cost, N, B)
    counted = 2 if cost.variant.columns > 1 and not cost.variant.eligible else 1
    blocks = math.ceil(B / elements) * math.ceil(N / TILE_COLUMNS)
    resident = min(cost.blocks_per_sm, math.ceil(blocks / MULTIPROCESSORS))
    waves = math.ceil(blocks / (MULTIPROCESSORS * cost.blocks_per_sm))
    rows = 256 * cost.variant.columns // TILE_COLUMNS * cost.rows * counted // elements
    warps = resident * 8 / ISSUE
    latency = waves * math.ceil(N / rows) * _iteration(cost, cost.rounds, warps)
    trace, shared = trace_bytes * B * N * N, 8 * math.ceil(B / elements) * N * N
    moved = (trace + shared) / L2_RATE
    if trace_size > L2_BYTES:
        moved = max(moved, trace / HBM_RATE)
    return NODE + max(STEP_OUTSIDE + latency, moved, issue_time(B * N * N, cost.instructions))


def _around_backward(costs, N, B, resident):
    """Segments of K = √50 steps (written and read; resident kernels replay them in their own pass), and the replay."""
    connections, kept = B * N * N, 7
    rate = HBM_RATE if 4 * kept * connections > L2_BYTES else L2_RATE
    segment = 0 if resident else 8.5 * connections / rate
    replay = costs["replay"]
    tiles = math.ceil(N / TILE_COLUMNS) * math.ceil(N / TILE_ROWS)
    groups = max(min(1024 // tiles, B, 16), 1)
    warps = min(replay.blocks_per_sm, math.ceil(tiles * groups / MULTIPROCESSORS)) * 8 / ISSUE
    waves = math.ceil(tiles * groups / (MULTIPROCESSORS * replay.blocks_per_sm))
    latency = waves * math.ceil(B / groups) * _iteration(replay, 1, warps)
    return segment + max(latency, issue_time(connections, replay.instructions))


def _resident_kernel(cost, extra, N, B, shape):
    """One launch per sequence. `extra`: instructions per connection beside the pass."""
    waves = math.ceil(B / shape.at_once())
    own = shape.lanes() * N * (cost.instructions + extra) / LANES / (ISSUE * CLOCK)
    blocks = shape.blocks * min(B, shape.at_once())
    weights = 0 if shape.on_chip else blocks * shape.columns * N * 8 / L2_RATE
    return waves * (own + weights + RESIDENT_OUTSIDE + BARRIER[shape.kind])


def predict(costs, N, B):
    """{column: µs} of the kernels that `costs` has: {kernel: Cost}, all of one rule, eligibility, cell and precision.

    >>> from count import Cost, Usage
    >>> from kernels import Variant
    >>> cost = Cost(Variant("step forward", "hard_clip", "none", "f32", 4, "rnn"), Usage(98, 0, 0), 0, 2,
    ...             {"fma": 4.0, "alu": 27.9}, {}, rows=2, iteration=255, rounds=1)
    >>> {column: round(time, 1) for column, time in predict({"step forward": cost}, 1024, 16).items()}
    {'graph forward': 46.2}
    """
    times, trace, shape = {}, 4 * B * N * N, SIZES[N, B]
    eligible = next(iter(costs.values())).variant.eligible
    factor = 2 if eligible else 1
    if "step forward" in costs:
        times["graph forward"] = _step_kernel(costs["step forward"], N, B, 8 * factor, trace * factor)
    if "resident forward" in costs:
        times["resident forward"] = _resident_kernel(costs["resident forward"], 0, N, B, shape)
    if "step backward" in costs and "replay" in costs:
        times["graph backward"] = (_step_kernel(costs["step backward"], N, B, 12 * factor, 2 * trace * factor) +
                                   _around_backward(costs, N, B, False))
    if {"resident backward", "replay", "segment"} <= set(costs):
        extra = costs["segment"].instructions
        times["resident backward"] = (_resident_kernel(costs["resident backward"], extra, N, B, shape) +
                                      _around_backward(costs, N, B, True))
    return times
