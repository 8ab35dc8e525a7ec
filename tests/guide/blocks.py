"""The code blocks of a Markdown page.

    blocks.py tangle PAGE LANGUAGE OUTPUT    the page's blocks as one program
    blocks.py pieces PAGE ROOT               checks the blocks that quote a file
    blocks.py same PAGE FILE                 checks that the page's only block of C++ is that file

A block of C++ with main(), and every block of C, is a whole program; a page has one of them. The other blocks of C++
form the body of main() in order, after the lines that begin with # and the blocks with structs, functions or
templates at the left margin. A block after the line <!-- a piece of FILE --> is not compiled: the file must contain
it, word for word.
"""
import pathlib
import re
import sys

BLOCK = re.compile(r"(?:<!-- a piece of (?P<source>\S+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
                   re.DOTALL | re.MULTILINE)


def blocks(page, language):
    """(code, source or None) of every block in that language.

    >>> text = "a\\n```cpp\\nint x = 1;\\n```\\n<!-- a piece of b.cpp -->\\n```cpp\\ny\\n```\\n```sh\\nls\\n```\\n"
    >>> blocks(text, "cpp")
    [('int x = 1;\\n', None), ('y\\n', 'b.cpp')]
    """
    return [(match["code"], match["source"]) for match in BLOCK.finditer(page) if match["language"] == language]


def program(codes):
    """One program of blocks of C++.

    >>> print(program(["#include <vector>\\nint a = 1;\\n", "a = 2;\\n"]), end="")
    #include <vector>
    int main() {
    int a = 1;
    a = 2;
    }
    """
    whole = [code for code in codes if re.search(r"^int main\(", code, re.MULTILINE)]
    if whole:
        if len(codes) != 1:
            raise SystemExit("a block with main() must be the only one")
        return whole[0]
    head, outside, body = [], [], []
    for code in codes:
        lines = code.splitlines(keepends=True)
        head += [line for line in lines if line.startswith(("#", "using namespace"))]
        rest = [line for line in lines if not line.startswith(("#", "using namespace"))]
        target = outside if re.match(r"\s*(///.*\n)*(struct|template|class|enum)\b", "".join(rest)) else body
        target += rest
    return "".join([*dict.fromkeys(head), *outside, "int main() {\n", *body, "}\n"])


def main():
    action, path = sys.argv[1], pathlib.Path(sys.argv[2])
    page = path.read_text(encoding="utf-8")
    if action == "tangle":
        language, output = sys.argv[3], pathlib.Path(sys.argv[4])
        codes = [code for code, source in blocks(page, language) if source is None]
        if not codes:
            raise SystemExit(f"{path}: no block of {language}")
        output.write_text(codes[0] if language == "c" else program(codes), encoding="utf-8")
    elif action == "pieces":
        root, bad = pathlib.Path(sys.argv[3]), 0
        for language in ("cpp", "c", "python", "cmake"):
            for code, source in blocks(page, language):
                if source is not None and code not in (root / source).read_text(encoding="utf-8"):
                    print(f"{path}: not a piece of {source}:\n{code}")
                    bad += 1
        return 1 if bad else 0
    elif action == "same":
        codes = [code for code, _ in blocks(page, "cpp")]
        if codes != [pathlib.Path(sys.argv[3]).read_text(encoding="utf-8")]:
            raise SystemExit(f"{path}: its block of C++ is not {sys.argv[3]}")
    else:
        raise SystemExit(f"no action {action}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
