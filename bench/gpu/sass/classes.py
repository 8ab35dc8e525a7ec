"""Classes of instructions, the bytes that they move, and the registers that they read and write."""
import re

CLASSES = ("fma", "alu", "shared", "global", "shuffle", "other")

_FMA = {"FFMA", "FMUL", "FADD", "HADD2", "HMUL2", "HFMA2"}
_SHARED = {"LDS", "STS", "LDSM", "STSM", "ATOMS"}
_GLOBAL = {"LDG", "STG", "LD", "ST", "ATOM", "ATOMG", "RED", "LDL", "STL", "LDGSTS", "STAS", "REDAS"}
_SHUFFLE = {"SHFL", "VOTE", "VOTEU", "REDUX", "MATCH"}
_ALU = re.compile(r"^(U?I|U?LOP|U?SHF|U?LEA|U?SEL|U?PLOP|U?MOV|U?PRMT|FSEL|FSET|FMNMX|FCHK|VI|BMSK|U?SGXT|U?POPC|U?FLO|"
                  r"BREV|P2R|R2P|R2UR|CS2R|U?BREV|LOP)")
_NOT_ALU = {"I2F", "I2FP", "I2I"}
# Arithmetic of the equations, by which a path is chosen that does all of it.
_ARITHMETIC = {"FFMA", "FMUL", "FADD", "FMNMX", "FSETP", "FSEL"}


def class_of(instruction):
    """The class of an instruction: one of CLASSES.

    A float multiply or add is "fma"; integer arithmetic, comparisons, selections and moves are "alu"; generic and local
    accesses count as "global".

    >>> from listing import parse_instruction as parse
    >>> [class_of(parse(f"/*0000*/ {text} ;")) for text in ("FFMA R1, R2, R3, R4", "IMAD.MOV.U32 R1, RZ, RZ, R2",
    ...     "LDS.128 R4, [R2]", "LD.E R1, desc[UR4][R2.64]", "SHFL.BFLY PT, R1, R2, 0x1, 0x1f", "BSYNC B0")]
    ['fma', 'alu', 'shared', 'global', 'shuffle', 'other']

    The compiler makes constants by a half-precision multiply-add of RZ; that is a move.

    >>> class_of(parse("/*0000*/ HFMA2.MMA R1, -RZ, RZ, 0, 0 ;"))
    'alu'
    """
    name = instruction.name
    if name in _FMA:
        return "alu" if name == "HFMA2" and "-RZ, RZ" in instruction.operands else "fma"
    if name in _SHARED:
        return "shared"
    if name in _GLOBAL:
        return "global"
    if name in _SHUFFLE:
        return "shuffle"
    return "alu" if _ALU.match(name) and name not in _NOT_ALU else "other"


def is_arithmetic(instruction):
    return instruction.name in _ARITHMETIC


def width_of(instruction):
    """Bytes that a thread moves by a load or store.

    >>> from listing import parse_instruction as parse
    >>> [width_of(parse(f"/*0000*/ {text} ;")) for text in ("LDG.E.NA.128 R8, desc[UR8][R2.64]", "STG.E.U16 [R2.64], R4",
    ...     "LDS R1, [R2]", "LDG.E.64 R2, desc[UR8][R2.64]", "LDG.E.U8 R2, desc[UR8][R2.64]")]
    [16, 2, 4, 8, 1]
    """
    for suffix, width in (("128", 16), ("64", 8), ("U16", 2), ("S16", 2), ("U8", 1), ("S8", 1)):
        if suffix in instruction.suffixes:
            return width
    return 4


