#!/usr/bin/env python3
"""Reports sentences that are hard to read: comments, docstrings, messages and Markdown.

`plain_words.py [PATHS]` prints FILE:LINE: PATTERN: REMEDY: TEXT for each, and exits 1 if there is one. Without PATHS it reads
every file of the repository. A line that contains "plain-words: allow" is not reported. CONTRIBUTING.md has the style in half
a page.
"""
import argparse
import bisect
import pathlib
import re
import subprocess
import sys

import prose

ROOT = pathlib.Path(__file__).resolve().parents[2]

ASKING = (r"(?:says?|said|states?|sees?|seen|shows?|knows?|decides?|determines?|tells?|explains?|describes?|defines?"
          r"|checks?|lists?|documents?|chooses?|specifies|specify|prints?|reports?|matter|learns?|understand|about|on)")
PLACE = (r"(?:places?|points?|positions?|address(?:es)?|folders?|director(?:y|ies)|files?|lines?|rows?|columns?|index"
         r"|ind(?:ex|ices)|elements?|regions?|sections?|tables?|pages?|kinks?|boundar(?:y|ies)|steps?|everywhere|examples?)")
UNIT = (r"(?:step|thread|sequence|block|neuron|sample|connection|column|row|element|launch|case|iteration|episode|warp"
        r"|call|rule|second|cell|group|vector|trace|multiprocessor|gate|segment|tile|folder|file|line|seed|batch)")
COUNTED = (r"(?:bytes|columns|threads|rows|samples|elements|vectors|floats|registers|ms|ns|µs|MB|GB|KB|seconds"
           r"|milliseconds|neurons|tensors|weights|bits|numbers|instructions|operations|flops|sums|products)")
NOT_A_NOUN = (r"(?:at|of|in|on|for|as|with|is|has|had|per|to|by|from|after|before|and|or|than|that|was|are|if|over|into"
              r"|without|through|within|at|makes?|reads?|writes?|needs?|takes?|runs?|holds?|has|adds?|gets?|sees?|under|a|an|the)")
NUMBER = r"(?:one|two|three|four|eight|sixteen|\d+|many|few|fewer|several|number of)"

# name: (regular expressions, remedy). "(?i:" ignores case where a sentence may begin.
PATTERNS = {
    "headless-what": (
        [r"\b[Ww]hat\b(?! (?:if|kind|sort)\b)(?![^.]*\?)"],
        "name the thing: inputs, outputs, the chosen kernel"),
    "where-condition": (
        [r"\b[Ww]here\b(?![^.]*\?)(?!(?: the| it| they)?(?: \w+)? (?:goes|go|begins?|starts?|ends?)\b)"],
        'write "if" or "when" for a condition'),
    "missing-per": (
        [rf"\b{NUMBER} (?!{NOT_A_NOUN} )(?:[\w-]+ )?(?!{NOT_A_NOUN} )[\w-]+ an? (?:[\w-]+ )?{UNIT}\b(?! time)",
         rf"(?i:\bone) an? (?:[\w-]+ )?{UNIT}\b",
         rf"\b{COUNTED} an? {UNIT}\b"],
        'write "per": one launch per step'),
    "talking-object": (
        [r"(?i:\b(?:nobody|no one|whoever|whichever one|everyone|anyone|somebody|someone)\b)",
         r"\bknows?\b", r"\b(?:is|was|are|were|be) (?:told|asked)\b", r"\bunless (?:told|asked|said)\b",
         r"\bsays? (?:so|no|nothing)\b", r"\b(?:is|are|was) said\b"],
        "say which code checks, reads, depends on or returns the value"),
    "homemade-verb": (
        [r"(?i:\b(?:stands?|stood|standing)\b)(?! for\b|ard|-)", r"(?i:\blook(?:s|ed|ing)? (?:at|into)\b)",
         r"(?i:\bwork(?:s|ed|ing)? out\b)", r"(?i:\b(?:goes|go|went|going|gone) by\b)",
         r"(?i:\b(?:gives|gave)\b(?! up))", r"(?i:\bheld against\b)", r"(?i:\b(?:comes?|came) (?:of|by)\b)",
         r"(?i:\bgo(?:es)? on\b)", r"(?i:\bput(?:s|ting)? (?:down|by)\b)"],
        "use the field's verb: returns, is stored, reads, computes, continues"),
    "alias-euphemism": (
        [r"\b(?:takes?|took|taken)\b(?: the| its| their)?(?: \S+){0,2}? place\b(?= of)", r"\btakes? \S+'s? place\b"],
        'write "may alias"'),
    "fronted-of": (
        [r"(?:^|(?<=[.:;] ))Of (?:the|a|an|all|its|those|these|each|every|what|which|two|several|[a-z]+s)\b"],
        "put the subject first"),
    "that-is-none": (
        [r"\b(?:that|which) (?:is|are|was|were) none\b"],
        "write unknown, missing or invalid"),
    "floating-pronoun": (
        [r"(?i:\b(?:does|do|did|done|doing) so\b)", r"\b(?<!is )(?<!are )the same(?= ?[.,;:)]|$)(?!, )"],
        "repeat the noun or the verb"),
    "clause-train": (
        [r"(?=[^.!?\[=]{140,})\b[^.!?\[=]*?[;:] [^.!?\[=]*?; [^.!?\[=]*?[;:] [^.!?\[=]*"],
        "write one fact per sentence"),
}
COMPILED = {name: ([re.compile(pattern) for pattern in patterns], remedy) for name, (patterns, remedy) in PATTERNS.items()}

