"""Checks that every function in kernels/rules can be compiled for a device.

g++ accepts a function without PLASTICITY_HOST_DEVICE, and nvcc refuses to call it in a kernel. `python3 host_device.py ROOT`
prints each such function and exits 1 if there is one. Free of the rule are vector functions (between #if defined(__AVX…)
and #endif), device functions, and functions whose comment has the words "Host only".
"""
import pathlib
import re
import sys

_VECTORS = re.compile(r"^#if defined\(__AVX.*?^#endif", re.S | re.M)
_FUNCTION = re.compile(r"^(?P<head>[ \t]*(?:template <[^{};]*>\s*)?(?!return )(?:[\w:<>,]+[ *&]+)+?(?P<name>\w+)"
                       r"\([^;{}]*\)[^;{}()]*\{)", re.M)


def wrong_functions(text):
    """The names of functions that lack the mark.

    >>> list(wrong_functions('''
    ... template <class V>
    ... inline V half(V a) {
    ...   return a;
    ... }
    ... PLASTICITY_HOST_DEVICE inline float third(float a) { return a; }
    ... /// Host only.
    ... inline int fourth(int a) { return a; }
    ... struct A {
    ...   static constexpr float fifth(float a) { return a; }
    ...   static constexpr int sixth = 6;
    ... };
    ... template <class V>
    ... V* seventh(V* a) {
    ...   if (a) {
    ...     return a;
    ...   }
    ... }
    ... '''))
    ['half', 'fifth', 'seventh']
    """
    text = _VECTORS.sub("", text)
    for found in _FUNCTION.finditer(text):
        comment = re.search(r"((?:^[ \t]*///[^\n]*\n)*)\Z", text[:found.start()], re.M)[1]
        if not re.search(r"PLASTICITY_HOST_DEVICE|__device__", found["head"]) and "Host only" not in comment:
            yield found["name"]


def main(root):
    files = sorted((root / "kernels" / "rules").glob("*.hpp"))
    wrong = [f"{file.name}: {name} lacks PLASTICITY_HOST_DEVICE"
             for file in files for name in wrong_functions(file.read_text(encoding="utf-8"))]
    if not files:
        wrong = [f"{root}: expected headers in kernels/rules, found none"]
    print("\n".join(wrong) or "every function of kernels/rules compiles for a device")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
