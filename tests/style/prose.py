"""Extracts the prose of a source file or a document: comments, docstrings, messages and Markdown text.

The result of every function is a list of passages. A passage is a list of (line number, text): consecutive lines of one
comment or one paragraph. Code in backticks and addresses of web pages are replaced by "code".
"""
import ast
import io
import re
import tokenize

CPP = {".hpp", ".cpp", ".cu", ".cuh", ".h", ".c"}
HASH = {".cmake", ".in", ".sh"}
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"\w*\(.*?\)\w*"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
HASH_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|(?<![\w$({\\"\'])#[^\n]*')
HEREDOC = re.compile(r"<<-?'?(\w+)'?\n(.*?)\n\1\n", re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"``.+?``|`[^`]*`|https?://\S+")


def plain(text):
    """The text without code and without the marks of comments.

    >>> plain("/// Calls `where(x)`, see https://example.org/what .")
    'Calls code, see code .'
    """
    text = re.sub(r"^\s*(?:/{2,}<?|/\*+<?|\*+/?|#+!?|>)?\s*", "", text)
    return CODE.sub("code", re.sub(r"\s*\*+/\s*$", "", text)).strip()


def is_message(text):
    """Whether a string literal is written for people: two words or more, not a path or a pattern.

    >>> is_message("expected at least 1, got "), is_message("a/b.hpp"), is_message("%s: %d")
    (True, False, False)
    """
    return len(re.findall(r"[A-Za-z]{2,}(?=[ ,.:;])", text + " ")) >= 2 and " " in text.strip()


def lines_of(text, first):
    """(line number, text) of every line of a text that begins in line `first`."""
    return [(first + k, line) for k, line in enumerate(text.split("\n"))]


def joined(pieces):
    """Passages of pieces: consecutive lines of one comment are one passage, an empty line ends it.

    >>> joined([(1, "// One fact"), (2, "// per sentence."), (4, "// Another.")])
    [[(1, 'One fact'), (2, 'per sentence.')], [(4, 'Another.')]]
    """
    passages = []
    for number, text in pieces:
        text = plain(text)
        if not text:
            continue
        row = re.search(r"\S {3,}\S", text)  # of a table or a formula
        if passages and passages[-1][-1][0] == number - 1 and not row:
            passages[-1].append((number, text))
        else:
            passages.append([(number, text)])
    return passages


def of_cpp(source):
    """Passages of C++, C or CUDA.

    >>> of_cpp('int a;  // the size\\nf("expected one, got two");\\n')
    [[(1, 'the size')], [(2, 'expected one, got two')]]
    """
    comments, trailing, messages = [], [], []
    for token in TOKEN.finditer(source):
        text, first = token.group(), source.count("\n", 0, token.start()) + 1
        if text.startswith(("//", "/*")):
            begin = source.rfind("\n", 0, token.start()) + 1
            own_line = not source[begin:token.start()].strip()
            (comments if own_line else trailing).extend(lines_of(text, first))
        elif '"' in text:
            before = source[source.rfind("\n", 0, token.start()) + 1:token.start()]
            body = text[text.index('"') + 1:-1].replace("\\n", " ")
            if "#include" not in before and is_message(body):
                messages.append([(number, plain(line)) for number, line in lines_of(body, first)])
    return joined(comments) + [passage for piece in trailing for passage in joined([piece])] + messages


def of_python(source):
    """Passages of Python.

    >>> of_python('x = 1  # the size\\nraise ValueError(f"expected one, got {x}")\\n')
    [[(1, 'the size')], [(2, 'expected one, got code')]]
    """
    comments, messages = [], []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments.append((token.start[0], token.string))
    tree = ast.parse(source)
    inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "code" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if is_message(text):
            messages += joined(lines_of(text, node.lineno))
    return joined(comments) + messages


def of_hash(source):
    """Passages of shell scripts, CMake files and other files whose comments begin with #.

    >>> of_hash('# A tool\\nsay "two words"\\n')
    [[(1, 'A tool')], [(2, 'two words')]]
    """
    passages = []
    for text in HEREDOC.finditer(source):
        passages += joined(lines_of(text.group(2), source.count("\n", 0, text.start(2)) + 1))
    source = HEREDOC.sub(lambda text: "\n" * text.group().count("\n"), source)
    comments, messages = [], []
    for token in HASH_TOKEN.finditer(source):
        number = source.count("\n", 0, token.start()) + 1
        if token.group().startswith("#"):
            comments.append((number, token.group()))
        elif is_message(token.group()[1:-1]):
            messages += joined(lines_of(token.group()[1:-1], number))
    return passages + joined(comments) + messages


def of_markdown(source):
    """Passages of Markdown: paragraphs, and the comments in blocks of code.

    >>> of_markdown('One\\nparagraph.\\n```cpp\\nint a;  // the size\\n```\\n')
    [[(4, 'the size')], [(1, 'One'), (2, 'paragraph.')]]
    """
    passages = []
    for block in FENCE.finditer(source):
        language, line = block.group(1), source.count("\n", 0, block.start(2))
        of_code = {"cpp": of_cpp, "c": of_cpp, "cmake": of_hash, "sh": of_hash, "python": of_python}.get(language)
        for passage in of_code(block.group(2)) if of_code else []:
            passages.append([(number + line, text) for number, text in passage])
    text = FENCE.sub(lambda block: "\n" * block.group().count("\n"), source)
    text = re.sub(r"`[^`]*`", lambda code: "code" + "\n" * code.group().count("\n"), text)
    for number, line in lines_of(text, 1):
        line = re.sub(r"\]\([^)]*\)", "]", line).strip()
        if line.startswith(("|", "- ", "* ", "#")) or re.match(r"\d+\. ", line):  # a row or an item is a passage
            passages.append([])
        elif not line:
            passages.append([])
            continue
        if not passages or (passages[-1] and passages[-1][-1][0] != number - 1):
            passages.append([])
        passages[-1].append((number, plain(line)))
    return [passage for passage in passages if passage]


def passages(path, source):
    """Passages of a file, by the ending of its name or its first line."""
    if path.suffix == ".md":
        return of_markdown(source)
    if path.suffix in CPP:
        return of_cpp(source)
    if path.suffix == ".py" or re.match(r"#!.*python", source):
        return of_python(source)
    if path.suffix in HASH or path.name in ("CMakeLists.txt", "Doxyfile") or re.match(r"#!.*sh\b", source):
        return of_hash(source)
    if path.name == "CMakePresets.json":
        return [[(source.count("\n", 0, text.start()) + 1, text.group(1))] for text in re.finditer(r'"([^"\n]* [^"\n]*)"', source)]
    return []
