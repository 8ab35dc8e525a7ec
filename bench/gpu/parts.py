"""The parts of bench/gpu/run: what each runs, and what it makes of the answers. A part adds to `results`."""
import json
import os
import re
import shutil
import sys

from part import ROOT

SIZES = ((64, 64), (200, 30), (256, 64), (512, 32), (1000, 1), (1024, 16))  # N, B
STEPS = 50
LSTM_INPUTS = 40
SANITIZER_TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
# Small tests: the tools slow a kernel down by a factor of ten to a hundred.
SANITIZER_FILTER = "CudaValues.ParityCases:CudaValues.EmptySizes:CudaValues.MisalignedTensors:CudaSameBits.ForStepsOneByOne"


def configurations():
    """What steps and peers time: a name, N, B, and the options that both programs take."""
    for neurons, batch in SIZES:
        for rule, rate in (("hard_clip", "fan_out"), ("decay", "fixed")):
            yield configuration("rnn", rule, rate, "connection", neurons, batch, 0)
    yield configuration("lstm", "hard_clip", "fan_out", "post", 200, 30, LSTM_INPUTS)


def configuration(cell, rule, rate, alpha, neurons, batch, inputs):
    options = {"cell": cell, "rule": rule, "rate": rate, "alpha": alpha, "neurons": neurons, "batch": batch,
               "steps": STEPS, "inputs": inputs}
    return {"name": f"{cell} {rule} {rate} N {neurons} B {batch}", "neurons": neurons, "batch": batch,
            "arguments": [word for name, value in options.items() for word in (f"--{name}", str(value))]}


def ceilings(part, options, results):
    measured, _ = part.json("device", [options.build / "bench/device_ceilings"])
    if measured:
        results["ceilings"] = measured


def google_test_counts(output):
    """Counts of the lines of a GoogleTest program, and the names of what failed: it may have been cut short."""
    found = re.findall(r"^\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+)[^\n]*\(\d+ ms\)$", output, re.MULTILINE)
    counts = {word: sum(state == key for state, _ in found)
              for word, key in (("passed", "OK"), ("failed", "FAILED"), ("skipped", "SKIPPED"))}
    return counts | {"failures": [name for state, name in found if state == "FAILED"]}


def tests(part, options, results):
    results["tests"] = {}
    report = part.logs / "cuda_test.json"
    done = part.run("cuda_test", [options.build / "tests/cuda_test", f"--gtest_output=json:{report}"], 0.7 * part.left())
    output = (part.logs / "tests.cuda_test.out").read_text(errors="replace")
    counts = google_test_counts(output)
    results["tests"]["cuda_test"] = counts
    line = f"cuda_test: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    if done is None:
        part.note(line)
    elif done[0] != 0 or counts["failed"]:
        part.fail(f"{line}; {', '.join(counts['failures'][:4]) or done[2]}")
    elif counts["passed"] == 0:
        part.fail(f"{line}: none has run")
    else:
        part.note(line)
    cases = sorted((ROOT / "tests/data/parity").glob("*.safetensors"))
    for precision in ("f32", "bf16"):
        done = part.run(f"verify_{precision}",
                        [options.build / "plasticity", "verify", "--device", "cuda", "--precision", precision, *cases])
        if done is None:
            continue
        code, output, problem = done
        last = output.strip().splitlines()[-1] if output.strip() else problem
        failures = [line.split()[1] for line in output.splitlines() if line.startswith("FAIL ")]
        results["tests"][f"verify_{precision}"] = {"summary": last, "failures": failures, "exit_code": code}
        (part.note if code == 0 else part.fail)(f"verify {precision}: {last}" + "".join("; " + f for f in failures[:4]))


