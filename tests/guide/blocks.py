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


def programs_of(page, language):
    """The blocks in that language that do not quote a file.

    >>> text = "a\\n```cpp\\nint x = 1;\\n```\\n<!-- a piece of b.cpp -->\\n```cpp\\ny\\n```\\n```sh\\nls\\n```\\n"
    >>> programs_of(text, "cpp")
    ['int x = 1;\\n']
    """
    return [match["code"] for match in BLOCK.finditer(page) if match["language"] == language and not match["source"]]


def wrong_pieces(page, root):
    """A line for each quotation that its file does not contain.

    >>> here, quote = pathlib.Path(__file__).parent, "<!-- a piece of {} -->\\n```sh\\n{}\\n```\\n".format
    >>> wrong_pieces(quote("blocks.py", "import re") + quote("blocks.py", "import " + "os") + quote("missing", "ls"), here)
    ['not a piece of blocks.py: import os', 'not a piece of missing: ls']
    >>> wrong_pieces("<!-- a piece of blocks.py -->\\n\\n" + "no block", here)
    ['1 comments name a piece, and 0 of them are on the line before a block']
    """
    pieces = [match for match in BLOCK.finditer(page) if match["source"]]
    wrong = [f"not a piece of {match['source']}: {match['code'].rstrip()}" for match in pieces
             if not (root / match["source"]).is_file() or match["code"] not in (root / match["source"]).read_text(encoding="utf-8")]
    comments = page.count("<!-- a piece of ")
    if comments != len(pieces):
        wrong.append(f"{comments} comments name a piece, and {len(pieces)} of them are on the line before a block")
    return wrong


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
            sys.exit("a block with main() must be the only one")
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
    action, path, *rest = sys.argv[1:]
    page = pathlib.Path(path).read_text(encoding="utf-8")
    if action == "tangle":
        language, output = rest
        codes = programs_of(page, language)
        if not codes or (language == "c" and len(codes) > 1):
            sys.exit(f"{path}: expected {'one block of C' if language == 'c' else 'blocks of C++'}, found {len(codes)}")
        pathlib.Path(output).write_text(codes[0] if language == "c" else program(codes), encoding="utf-8")
    elif action == "pieces":
        wrong = wrong_pieces(page, pathlib.Path(rest[0]))
        if wrong:
            sys.exit("\n".join(f"{path}: {each}" for each in wrong))
    elif action == "same":
        if programs_of(page, "cpp") != [pathlib.Path(rest[0]).read_text(encoding="utf-8")]:
            sys.exit(f"{path}: its block of C++ is not {rest[0]}")
    else:
        sys.exit(f"blocks.py: expected tangle, pieces or same, got {action}")


if __name__ == "__main__":
    main()
