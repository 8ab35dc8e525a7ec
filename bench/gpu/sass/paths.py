"""The path that one iteration of a loop takes under given circumstances.

A loop of these kernels has branches on run-time flags: whether the sequence is reset, whether a checkpoint is due,
whether the cell is an LSTM. The path of interest is found by the bytes that it moves. Several paths may move exactly the
declared bytes. The tool takes the one with the most arithmetic, and the shortest if there are several. A predicated instruction
counts whether it is skipped or not: it takes its turn at the scheduler.
"""
import dataclasses

import classes
from flow import Loop


@dataclasses.dataclass
class Path:
    instructions: list  # in order; those of an inner loop once per trip


def _collapse(loop, blocks, trips):
    """The loop as a graph without cycles: {node: (instructions of one pass, successors, closes)}. An inner loop is one
    node, its instructions repeated `trips` times."""
    inner = {block: child for child in loop.children for block in child.blocks}
    node = lambda block: inner[block].header if block in inner else block
    members = {}
    for block in sorted(loop.blocks):
        members.setdefault(node(block), []).append(block)
    graph = {}
    for name, own in members.items():
        indices = [i for block in own for i in range(blocks[block].first, blocks[block].last)]
        following = {m for block in own for m in blocks[block].next}
        graph[name] = (indices * (trips if name in inner else 1),
                       sorted({node(m) for m in following if m in loop.blocks and m != loop.header} - {name}),
                       loop.header in following)
    return graph


def _order(graph, first):
    """The nodes in topological order. (Inner loops of loops that are no natural loops would be a cycle: none is here.)"""
    order, seen, stack = [], {first}, [(first, iter(graph[first][1]))]
    while stack:
        name, following = stack[-1]
        for m in following:
            if m not in seen:
                seen.add(m)
                stack.append((m, iter(graph[m][1])))
                break
        else:
            order.append(name)
            stack.pop()
    return order[::-1]


def moved(instructions):
    """Bytes by space.

    >>> from listing import parse_instruction as parse
    >>> moved([parse("/*0000*/ LDG.E.128 R8, desc[UR8][R2.64] ;"), parse("/*0010*/ STG.E [R2.64], R8 ;")])
    {'load': 16, 'store': 4}
    """
    total = {}
    for instruction in instructions:
        space = classes.space_of(instruction)
        if space:
            total[space] = total.get(space, 0) + classes.width_of(instruction)
    return total


def find_path(function, blocks, loop: Loop, wanted, forbidden, trips=1):
    """The path through one iteration that moves exactly `wanted` bytes per space and passes no instruction that is
    `forbidden` (unless a predicate may skip it); None if there is none. Spaces that are not in `wanted` are free."""
    code, spaces = function.instructions, sorted(wanted)
    limits = tuple(wanted[space] for space in spaces)
    graph = _collapse(loop, blocks, trips)
    steps = {}
    for name, (indices, _, _) in graph.items():
        own = [code[i] for i in indices]
        if any(forbidden(instruction) and not instruction.conditional for instruction in own):
            continue
        bytes_moved = moved(own)
        steps[name] = (tuple(bytes_moved.get(space, 0) for space in spaces),
                       sum(classes.is_arithmetic(instruction) for instruction in own), len(own))
    if loop.header not in steps:
        return None
    # found[node][bytes so far] = (arithmetic, −instructions, node before, bytes before)
    found, best = {name: {} for name in graph}, None
    order = _order(graph, loop.header)

    def reach(name, so_far, score, origin):
        if name not in steps:
            return
        bytes_moved, arithmetic, length = steps[name]
        now = tuple(a + b for a, b in zip(so_far, bytes_moved))
        if any(a > limit for a, limit in zip(now, limits)):
            return
        better = (score[0] + arithmetic, score[1] - length)
        if now not in found[name] or found[name][now][:2] < better:
            found[name][now] = (*better, *origin)

    reach(loop.header, (0,) * len(spaces), (0, 0), (None, None))
    for name in order:
        _, following, closes = graph[name]
        for so_far, (arithmetic, negative, _, _) in list(found[name].items()):
            if closes and so_far == limits and (best is None or best[0] < (arithmetic, negative)):
                best = ((arithmetic, negative), name, so_far)
            for m in following:
                reach(m, so_far, (arithmetic, negative), (name, so_far))
    if best is None:
        return None
    _, name, so_far = best
    nodes = []
    while name is not None:
        nodes.append(name)
        name, so_far = found[name][so_far][2:]
    return Path([code[i] for name in reversed(nodes) for i in graph[name][0]])