def space_of(instruction):
    """The space of a load or store: "load" (global or generic), "half load" (the same, 2 bytes), "weights" (read-only
    global), "store", "shared load", "shared store", "copy" (from global to shared memory); or None for any other
    instruction, and for loads of flags (1 byte).

    >>> from listing import parse_instruction as parse
    >>> [space_of(parse(f"/*0000*/ {text} ;")) for text in ("LDG.E.NA.128.CONSTANT R8, desc[UR8][R2.64]",
    ...     "LD.E R1, desc[UR4][R2.64]", "LDG.E.U16 R1, desc[UR4][R2.64]", "STS [R1], R2", "FADD R1, R1, R1",
    ...     "LDG.E.U8 R1, desc[UR4][R2.64]")]
    ['weights', 'load', 'half load', 'shared store', None, None]

    The compiler puts loads that are never done before copies. They move nothing, but take their turn at the scheduler.

    >>> [space_of(parse(f"/*0000*/ {text} ;")) for text in ("@!PT LDS RZ, [RZ]",
    ...     "@P0 LDGSTS.E.BYPASS.128 [R10+0xc000], desc[UR26][R70.64]")]
    [None, 'copy']
    """
    name = instruction.name
    if instruction.predicate == "!PT":
        return None
    if name in ("LDG", "LD"):
        width = width_of(instruction)
        if width < 4:
            return "half load" if width == 2 else None
        return "weights" if "CONSTANT" in instruction.suffixes else "load"
    return {"STG": "store", "ST": "store", "LDS": "shared load", "STS": "shared store",
            "LDGSTS": "copy"}.get(name)


_REGISTER = re.compile(r"\bR(\d+)\b")


def registers_of(instruction):
    """(written, read) registers of a load from memory or of any other instruction.

    >>> from listing import parse_instruction as parse
    >>> registers_of(parse("/*0000*/ LDG.E.NA.128 R8, desc[UR8][R2.64] ;"))
    ({8, 9, 10, 11}, {2})
    >>> registers_of(parse("/*0000*/ STG.E.128 desc[UR8][R2.64], R8 ;"))
    (set(), {2, 8, 9, 10, 11})
    >>> registers_of(parse("/*0000*/ LDGSTS.E.BYPASS.128 [R10+0xc000], desc[UR26][R70.64] ;"))
    (set(), {10, 70})
    """
    registers = [int(number) for number in _REGISTER.findall(instruction.operands)]
    space = space_of(instruction)
    count = max(width_of(instruction) // 4, 1)
    if space is None:
        return set(registers[:1]), set(registers[1:])
    if space == "copy":
        return set(), set(registers)
    if space.endswith("load") or space == "weights":
        return set(range(registers[0], registers[0] + count)) if registers else set(), set(registers[1:])
    stored = set(range(registers[-1], registers[-1] + count)) if registers else set()
    return set(), set(registers[:-1]) | stored


def loads_in_flight(path):
    """The most global loads, and their bytes, that a thread waits for at once on a path. A load is in flight until an
    instruction reads its result.

    >>> from listing import parse_instruction as parse
    >>> loads_in_flight([parse(f"/*0000*/ {text} ;") for text in ("LDG.E.128 R8, desc[UR8][R2.64]",
    ...     "LDG.E R4, desc[UR8][R2.64+0x4]", "FADD R5, R9, R4", "LDG.E R12, desc[UR8][R2.64+0x8]", "FADD R5, R5, R12")])
    (2, 20)
    """
    waiting, largest = [], (0, 0)
    for instruction in path:
        written, read = registers_of(instruction)
        waiting = [(result, width) for result, width in waiting if not result & read]
        if space_of(instruction) in ("load", "half load", "weights"):
            waiting.append((written, width_of(instruction)))
            largest = max(largest, (len(waiting), sum(width for _, width in waiting)), key=lambda loads: loads[1])
    return largest


def load_rounds(path):
    """How often a thread waits for memory on a path: the first instruction that reads a result waits for all global
    loads issued before it.

    >>> from listing import parse_instruction as parse
    >>> load_rounds([parse(f"/*0000*/ {text} ;") for text in ("LDG.E R8, desc[UR8][R2.64]", "LDG.E R4, desc[UR8][R2.64+0x4]",
    ...     "FADD R5, R8, R4", "LDG.E R12, desc[UR8][R2.64+0x8]", "FADD R5, R5, R12")])
    2
    """
    waiting, rounds = set(), 0
    for instruction in path:
        written, read = registers_of(instruction)
        if waiting & read:
            rounds, waiting = rounds + 1, set()
        if space_of(instruction) in ("load", "half load", "weights"):
            waiting |= written
    return rounds
