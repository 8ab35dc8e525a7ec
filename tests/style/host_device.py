"""Checks that every function in kernels/rules can be compiled for a device.

g++ accepts a function without PLASTICITY_HOST_DEVICE, and nvcc refuses to call it in a kernel. `python3 host_device.py ROOT`
prints each such function and exits 1 if there is one. Free of the rule are vector functions (between #if defined(__AVX…)
and #endif), device functions, and functions whose comment has the words "Host only".
"""
import pathlib
import re
import sys

_VECTORS = re.compile(r"^#if defined\(__AVX.*?^#endif", re.S | re.M)
_FUNCTION = re.compile(r"^(?P<head>[ \t]*(?:template <[^{};]*>\s*)?(?:[\w:]+ )*?(?:inline|static|constexpr) [^;{}()]*?\b"
                       r"(?P<name>\w+)\([^;{}]*\)[^;{}]*\{)", re.M)


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
    ... '''))
    ['half', 'fifth']
    """
    text = _VECTORS.sub("", text)
    for found in _FUNCTION.finditer(text):
        comment = re.search(r"((?:^[ \t]*///[^\n]*\n)*)\Z", text[:found.start()], re.M)[1]
        if not re.search(r"PLASTICITY_HOST_DEVICE|__device__", found["head"]) and "Host only" not in comment:
            yield found["name"]


if __name__ == "__main__":
    rules = pathlib.Path(sys.argv[1]) / "kernels" / "rules"
    wrong = [f"{file.name}: {name} lacks PLASTICITY_HOST_DEVICE"
             for file in sorted(rules.glob("*.hpp")) for name in wrong_functions(file.read_text(encoding="utf-8"))]
    print("\n".join(wrong) or "every function of kernels/rules compiles for a device")
    sys.exit(bool(wrong))
