#!/usr/bin/env python3
"""Writes the constants of a tuning file into host/cuda/device_constants.hpp, rounded to three digits: adopt_constants.py TUNING.json.
Constants that are marked as measured or calculated keep their values, since the fit does not determine them."""
import json
import pathlib
import re
import sys

HEADER = pathlib.Path(__file__).resolve().parents[2] / "host/cuda/device_constants.hpp"


def adopted(text, constants):
    """The text of the header with the constants.

    >>> adopted("  double a = 1;  ///< fitted\\n  double b = 2;  ///< measured: x\\n", {"a": 1.23456, "b": 3.0})
    '  double a = 1.23;  ///< fitted\\n  double b = 2;  ///< measured: x\\n'
    """
    for name, value in constants.items():
        found = re.search(rf"^( *double {name} = )[^;]+(; *///< *)(.*)$", text, re.MULTILINE)
        if found is None:
            raise SystemExit(f"{name}: no such constant in {HEADER}")
        if not found[3].startswith(("measured", "calculated")):
            text = text[:found.start()] + f"{found[1]}{float(f'{value:.3g}'):g}{found[2]}{found[3]}" + text[found.end():]
    return text


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = pathlib.Path(sys.argv[1])
    try:
        constants = json.loads(path.read_text(encoding="utf-8"))["constants"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"adopt_constants.py: expected a tuning file, got {path}: {type(error).__name__}: {error}")
    HEADER.write_text(adopted(HEADER.read_text(encoding="utf-8"), constants), encoding="utf-8")


if __name__ == "__main__":
    main()