# What may precede "what" and "where": an indirect question, or a place.
BEFORE_WHAT = re.compile(rf"\b{ASKING}(?: \w+)?,? $")
BEFORE_WHERE = re.compile(rf"\b(?:{ASKING}|{PLACE}),? $|(?:torch|np|numpy|jnp)\.$|[=)\]],? $")
FORMULA = re.compile(r"where \S{1,3} (?:=|is|are)\b|where \w+(?: [-+*/·] ?\w+)+ is\b")


def findings(passage):
    """(line, pattern, remedy, text) of every hit in a passage, which is a list of (line, text).

    >>> [hit[:2] for hit in findings([(7, "Returns what the kernel"), (8, "gives, one launch a step.")])]
    [(7, 'headless-what'), (8, 'missing-per'), (8, 'homemade-verb')]
    >>> hits = lambda text: [hit[1] for hit in findings([(1, text)])]
    >>> hits("Uses the cluster where it fits."), hits("the row where it begins"), hits("y = w x, where w is a weight")
    (['where-condition'], [], [])
    >>> hits("says what went wrong"), hits("What is a trace?"), hits("two columns per thread"), hits("two columns a thread")
    ([], [], [], ['missing-per'])
    >>> hits("one at a step"), hits("nobody asks for it"), hits("x may take the place of y"), hits("stands for a rate")
    ([], ['talking-object'], ['alias-euphemism'], [])
    >>> hits("Of the tensors only w is read"), hits("a name that is none"), hits("does so again"), hits("the same bits")
    (['fronted-of'], ['that-is-none'], ['floating-pronoun'], [])
    """
    text, starts, lines = "", [], []
    for number, line in passage:
        starts.append(len(text))
        lines.append(number)
        text += line + " "
    for name, (patterns, remedy) in COMPILED.items():
        end = 0  # of the previous hit of this pattern
        for hit in sorted((hit for pattern in patterns for hit in pattern.finditer(text.rstrip())), key=re.Match.start):
            if hit.start() >= end:
                end = hit.end()
                before, after = text[:hit.start()], text[hit.start():]
                if name == "clause-train" and (text.startswith("|") or "Throws" in hit.group()):  # a table, a list
                    continue
                if name == "headless-what" and BEFORE_WHAT.search(before):
                    continue
                if name == "where-condition" and (BEFORE_WHERE.search(before) or FORMULA.match(after)):
                    continue
                shown = text[max(0, hit.start() - 25):hit.end() + 25].strip()
                yield lines[bisect.bisect_right(starts, hit.start()) - 1], name, remedy, shown


def files_of(paths):
    """Files of the repository, or those at or below `paths`, without data and licences."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *paths], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    skipped = ("tests/data/", "tests/style/", "bench/results/2", "LICENSE", "tests/simt/mutants.txt")
    return [pathlib.Path(name) for name in listed.splitlines() if not name.startswith(skipped) and (ROOT / name).is_file()]


def check(file):
    """Hits in one file, sorted by line."""
    try:
        source = (ROOT / file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    allowed = {k for k, line in enumerate(source.split("\n"), 1) if "plain-words: allow" in line}
    hits = [hit for passage in prose.passages(file, source) for hit in findings(passage)]
    return sorted(hit for hit in hits if hit[0] not in allowed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=pathlib.Path, metavar="PATH")
    paths = [path.resolve() for path in parser.parse_args().paths]
    for path in paths:
        if not (path.exists() and path.is_relative_to(ROOT)):
            parser.error(f"expected files or folders of {ROOT}, got {path}")
    lines = [f"{file}:{line}: {name}: {remedy}: {text}" for file in files_of(paths) for line, name, remedy, text in check(file)]
    print("".join(line + "\n" for line in lines), end="")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
