"""The control-flow graph of a function: basic blocks, dominators, loops and their nesting."""
import dataclasses

# Instructions after which the next one is not reached, unless a predicate skips them.
_LEAVE = {"BRA", "BRX", "JMP", "JMX", "EXIT", "RET", "KILL"}
# Branches that end a block and change the flow. Others with a label do not: BSSY names the point at which threads
# meet again, CALL returns, WARPSYNC continues. BRA.DIV is taken only if the threads of a warp diverge.
_BRANCHES = {"BRA", "BRX", "JMP", "JMX"}


@dataclasses.dataclass
class Block:
    first: int  # indices of instructions; `last` is one past the end
    last: int
    next: list  # blocks that may follow

    def __repr__(self):
        return f"Block({self.first}, {self.last}, {self.next})"


@dataclasses.dataclass
class Loop:
    header: int
    blocks: set
    parent: object = None
    children: list = dataclasses.field(default_factory=list)

    @property
    def depth(self):
        return 1 if self.parent is None else 1 + self.parent.depth


def _diverges(instruction):
    return "DIV" in instruction.suffixes


def blocks_of(function):
    """The basic blocks of a function, in order of address.

    >>> from listing import parse
    >>> [function] = parse('''.text.f:
    ...  /*0000*/ MOV R1, R2 ;
    ... .L_0:
    ...  /*0010*/ FADD R1, R1, R1 ;
    ...  /*0020*/ @P0 BRA `(.L_0) ;
    ...  /*0030*/ EXIT ;''')
    >>> blocks_of(function)
    [Block(0, 1, [1]), Block(1, 3, [1, 2]), Block(3, 4, [])]
    """
    code, labels = function.instructions, function.labels
    starts = {0}
    for index, instruction in enumerate(code):
        if instruction.name in _LEAVE:
            starts.add(index + 1)
        if instruction.name in _BRANCHES and not _diverges(instruction):
            starts.update(labels[target] for target in instruction.targets)
    starts = sorted(start for start in starts if start < len(code))
    number = {start: n for n, start in enumerate(starts)}
    blocks = []
    for n, first in enumerate(starts):
        last = starts[n + 1] if n + 1 < len(starts) else len(code)
        end, following = code[last - 1], []
        if end.name in _BRANCHES and not _diverges(end):
            following += [number[labels[target]] for target in end.targets if labels[target] in number]
        if (end.name not in _LEAVE or end.conditional or _diverges(end)) and n + 1 < len(starts):
            following.append(n + 1)
        blocks.append(Block(first, last, sorted(set(following))))
    return blocks


def _postorder(blocks):
    """The blocks that the entry leads to. (Not subroutines, and not code for diverged threads.)"""
    seen, order, stack = {0}, [], [(0, iter(blocks[0].next))]
    while stack:
        n, following = stack[-1]
        for m in following:
            if m not in seen:
                seen.add(m)
                stack.append((m, iter(blocks[m].next)))
                break
        else:
            order.append(n)
            stack.pop()
    return order


def predecessors(blocks, reached):
    before = {n: [] for n in reached}
    for n in reached:
        for following in blocks[n].next:
            before[following].append(n)
    return before


def dominators(blocks):
    """{block: its immediate dominator}, the entry's is -1; without blocks that are not reached.

    >>> dominators([Block(0, 1, [1, 2]), Block(1, 2, [3]), Block(2, 3, [3]), Block(3, 4, []), Block(4, 5, [3])])
    {0: -1, 2: 0, 1: 0, 3: 0}
    """
    order = _postorder(blocks)
    rank = {n: r for r, n in enumerate(order)}
    before, found = predecessors(blocks, order), {0: -1}
    changed = True
    while changed:
        changed = False
        for n in reversed(order[:-1]):
            best = None
            for m in before[n]:
                if m not in found:
                    continue
                best = m if best is None else best
                while best != m:  # the nearest common dominator
                    if rank[best] < rank[m]:
                        best = found[best]
                    else:
                        m = found[m]
            if found.get(n) != best:
                found[n], changed = best, True
    return found


def _dominates(above, a, b):
    while b != -1:
        if a == b:
            return True
        b = above[b]
    return False


def loops_of(blocks):
    """The natural loops, outer ones first. Loops with one header are one loop.

    >>> inner = [Block(0, 1, [1]), Block(1, 2, [2]), Block(2, 3, [2, 3]), Block(3, 4, [1, 4]), Block(4, 5, [])]
    >>> [(loop.header, sorted(loop.blocks), loop.depth) for loop in loops_of(inner)]
    [(1, [1, 2, 3], 1), (2, [2], 2)]
    """
    above, loops = dominators(blocks), {}
    before = predecessors(blocks, above)
    for n in above:
        for header in blocks[n].next:
            if not _dominates(above, header, n):
                continue
            body = loops.setdefault(header, {header})
            stack = [n]
            while stack:
                m = stack.pop()
                if m not in body:
                    body.add(m)
                    stack += before[m]
    found = sorted((Loop(header, body) for header, body in loops.items()), key=lambda loop: -len(loop.blocks))
    for n, loop in enumerate(found):
        for outer in reversed(found[:n]):
            if loop.header in outer.blocks and outer.header != loop.header:
                loop.parent = outer
                outer.children.append(loop)
                break
    return found
