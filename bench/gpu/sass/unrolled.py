"""The cost of a pass that is no loop: the rows of a thread are unrolled, and a thread with fewer rows leaves early.

The tool compares two paths between the same two barriers: one through all rows that the kernel has room for, and one
through half of them. Their loads of 16 bytes from shared memory distinguish them. The difference is the cost of the other half of
the rows, with its loads, its share of the sums over columns and its branches, but without the work per step.
"""
import classes

_BARRIERS = ("BAR", "UCGABAR_ARV", "UCGABAR_WAIT")
MAX_FACTORS = 4  # loads of a column's factors before the rows


def _segments(function, blocks):
    """The blocks, cut after each barrier: [(first, last, following segments)], in order of address. A segment that ends with
    a barrier has none."""
    code, cut = function.instructions, []
    for number, block in enumerate(blocks):
        first = block.first
        for index in range(block.first, block.last):
            if code[index].name in _BARRIERS:
                cut.append((first, index + 1, number, False))
                first = index + 1
        cut.append((first, block.last, number, True))
    start = {}
    for position, (_, _, number, _) in enumerate(cut):
        start.setdefault(number, position)
    return [(first, last, sorted(start[n] for n in blocks[number].next) if open_end else [])
            for first, last, number, open_end in cut]


def _loads(instruction):
    return int(instruction.name == "LDS" and "128" in instruction.suffixes)


def _paths_from(function, segments, begin, forbidden, most):
    """{loads: (arithmetic, -length, path)} of the paths without a cycle from a segment to a barrier: per number of loads
    that with the most arithmetic, and the shortest of those."""
    code, found, best = function.instructions, {begin: {0: (0, 0, ())}}, {}
    for position in range(begin, len(segments)):
        if position not in found:
            continue
        first, last, following = segments[position]
        own = code[first:last]
        if any(forbidden(instruction) and not instruction.conditional for instruction in own):
            continue
        loads, arithmetic = sum(map(_loads, own)), sum(map(classes.is_arithmetic, own))
        for so_far, (score, length, path) in found[position].items():
            total = so_far + loads
            if total > most:
                continue
            reached = (score + arithmetic, length - len(own), (*path, position))
            if not following:
                if total not in best or best[total][:2] < reached[:2]:
                    best[total] = reached
            for after in following:
                if after <= position:
                    continue
                old = found.setdefault(after, {})
                if total not in old or old[total][:2] < reached[:2]:
                    old[total] = reached
    return best


def pass_of(function, shape, forbidden, blocks):
    """(instructions of the rows that two paths differ in, connections of those rows), or None. `shape`: kernels.Unrolled."""
    segments = _segments(function, blocks)
    whole, half = shape.loads(shape.rows), shape.loads(shape.rows // 2)
    best = None
    for begin in range(1, len(segments)):
        if segments[begin - 1][2] or function.instructions[segments[begin - 1][1] - 1].name not in _BARRIERS:
            continue
        paths = _paths_from(function, segments, begin, forbidden, whole + MAX_FACTORS)
        for factors in range(MAX_FACTORS + 1):
            if whole + factors in paths and half + factors in paths:
                candidate = (paths[whole + factors], paths[half + factors])
                if best is None or candidate[0][:2] > best[0][:2]:
                    best = candidate
    if best is None:
        return None
    code = function.instructions
    steps = [[code[i] for position in path for i in range(*segments[position][:2])] for _, _, path in best]
    return steps, shape.connections * (shape.rows - shape.rows // 2)
