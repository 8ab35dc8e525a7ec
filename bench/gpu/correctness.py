"""The parts that check: parity cases, the suites of cuda_test, the sanitizers. Each suite and execution is a process of its
own, several at once, since nothing here is timed."""
import collections
import concurrent.futures
import os
import re
import shutil

from work import STICKY

EXECUTIONS = ("step", "graph", "cta", "cluster", "grid")
PRECISIONS = ("f32", "bf16")
SANITIZER_STALLS = 2  # times as long without a line: the tools slow a kernel down by a factor of ten to a hundred
FIRST_SUITES = ("CudaValues", "CudaPaths")
PARITY_SUITE = "CudaParity"  # `plasticity verify` runs the same cases
SANITIZER_TOOLS = ("memcheck", "racecheck")
# A case for each execution: a clip with a modulator, lengths, resets, an lstm, an eligibility trace.
SANITIZER_CASES = (("rnn_hard_clip_modulated", "step"), ("rnn_lengths", "graph"), ("rnn_resets", "cta"),
                   ("lstm_fan_out_2019", "cluster"), ("rnn_retroactive", "grid"))
GOOD = ("ok", "skipped")


def workers():
    return max(1, min(8, (os.cpu_count() or 2) // 2))


def listed_tests(text):
    """The full names that --gtest_list_tests prints.

    >>> listed_tests("Running main()\\nCudaValues.\\n  OddSizes\\nA/CudaPaths.\\n  Odd/step  # GetParam() = step\\n")
    ['CudaValues.OddSizes', 'A/CudaPaths.Odd/step']
    """
    tests, suite = [], ""
    for line in text.splitlines():
        name = line.split("#")[0].rstrip()
        if name.startswith("  "):
            tests.append(suite + name.strip())
        elif name.endswith("."):
            suite = name
    return tests


def suite_of(test):
    """The suite of a test, with its execution if it has one. Each runs as one process.

    >>> [suite_of(test) for test in ("CudaValues.OddSizes", "OnEvery/CudaPaths.OddSizes/grid")]
    ['CudaValues', 'CudaPaths grid']
    """
    suite, _, case = test.partition(".")
    suite, parameter = suite.rpartition("/")[2], case.rpartition("/")[2]
    return f"{suite} {parameter}" if parameter in EXECUTIONS and "/" in case else suite


def suites(tests):
    """{suite: its tests}, those first that say most."""
    groups = collections.defaultdict(list)
    for test in tests:
        groups[suite_of(test)].append(test)

    def order(suite):
        name = suite.split()[0]
        return FIRST_SUITES.index(name) if name in FIRST_SUITES else len(FIRST_SUITES)

    return dict(sorted(groups.items(), key=lambda item: order(item[0])))


def parse_google_test(output, _):
    """({test: result}, the test that had begun and not ended), also of output that is cut short.

    >>> parse_google_test("[ RUN      ] A.b\\nx.cpp:3: Failure\\nno\\n[  FAILED  ] A.b (3 ms)\\n[ RUN      ] A.c\\n", ())
    ({'A.b': {'status': 'failed', 'ms': 3, 'note': 'x.cpp:3: Failure; no'}}, 'A.c')
    """
    results, begun, said = {}, None, []
    for line in output.splitlines():
        if match := re.match(r"\[ RUN      \] (\S+)$", line):
            begun, said = match[1], []
        elif match := re.match(r"\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+).*\((\d+) ms\)$", line):
            status = {"OK": "ok"}.get(match[1], match[1].lower())
            results[match[2]] = {"status": status, "ms": int(match[3])}
            if status != "ok":
                results[match[2]]["note"] = "; ".join(text.strip() for text in said[:4] if text.strip())
                if STICKY.search("\n".join(said)):
                    results[match[2]]["fatal"] = True
                    return results, None
            begun = None
        else:
            said.append(line)
    return results, begun


def parse_verify(output, cases):
    """({case: result}, None) of `plasticity verify`, which prints a line when a case is done.

    >>> parse_verify("ok a worst grad.w 1.0e-07\\nFAIL b y at [0]: got 1 want 2\\n", ["a", "b", "c"])
    ({'a': {'status': 'ok', 'error': 1e-07}, 'b': {'status': 'failed', 'note': 'y at [0]: got 1 want 2'}}, None)
    """
    results = {}
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        name, _, rest = rest.partition(" ")
        if word == "ok" and name in cases:
            results[name] = {"status": "ok", "error": float(rest.rsplit(" ", 1)[1])}
        elif word == "FAIL" and name in cases:
            results[name] = {"status": "failed", "note": rest}
            if STICKY.search(rest):
                results[name]["fatal"] = True
                break
    return results, None


def report(part, label, results):
    """Notes the counts of a process's results, and its failures by name."""
    counts = collections.Counter(result["status"] for result in results.values())
    line = f"{label}: " + (", ".join(f"{count} {status}" for status, count in counts.items()) or "nothing ran")
    bad = {name: result for name, result in results.items() if result["status"] not in GOOD}
    if bad:
        worst = next(iter(bad))
        part.fail(f"{line}; {worst}: {bad[worst]['status']}: {bad[worst].get('note', '')}")
        for name in list(bad)[1:]:
            with part.lock:
                part.notes.append(f"{label}: {name}: {bad[name]['status']}: {bad[name].get('note', '')}")
    elif counts["ok"] == 0:
        part.fail(f"{line}: none passed")
    else:
        part.note(line)


def parity(kit, part, cases, precision, execution):
    """The parity cases by one execution in one precision."""
    files = {case.stem: case for case in cases}
    label = f"parity {precision} {execution}"
    results = part.run_items(
        label, list(files),
        lambda names: [kit.program("plasticity"), "verify", "--device", "cuda", "--precision", precision, "--execution", execution,
                       *(files[name] for name in names)],
        parse_verify, stall=kit.stall, environment=kit.environment)
    return label, results


def suite(kit, part, name, tests):
    results = part.run_items(
        name, tests, lambda names: [kit.program("cuda_test"), "--gtest_filter=" + ":".join(names)],
        parse_google_test, stall=kit.stall, environment=kit.environment)
    return name, results


def correctness(kit, part, results):
    """Parity by every execution and in both precisions, then the suites, values and executions first."""
    groups = suites([test for test in kit.tests if PARITY_SUITE not in test])
    results["parity"], results["suites"] = {}, {}
    with concurrent.futures.ThreadPoolExecutor(workers()) as pool:
        jobs = [pool.submit(parity, kit, part, kit.cases, precision, execution)
                for precision in PRECISIONS for execution in EXECUTIONS]
        jobs += [pool.submit(suite, kit, part, name, tests) for name, tests in groups.items()]
        jobs += [pool.submit(peers_parity, kit, part)]
        for job in concurrent.futures.as_completed(jobs):
            name, found = job.result()
            if found:
                report(part, name, found)
            results["parity" if name.startswith("parity ") else "suites"][name] = found
            kit.save()


def peers_parity(kit, part):
    """The parity cases by the PyTorch networks that `figures` times."""
    python, told = kit.python_with_torch(part)
    label = "PyTorch's networks"
    if python is None:
        part.note(f"{label}: not run: {told}")
        return label, {}
    outcome = part.run(label, [python, kit.root / "bench/peers/check.py", "--device", "cuda"], environment=kit.peer_environment)
    found = {}
    for line in outcome.output.splitlines():
        words = line.split()
        if words and words[0] in ("ok", "FAIL") and len(words) > 2:
            found[f"{words[1]} {words[2]}"] = {"status": "ok" if words[0] == "ok" else "failed", "note": line}
    if outcome.status != "ok":
        found["all"] = {"status": outcome.status, "note": outcome.last_error()}
    return label, found


def find_tool(name):
    """A tool of the CUDA toolkit, or None."""
    homes = [os.environ.get(variable) for variable in ("CUDA_HOME", "CUDA_PATH")]
    folders = [f"{home}/bin" for home in homes if home] + ["/usr/local/cuda/bin"]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))


