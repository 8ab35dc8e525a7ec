"""Checks that the tests cited in tests/README.md and ./run exist.

`python3 cited_tests.py ROOT` prints each unknown name and exits 1 if there is one. A name is Suite.Case, Suite.*, or .Case
after a name of the same suite.
"""
import fnmatch
import pathlib
import re
import sys

DEFINED = re.compile(r"\b(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)")
ADDED = re.compile(r"\bNAME ([A-Z]\w*)\.")  # of a program that is a test: C.threads


def cited(text):
    """Names in backticks, each with its suite.

    >>> cited("`Suite.One` `.Two`, `…Three` and `Other.*` but `plan_test` and `common/launch.hpp`")
    ['Suite.One', 'Suite.Two', 'Suite.*Three', 'Other.*']
    """
    names, suite = [], ""
    for token in re.findall(r"`([^`\s]+)`", text):
        match = re.fullmatch(r"([A-Z]\w*\*?)?(\.|…)([\w*]+)", token)
        if not match or not (match[1] or suite):
            continue
        suite = match[1] or suite
        names.append(f"{suite}.{'*' if match[2] == '…' else ''}{match[3]}")
    return names


def unknown(names, tests, programs):
    """Names without a test. The name of an instantiation may precede the suite, and a parameter may follow the case.

    >>> unknown(["A.One", "A.T*", "B.One", "C.threads", "*A.One/name_*"], {"A.One", "A.Two"}, {"C"})
    ['B.One']
    """
    return [name for name in names if name.split(".")[0] not in programs
            and not fnmatch.filter(tests, name.split("/")[0])]


def main(root):
    tests, programs = set(), set()
    for file in (root / "tests").rglob("*"):
        if file.suffix in (".cpp", ".hpp"):
            tests |= {f"{suite}.{case}" for suite, case in DEFINED.findall(file.read_text(encoding="utf-8"))}
        elif file.name == "CMakeLists.txt":
            programs |= set(ADDED.findall(file.read_text(encoding="utf-8")))
    names = cited((root / "tests" / "README.md").read_text(encoding="utf-8"))
    filters = re.findall(r"--gtest_filter='([^']*)'", (root / "run").read_text(encoding="utf-8"))
    filtered = [name for group in filters for name in group.split(":")]
    problems = [f"no test {name}" for name in unknown(names + filtered, tests, programs)]
    if len(names) < 50:
        problems.append(f"tests/README.md: expected at least 50 cited tests, found {len(names)}")
    if not filters:
        problems.append("run: expected a --gtest_filter, found none")
    print("\n".join(problems) or f"{len(names)} cited names exist")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