def steps(part, options, results):
    results["steps"] = []
    for precision, paths in (("f32", ("automatic", "step", "graph")), ("bf16", ("automatic",))):
        for each in configurations():
            for path in paths:
                result, problem = part.json(
                    f"{each['name']} {precision} {path}".replace(" ", "_"),
                    [options.build / "plasticity", "time", "--device", "cuda", *each["arguments"], "--precision", precision,
                     "--path", path, "--seconds", str(options.seconds)], 30)
                entry = {"name": each["name"], "neurons": each["neurons"], "batch": each["batch"], "precision": precision,
                         "path": path}
                results["steps"].append(entry | ({"result": result} if result else {"error": problem}))


def python_with_torch(part):
    """A Python whose PyTorch sees the GPU, or None and the reasons."""
    candidates = [os.environ.get("PYTHON"), sys.executable, shutil.which("python3"), shutil.which("python"),
                  "/usr/bin/python3"]
    reasons = []
    for number, python in enumerate(dict.fromkeys(filter(None, candidates))):
        done = part.run(f"torch_{number}", [python, "-c", "import torch; print(torch.__version__, torch.cuda.is_available())"],
                        60)
        if done is None or done[0] != 0:
            reasons.append(f"{python}: {'out of time' if done is None else done[2]}")
        elif "True" in done[1]:
            return python, done[1].split()[0]
        else:
            reasons.append(f"{python}: torch {done[1].split()[0]} sees no GPU")
    return None, "; ".join(reasons)


def peers(part, options, results):
    python, told = python_with_torch(part)
    if python is None:
        return part.fail(f"no PyTorch that sees the GPU: {told}", "missing")
    part.note(f"torch {told}")
    results["torch"], results["peers"] = told, []
    done = part.run("check", [python, ROOT / "bench/peers/check.py", "--device", "cuda"], 40)
    if done is not None:
        last = done[1].strip().splitlines()[-1] if done[1].strip() else done[2]
        results["peers_check"] = last
        (part.note if done[0] == 0 else part.fail)(f"parity cases: {last}")
    for each in configurations():
        name = each["name"].replace(" ", "_")
        done = part.run(name, [python, ROOT / "bench/peers/eager.py", "--device", "cuda", *each["arguments"],
                               "--seconds", str(options.seconds), "--mode", "published,eager,graph"], 60)
        entry = {"name": each["name"]}
        if done is None:
            entry["error"] = "out of time"
        else:
            code, output, problem = done
            try:  # of several modes the possible ones are printed
                entry["results"] = {result["configuration"]["mode"]: result for result in json.loads(output)}
            except ValueError:
                pass
            if code != 0:
                entry["error"] = problem
                part.fail(f"{name}: {problem}")
        results["peers"].append(entry)


def find_sanitizer():
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    folders = [f"{home}/bin" for home in homes if home] + ["/usr/local/cuda/bin"]
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=os.pathsep.join(folders))


def sanitizers(part, options, results):
    program = find_sanitizer()
    if program is None:
        return part.fail("no compute-sanitizer in PATH, $CUDA_HOME/bin or /usr/local/cuda/bin", "missing")
    results["sanitizers"] = {}
    for number, tool in enumerate(SANITIZER_TOOLS):
        done = part.run(tool, [program, "--tool", tool, "--error-exitcode", "99", options.build / "tests/cuda_test",
                               f"--gtest_filter={options.sanitizer_filter}"], part.left() / (len(SANITIZER_TOOLS) - number))
        if done is None:
            results["sanitizers"][tool] = "out of time"
            continue
        code, output, problem = done
        counts = google_test_counts(output)
        summaries = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", output)
        summary = summaries[-1] if summaries else problem
        line = f"{tool}: {summary}, over {counts['passed']} tests"
        results["sanitizers"][tool] = {"summary": summary, "exit_code": code, **counts}
        if code == 0 and counts["passed"] > 0:
            part.note(line)
        else:
            part.fail(line + (f" ({counts['failed']} failed, {counts['skipped']} skipped)" if code == 0 or counts["failed"]
                              else ""))
