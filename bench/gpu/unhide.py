"""Changes hidden symbols of an object file to default visibility: unhide.py OBJECT PATTERN...

The library is compiled with hidden visibility, and its shared form shows the public interface alone. The programs of the
GPU kit share one library and reach into it, as tests do. Compiling every kernel a second time would take minutes, so the
kit links the same objects, merged into one by `ld -r`, after this program has changed one byte per symbol. Only symbols
whose name contains a PATTERN (a regular expression) are changed; the file is changed in place.
"""
import re
import struct
import sys

HEADER, SECTION, SYMBOL = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")
RELOCATABLE, SYMBOL_TABLE = 1, 2
GLOBAL, WEAK = 1, 2
HIDDEN, VISIBILITY = 2, 3  # of the byte st_other, whose two lowest bits are the visibility


def unhide(data, patterns):
    """Changes `data`, a bytearray; returns the number of changed symbols."""
    identity, kind, *_, section_offset, _, _, _, _, section_size, sections, _ = HEADER.unpack_from(data)
    if identity[:6] != b"\x7fELF\x02\x01" or kind != RELOCATABLE or section_size != SECTION.size:
        raise ValueError("expected a relocatable ELF file of 64 bits, little-endian")
    if sections == 0:  # more than 16 bits hold: the first section header has the number
        sections = SECTION.unpack_from(data, section_offset)[5]
    table = [SECTION.unpack_from(data, section_offset + k * SECTION.size) for k in range(sections)]
    wanted, changed = re.compile("|".join(patterns).encode()), 0
    for _, section_kind, _, _, offset, size, strings, *_ in table:
        if section_kind != SYMBOL_TABLE:
            continue
        names = table[strings][4]
        for at in range(offset, offset + size, SYMBOL.size):
            name, info, other, section, _, _ = SYMBOL.unpack_from(data, at)
            if info >> 4 not in (GLOBAL, WEAK) or other & VISIBILITY != HIDDEN or section == 0:
                continue
            if wanted.search(data[names + name:data.index(b"\0", names + name)]):
                data[at + 5] = other & ~VISIBILITY
                changed += 1
    return changed


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    path, patterns = sys.argv[1], sys.argv[2:]
    try:
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            if unhide(data, patterns) == 0:
                raise ValueError(f"no hidden symbol matches {' '.join(patterns)}")
            file.seek(0)
            file.write(data)
    except (OSError, ValueError, struct.error) as error:
        sys.exit(f"unhide.py: {path}: {error}")


if __name__ == "__main__":
    main()
