"""The declarations in plasticity._c are those of the header: sizes, offsets, enumerators, functions."""
import ctypes
import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

from plasticity import _c

HEADER = ROOT / "include" / "plasticity" / "plasticity.h"


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    """The numbers that a C compiler prints for the header: "SIZE struct", "OFFSET struct field", "VALUE enumerator" -> number."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    lines = []
    for name, struct in _c.STRUCTS.items():
        lines.append(f'printf("SIZE {name}\\t%zu\\n", sizeof({name}));')
        for field in struct._fields_:
            lines.append(f'printf("OFFSET {name} {field[0]}\\t%zu\\n", offsetof({name}, {field[0]}));')
            lines.append(f'printf("WIDTH {name} {field[0]}\\t%zu\\n", sizeof((({name}*)0)->{field[0]}));')
    lines += [f'printf("VALUE {name}\\t%zu\\n", (size_t){name});' for name in _c.ENUMERATORS]
    folder = tmp_path_factory.mktemp("header")
    source = folder / "print.c"
    source.write_text("#include <plasticity/plasticity.h>\n#include <stdio.h>\nint main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    subprocess.run([compiler, "-I", HEADER.parents[1], source, "-o", folder / "print"], check=True)
    output = subprocess.run([folder / "print"], check=True, capture_output=True, text=True).stdout
    return {key: int(value) for key, value in (line.split("\t") for line in output.splitlines())}


def test_sizes_and_offsets(header):
    for name, struct in _c.STRUCTS.items():
        assert ctypes.sizeof(struct) == header[f"SIZE {name}"], name
        for field in struct._fields_:
            declared = getattr(struct, field[0])
            assert declared.offset == header[f"OFFSET {name} {field[0]}"], (name, field)
            assert declared.size == header[f"WIDTH {name} {field[0]}"], (name, field)


def test_enumerators(header):
    for name, value in _c.ENUMERATORS.items():
        assert value == header[f"VALUE {name}"], name


def body_of(kind, name, text):
    return re.search(rf"typedef {kind} {name}\b[^{{]*\{{(.*?)\n\}} {name};", text, re.DOTALL).group(1)


def test_nothing_of_the_header_is_left_out():
    """Fields of the declared structs and enumerators of the enumerations: as many as the header has."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name, struct in _c.STRUCTS.items():
        fields = re.findall(r"(\w+)\s*;", body_of("struct", name, text))
        assert fields == [field[0] for field in struct._fields_], name
    for name in ("status", "cell", "rule", "rate", "eligibility", "granularity", "activation", "modulator_source", "precision", "execution"):
        for enumerator in re.findall(r"(PLASTICITY_\w+)", body_of("enum", f"plasticity_{name}", text).split("PLASTICITY_AS_INT")[-1]):
            assert enumerator in _c.ENUMERATORS, enumerator


C_TYPES = {
    "int64_t": ctypes.c_int64, "int32_t": ctypes.c_int32, "size_t": ctypes.c_size_t, "void": None, "const char*": ctypes.c_char_p,
}


def test_functions_have_the_parameters_of_the_header():
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name, (result, parameters) in _c.FUNCTIONS.items():
        match = re.search(rf"PLASTICITY_API ([\w\s*]+?)\bplasticity_{name}\(([^)]*)\)", text)
        assert match, f"plasticity_{name} is not in the header"
        given = [each.strip() for each in match.group(2).split(",") if each.strip() != "void"]
        assert len(given) == len(parameters), name
        for parameter, declared in zip(given, parameters):
            c_type = re.sub(r"\s*\b\w+(\[\w+\])?$", lambda m: "*" if m.group(1) else "", parameter).replace(" *", "*")
            is_pointer = "*" in c_type
            if c_type in C_TYPES:
                assert declared is C_TYPES[c_type], (name, parameter)
            else:
                by_value = issubclass(declared, ctypes.Structure) or declared is ctypes.c_int
                assert is_pointer != by_value, (name, parameter)
        c_result = match.group(1).strip().replace(" *", "*")
        assert result is C_TYPES.get(c_result, ctypes.c_int), name
