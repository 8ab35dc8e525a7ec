"""Parses the text that `nvdisasm -c` prints for a cubin: functions, instructions, labels."""
import dataclasses
import re

_FUNCTION = re.compile(r"^\.text\.(\S+):$")
_LABEL = re.compile(r"^(\S+):$")
_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@(!?U?P(?:\d|T))\s+)?([A-Z]\w*(?:\.\w+)*)\s*(.*?)\s*;\s*$")
_TARGET = re.compile(r"`\(([^)]+)\)")
_TARGETS = re.compile(r'BRANCH_TARGETS ([^"]+)"')


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One machine instruction. `predicate` is "" if it is unconditional, else as printed, e.g. "!P0"."""
    address: int
    predicate: str
    name: str      # the first part of the opcode: LDG of LDG.E.NA.128
    suffixes: tuple
    operands: str
    targets: tuple  # labels

    @property
    def opcode(self):
        return ".".join((self.name, *self.suffixes))

    @property
    def conditional(self):
        """Whether the instruction may be skipped.

        >>> parse_instruction("        /*0130*/              @!P0 BRA `(.L_x_1) ;").conditional
        True

        A branch may have a second predicate among its operands.

        >>> parse_instruction("        /*0130*/              BRA P6, `(.L_x_1) ;").conditional
        True
        """
        second = self.name == "BRA" and re.match(r"!?U?P\d,", self.operands) is not None
        return second or self.predicate not in ("", "PT", "UPT")


@dataclasses.dataclass
class Function:
    symbol: str
    instructions: list
    labels: dict  # label -> index of the instruction that follows it


def parse_instruction(line):
    """The instruction in a line of the listing, or None.

    >>> parse_instruction("        /*0130*/              @!P0 BRA `(.L_x_1) ;")
    Instruction(address=304, predicate='!P0', name='BRA', suffixes=(), operands='`(.L_x_1)', targets=('.L_x_1',))
    >>> parse_instruction("        /*1f70*/                   LDG.E.NA.128 R8, desc[UR8][R2.64] ;").opcode
    'LDG.E.NA.128'
    >>> parse_instruction('/*aab0*/ BRX R64 -0xaac0   (*"BRANCH_TARGETS .L_x_2,.L_x_9"*);').targets
    ('.L_x_2', '.L_x_9')
    >>> parse_instruction(".L_x_1:")
    """
    found = _INSTRUCTION.match(line)
    if not found:
        return None
    address, predicate, opcode, operands = found.groups()
    name, *suffixes = opcode.split(".")
    table = _TARGETS.search(operands)
    targets = tuple(table[1].split(",")) if table else tuple(_TARGET.findall(operands))
    return Instruction(int(address, 16), predicate or "", name, tuple(suffixes), operands, targets)


def parse(text, symbols=None):
    """The functions of a listing, in its order; only those of `symbols` if they are given.

    >>> [function] = parse('''
    ... .text.kernel:
    ...         /*0000*/                   MOV R1, R2 ;
    ... .L_x_0:
    ...         /*0010*/                   BRA `(.L_x_0);
    ... ''')
    >>> function.symbol, len(function.instructions), function.labels
    ('kernel', 2, {'.L_x_0': 1})
    """
    functions, current = [], None
    for line in text.splitlines():
        begins = _FUNCTION.match(line)
        if begins:
            current = None
            if symbols is None or begins[1] in symbols:
                current = Function(begins[1], [], {})
                functions.append(current)
            continue
        if current is None:
            continue
        instruction = parse_instruction(line)
        if instruction:
            current.instructions.append(instruction)
            continue
        label = _LABEL.match(line.strip())
        if label:
            current.labels[label[1]] = len(current.instructions)
    return functions
