"""Checks the direction of includes: a folder of host/ includes only itself and the folders above it in ORDER.

`python3 include_direction.py ROOT` prints each wrong include and exits 1 if there is one.
"""
import pathlib
import re
import sys

ORDER = ["base", "device", "communicator", "model", "check", "io", "plan", "reference", "cpu", "cuda", "network", "c", "tool"]
APART = {"cpu", "cuda", "reference"}  # implementations of the same calls, which never include each other
KERNELS = {"nonplastic", "reduce", "product", "replay", "resident", "rules", "step", "training", "common"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def allowed(folder, target):
    """Returns whether a file in host/FOLDER may include TARGET.

    >>> allowed("plan", "check/arguments.hpp"), allowed("check", "plan/backend.hpp"), allowed("cuda", "cpu/step.hpp")
    (True, False, False)
    >>> allowed("cpu", "rules/rules.hpp"), allowed("network", "rules/rules.hpp"), allowed("base", "plasticity/error.hpp")
    (True, False, True)
    """
    room = target.split("/")[0]
    if room == "plasticity":
        return True
    if room in KERNELS:
        return folder == "cuda" or folder == "cpu" and (room == "rules" or target == "training/elements.hpp")
    if room not in ORDER or folder in APART and room in APART and room != folder:
        return False
    return ORDER.index(room) <= ORDER.index(folder)


def wrong_includes(root):
    host = root / "host"
    for file in sorted(host.rglob("*.[hc]pp")):
        folder = file.relative_to(host).parts[0]
        for target in INCLUDE.findall(file.read_text(encoding="utf-8")):
            if not allowed(folder, target):
                yield f"{file.relative_to(root)} includes {target}"
    for top, own in (("kernels", KERNELS | {"plasticity"}), ("include", {"plasticity"})):
        for file in sorted((root / top).rglob("*.*")):
            for target in INCLUDE.findall(file.read_text(encoding="utf-8")):
                if target.split("/")[0] not in own:
                    yield f"{file.relative_to(root)} includes {target}"


if __name__ == "__main__":
    wrong = list(wrong_includes(pathlib.Path(sys.argv[1])))
    print("\n".join(wrong) or "every include points down")
    sys.exit(bool(wrong))
