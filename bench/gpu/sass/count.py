"""The cost of a kernel: instructions per connection of the trace, and its share of a multiprocessor."""
import dataclasses

import classes
import paths
from flow import blocks_of, loops_of
import unrolled
from kernels import KERNELS, Unrolled, forbidden_in

MAX_ROWS = 16  # of an iteration
# sm_90
REGISTERS, SHARED, RESERVED, THREADS, BLOCKS = 65536, 228 * 1024, 1024, 2048, 32


@dataclasses.dataclass
class Usage:
    registers: int
    shared: int  # static, bytes
    local: int   # stack and local memory, bytes


@dataclasses.dataclass
class Cost:
    variant: object
    usage: Usage
    spills: int        # loads and stores of local memory
    blocks_per_sm: int
    # The pass; None and a reason if it was not found.
    per_element: dict = None    # class -> instructions per connection
    bytes: dict = None          # (space, width) -> bytes per connection
    rows: int = 0               # rows of V columns per iteration
    iteration: int = 0          # instructions of one iteration of the first loop
    loads_in_flight: tuple = () # (loads, bytes) per thread
    rounds: int = 0             # waits for memory per iteration
    reason: str = ""

    @property
    def instructions(self):
        return sum(self.per_element.values())


def blocks_per_sm(usage, threads):
    """Blocks that one multiprocessor holds at once, by registers (allocated by 8 per thread), static shared memory, and
    threads. Dynamic shared memory may allow fewer.

    >>> blocks_per_sm(Usage(98, 5152, 0), 256), blocks_per_sm(Usage(88, 0, 0), 512), blocks_per_sm(Usage(128, 0, 0), 512)
    (2, 1, 1)
    """
    by_registers = REGISTERS // (-(-usage.registers // 8) * 8 * threads)
    by_shared = SHARED // max(usage.shared, RESERVED)
    return min(by_registers, by_shared, THREADS // threads, BLOCKS)


BARRIERS = ("BAR", "UCGABAR_ARV", "UCGABAR_WAIT", "SYNCS")


def _find(function, blocks, loops, wanted, forbidden):
    """(rows, loop, path) of the loop that passes over the most rows at once; the shortest of those. A pass has no
    barrier, and no loop inside it that would do as well."""
    best, taken = None, set()
    for loop in reversed(loops):  # inner ones first
        own = [function.instructions[i] for n in loop.blocks for i in range(blocks[n].first, blocks[n].last)]
        if id(loop) in taken or any(instruction.name in BARRIERS for instruction in own):
            continue
        moved = paths.moved(own)
        # Rows that the loop's instructions could move at most. (Those of an inner loop repeat, which is not counted.)
        max_rows = min((moved.get(space, 0) // amount for space, amount in wanted.bytes.items() if amount), default=0)
        for rows in range(min(max_rows, MAX_ROWS), 0, -1):
            if best and rows < best[0]:
                break
            amounts = {space: rows * amount for space, amount in wanted.bytes.items()}
            path = paths.find_path(function, blocks, loop, amounts, forbidden, wanted.trips)
            if path is None:
                continue
            if best is None or rows > best[0] or len(path.instructions) < len(best[2].instructions):
                best = (rows, loop, path)
            outer = loop.parent
            while outer is not None:
                taken.add(id(outer))
                outer = outer.parent
            break
    return best


def _add(per_element, moved, instructions, share):
    """Adds `share` of each instruction to the counts of a Cost."""
    for instruction in instructions:
        per_element[classes.class_of(instruction)] += share
        space = classes.space_of(instruction)
        if space:
            key = (space, classes.width_of(instruction))
            moved[key] = moved.get(key, 0) + key[1] * share


def _unrolled_cost(cost, function, shape, blocks):
    """Completes the cost of a kernel whose rows are unrolled."""
    found = unrolled.pass_of(function, shape, forbidden_in(cost.variant), blocks)
    if found is None:
        cost.reason = f"no two paths of {shape.rows} and {shape.rows // 2} rows between barriers (kernels.py, unrolled.py)"
        return cost
    (whole, half), connections = found
    per_element, moved = dict.fromkeys(classes.CLASSES, 0.0), {}
    _add(per_element, moved, whole, 1 / connections)
    _add(per_element, moved, half, -1 / connections)
    cost.per_element, cost.bytes = per_element, {key: amount for key, amount in moved.items() if amount}
    cost.rows, cost.iteration = shape.rows, len(whole)
    return cost


def cost_of(function, variant, usage):
    """The cost of one variant."""
    blocks = blocks_of(function)
    spills = sum(instruction.name in ("LDL", "STL") for instruction in function.instructions)
    cost = Cost(variant, usage, spills, blocks_per_sm(usage, KERNELS[variant.kernel].threads))
    passes = KERNELS[variant.kernel].passes(variant)
    if isinstance(passes, Unrolled):
        return _unrolled_cost(cost, function, passes, blocks)
    loops, per_element, moved = loops_of(blocks), dict.fromkeys(classes.CLASSES, 0.0), {}
    for number, wanted in enumerate(passes):
        found = _find(function, blocks, loops, wanted, forbidden_in(variant))
        if found is None:
            cost.reason = f"no loop moves {wanted.bytes} bytes per {wanted.connections} connections (kernels.py)"
            return cost
        rows, loop, path = found
        loops.remove(loop)
        _add(per_element, moved, path.instructions, wanted.times / (rows * wanted.connections))
        if number == 0:
            cost.rows, cost.iteration = rows, len(path.instructions)
            cost.rounds = classes.load_rounds(path.instructions)
            cost.loads_in_flight = classes.loads_in_flight(path.instructions)
    cost.per_element, cost.bytes = per_element, moved
    return cost