def sanitizer_tests(tests):
    """The five tests, an execution each."""
    return [test for case, execution in SANITIZER_CASES for test in tests if test.endswith(f"/{case}_f32_{execution}")]


def parse_sanitizer(text):
    """The last summary of a sanitizer, and its number of errors.

    >>> parse_sanitizer("========= ERROR SUMMARY: 0 errors\\n"), parse_sanitizer("== RACECHECK SUMMARY: 2 hazards displayed\\n")
    (('0 errors', 0), ('2 hazards displayed', 2))
    >>> parse_sanitizer("========= Invalid __global__ read of size 4 bytes\\n=========     at 0x")
    ('Invalid __global__ read of size 4 bytes', 1)
    >>> parse_sanitizer("")
    (None, None)
    """
    summaries = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", text)
    if summaries:
        count = re.match(r"\d+", summaries[-1])
        return summaries[-1], int(count[0]) if count else None
    said = re.findall(r"^=+ ((?:Invalid|Error|Warning|Race|Potential|Program hit).*)$", text, re.MULTILINE)
    return (said[0], len(said)) if said else (None, None)


def sanitize(kit, part, program, tool, tests):
    """One tool over the tests; they run in one process. Its reports count even if it is cut off."""
    said = []

    def parse(output, items):
        said.append(parse_sanitizer(output))
        return parse_google_test(output, items)

    found = part.run_items(tool, tests,
                           lambda names: [program, "--tool", tool, "--error-exitcode", "99", kit.program("cuda_test"),
                                          "--gtest_filter=" + ":".join(names)],
                           parse, stall=SANITIZER_STALLS * kit.stall, environment=kit.environment)
    errors = sum(count or 0 for _, count in said)
    summary = "; ".join(text for text, _ in said if text) or "no summary"
    return tool, {"tests": found, "errors": errors, "summary": summary}


def sanitizers(kit, part, results):
    program = find_tool("compute-sanitizer")
    if program is None:
        return part.fail("no compute-sanitizer in PATH, $CUDA_HOME/bin or /usr/local/cuda/bin", "missing")
    tests = sanitizer_tests(kit.tests)
    if len(tests) != len(SANITIZER_CASES):
        part.fail(f"expected {len(SANITIZER_CASES)} tests for the sanitizers, found {', '.join(tests) or 'none'}")
    results["sanitizers"] = {}
    with concurrent.futures.ThreadPoolExecutor(len(SANITIZER_TOOLS)) as pool:
        for job in concurrent.futures.as_completed(
                [pool.submit(sanitize, kit, part, program, tool, tests) for tool in SANITIZER_TOOLS]):
            tool, found = job.result()
            results["sanitizers"][tool] = found
            report(part, f"{tool}: {found['summary']}", found["tests"])
            if found["errors"]:
                part.fail(f"{tool}: {found['errors']} errors: {found['summary']}")
            kit.save()
