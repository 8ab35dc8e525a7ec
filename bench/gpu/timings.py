"""The parts that measure: device ceilings, the library's times, its operations, PyTorch's times, Nsight Compute."""
import csv
import io
import json

from correctness import EXECUTIONS, find_tool
from work import STICKY

SIZES = ((64, 64), (200, 30), (256, 64), (512, 32), (1000, 1), (1024, 16))  # N, B
SMALL = ((64, 64), (200, 30))
STEPS = 50
LSTM_INPUTS = 40
COMPILE_STALLS = 2  # times as long without a line: torch.compile takes its time
TUNE_SHARE = 0.5  # of the time left for a part that `plasticity tune` measures; plans and the fit take time too
ARRIVALS = ("barrier", "counted")  # of values from other blocks
MODES = ("published", "eager", "graph", "compile")


def configuration(cell, rule, rate, alpha, neurons, batch, inputs=0, steps=STEPS):
    """A timed configuration: a name, N, B, and the options that the library and PyTorch take."""
    options = {"cell": cell, "rule": rule, "rate": rate, "alpha": alpha, "neurons": neurons, "batch": batch,
               "steps": steps, "inputs": inputs}
    name = f"{cell} {rule} {rate} N {neurons} B {batch}" + (f" T {steps}" if steps != STEPS else "")
    return {"name": name, "neurons": neurons, "batch": batch,
            "options": " ".join(f"--{option} {value}" for option, value in options.items())}


def configurations(sizes=SIZES):
    for rule, rate in (("hard_clip", "fan_out"), ("decay", "fixed")):
        for neurons, batch in sizes:
            yield configuration("rnn", rule, rate, "connection", neurons, batch)
    yield configuration("lstm", "hard_clip", "fan_out", "post", 200, 30, LSTM_INPUTS)


def variants(each, precisions=("f32",), executions=("automatic", *EXECUTIONS), extra=""):
    """A configuration by every execution: entries of results["times"], whose "line" `plasticity times` reads."""
    for precision in precisions:
        for execution in executions:
            entry = {key: each[key] for key in ("name", "neurons", "batch")} | {"precision": precision, "execution": execution}
            if extra:
                entry["extra"] = extra
            options = f"{each['options']} --device cuda --precision {precision} --execution {execution} {extra}"
            yield entry | {"line": options.strip()}


def parse_lines(output, lines):
    """({line: result}, None): a line of JSON for each line of input, in order; the last may be cut short.

    >>> parse_lines('{"error": "no room"}\\n{"ms": 2}\\n{"m', ["a", "b", "c"])
    ({'a': {'status': 'failed', 'note': 'no room'}, 'b': {'status': 'ok', 'ms': 2}}, None)

    After an error that the context does not survive, later results do not count:
    >>> parse_lines('{"error": "cudaErrorIllegalAddress"}\\n{"error": "cudaErrorIllegalAddress"}\\n', ["a", "b"])
    ({'a': {'status': 'failed', 'note': 'cudaErrorIllegalAddress', 'fatal': True}}, None)
    """
    results, pending = {}, iter(lines)
    for text in output.splitlines():
        if not text.startswith("{"):
            continue
        try:
            result = json.loads(text)
        except ValueError:
            break
        line = next(pending, None)
        if line is None:
            break
        if "error" in result:
            results[line] = {"status": "failed", "note": result["error"]}
            if STICKY.search(result["error"]):
                results[line]["fatal"] = True
                break
        else:
            results[line] = {"status": "ok", **result}
    return results, None


def refused(note):
    """Whether an execution was refused because the configuration does not fit it, which is no fault."""
    return note.startswith("options.execution: expected one that fits")


def with_result(part, entry, label, result):
    """The entry with its result or its error. An error is noted under the label."""
    if result["status"] == "ok":
        return entry | {"result": {key: value for key, value in result.items() if key != "status"}}
    if result["status"] == "failed" and refused(result["note"]):
        return entry | {"error": result["note"], "refused": True}
    part.fail(f"{label}: {result['status']}: {result['note']}")
    return entry | {"error": result["note"]}


def time_entries(kit, part, label, entries, results, variables=()):
    """Times the entries in one process, with these environment variables, and files them in results["times"]."""
    by_line = {entry["line"]: entry for entry in entries}
    suffix = f" --seconds {kit.seconds}"
    found = part.run_items(
        label, list(by_line), lambda lines: [kit.program("plasticity"), "times"], parse_lines, stall=kit.stall,
        text=lambda lines: "".join(line + suffix + "\n" for line in lines), environment=kit.environment | dict(variables))
    for line, result in found.items():
        entry = {key: value for key, value in by_line[line].items() if key != "line"}
        label_of_entry = f"{entry['name']} {entry['precision']} {entry['execution']}"
        results.setdefault("times", []).append(with_result(part, entry, label_of_entry, result))
    timed = sum(result["status"] == "ok" for result in found.values())
    part.note(f"{label}: {timed} of {len(by_line)} timed")
    kit.save()


def times_small(kit, part, results):
    """Small sizes by every execution, in f32 and bf16."""
    time_entries(kit, part, "small sizes", [entry for each in configurations(SMALL)
                                            for entry in variants(each, ("f32", "bf16"))], results)


def times(kit, part, results):
    """All sizes by every execution, f32 first."""
    time_entries(kit, part, "all sizes", [entry for precision in ("f32", "bf16") for each in configurations()
                                          for entry in variants(each, (precision,))], results)


def measurements(kit, part, results):
    """Measurements for the planner's constants: the interval between checkpoints, and the cost outside the steps."""
    entries = []
    for neurons, batch in ((1024, 16), (256, 64)):
        each = configuration("rnn", "hard_clip", "fan_out", "connection", neurons, batch)
        for interval in (1, 8):
            entries += variants(each, executions=("graph",), extra=f"--checkpoint-interval {interval}")
    for neurons, batch in ((256, 64), (1000, 1)):
        for steps in (STEPS, 400):
            each = configuration("rnn", "hard_clip", "fan_out", "connection", neurons, batch, steps=steps)
            entries += variants(each, executions=("graph", "cluster", "grid"))
    time_entries(kit, part, "checkpoints and lengths", entries, results)


def alternatives(kit, part, results):
    """A kit of a tuning build: the resident kernels with each exchange between their blocks."""
    if not kit.about.get("alternatives"):
        return part.note("left out: the kit has no alternatives, see --tuning of ./run gpu-kit")
    for arrival in ARRIVALS:
        entries = [entry | {"extra": f"arrivals: {arrival}"} for each in configurations()
                   for entry in variants(each, executions=("cluster", "grid"))]
        time_entries(kit, part, f"arrivals: {arrival}", entries, results, variables={"PLASTICITY_ARRIVAL": arrival})


def tune(kit, part, results):
    """The constants by which the planner chooses, and the times that they were fitted to, in OUT/tuning.json."""
    file = kit.out / "tuning.json"
    given = max(1, int(TUNE_SHARE * part.left()))
    outcome = part.run("tune", [kit.program("plasticity"), "tune", file, "--seconds", given], environment=kit.environment)
    if outcome.status != "ok":
        return part.fail(f"tune: {outcome.status}: {outcome.last_error()}", outcome.status)
    lines = [line for line in outcome.output.splitlines() if "error of the estimates" in line]
    results["tune"] = {"file": file.name, "summary": lines[-1] if lines else ""}
    if not file.exists() or not lines:
        return part.fail("tune: no constants in its output")
    part.note(f"{lines[-1]} ({file.name})")


def ceilings(kit, part, results):
    """The best rates of the device."""
    outcome = part.run("device ceilings", [kit.program("device_ceilings")], stall=kit.stall, environment=kit.environment)
    measured = parse_members(outcome.output)
    if measured:
        results["ceilings"] = measured
    if outcome.status != "ok":
        part.fail(f"device ceilings: {outcome.status}: {outcome.last_error()}; {len(measured)} numbers kept", outcome.status)
    elif "copy" not in measured:
        part.fail("device ceilings: no numbers in its output")
    else:
        part.note(f"{len(measured)} numbers")


def exchange(kit, part, results):
    """The cost of an exchange between blocks, by each way that a resident kernel could use."""
    outcome = part.run("exchange", [kit.program("device_ceilings"), "--exchange"], stall=kit.stall, environment=kit.environment)
    results["exchange"] = parse_members(outcome.output)
    if outcome.status != "ok":
        part.fail(f"exchange: {outcome.status}: {outcome.last_error()}; {len(results['exchange'])} numbers kept", outcome.status)
    for key, value in results["exchange"].items():
        if not key.endswith("_skipped"):
            part.note(f"{key} {value if value is not None else results['exchange'].get(key + '_skipped')}")


def parse_members(output):
    """The members of the JSON object that device_ceilings prints, one per line, as many as are whole.

    >>> parse_members('{"a": 1}\\n{"copy": [{"b": 2}]}\\n{"c')
    {'a': 1, 'copy': [{'b': 2}]}
    """
    members = {}
    for line in output.splitlines():
        try:
            members.update(json.loads(line))
        except ValueError:
            continue
    return members


def operations_of(group):
    def run(kit, part, results):
        """The operations of bench/, the cuBLAS baseline beside the library's, each checked and then timed."""
        words = ["--group", group] if group else []
        outcome = part.run("operations", [kit.program("gpu_operations"), "--seconds", kit.seconds, *words], stall=kit.stall,
                           environment=kit.environment)
        found = [json.loads(line) for line in outcome.output.splitlines() if line.startswith("{") and line.endswith("}")]
        results["operations"] = found
        for line in found:
            if "error" in line:
                part.fail(f"{line['operation']} {line['case']} {line['contender']}: {line['error']}")
        if not outcome.ended:
            last = f"{found[-1]['operation']} {found[-1]['case']}" if found else "the start"
            if outcome.status == "cut off":
                part.out_of_time(f"operations after {last}")
            else:
                part.fail(f"operations: {outcome.status} after {last}: {outcome.why}")
        elif outcome.status == "failed" and not any("error" in line for line in found):
            part.fail(f"operations: {outcome.last_error()}")
        part.note(f"{len(found)} operations")
    return run


def peers(kit, part, results):
    """PyTorch: all configurations and modes in one process; compiling, which takes longest, comes last."""
    python, told = kit.python_with_torch(part)
    if python is None:
        return part.fail(f"no PyTorch that sees the GPU: {told}", "missing")
    part.note(f"torch {told}")
    results["torch"] = told
    names = {}
    for mode in MODES:
        for each in configurations():
            names[f"{each['options']} --device cuda --mode {mode}"] = (each["name"], mode)
    found = part.run_items(
        "PyTorch", list(names), lambda lines: [python, kit.root / "bench/peers/eager.py", "--lines"], parse_lines,
        stall=COMPILE_STALLS * kit.stall, text=lambda lines: "".join(f"{line} --seconds {kit.seconds}\n" for line in lines),
        environment=kit.peer_environment)
    results["peers"] = [with_result(part, dict(zip(("name", "mode"), names[line])), " ".join(names[line]), result)
                        for line, result in found.items()]
    part.no_time = [f"PyTorch: {' '.join(names.get(what.partition(': ')[2], (what,)))}" for what in part.no_time]
    part.note(f"PyTorch: {sum('result' in entry for entry in results['peers'])} of {len(names)} timed")


# A kernel of each kind: its label, its name, the execution and the size that run it.
KERNELS = (("step forward", "^forward_kernel$", "graph", (1024, 16)), ("step backward", "^backward_kernel$", "graph", (1024, 16)),
           ("resident forward", "^resident_forward_kernel$", "cta", (200, 30)),
           ("resident backward", "^resident_backward_kernel$", "cta", (200, 30)))
METRICS = (
    "sm__issue_active.avg.pct_of_peak_sustained_active", "smsp__inst_executed.sum", "gpu__time_duration.sum",
    "dram__bytes.sum", "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "lts__t_sectors_op_write.sum", "lts__t_sectors_op_read.sum",
    *(f"smsp__average_warps_issue_stalled_{reason}_per_issue_active.ratio"
      for reason in ("long_scoreboard", "barrier", "membar", "short_scoreboard")))


def parse_ncu(output):
    """{kernel: {metric: value}} of `ncu --csv`; only the first launch of a kernel counts.

    >>> parse_ncu('==PROF== x\\n"ID","Kernel Name","Metric Name","Metric Value"\\n"0","f(int)","dram__bytes.sum","1,024"\\n')
    {'f(int)': {'dram__bytes.sum': 1024.0}}
    """
    lines = output.splitlines()
    first = next((k for k, line in enumerate(lines) if line.startswith('"ID"')), None)
    found, ids = {}, {}
    if first is None:
        return found
    for row in csv.DictReader(io.StringIO("\n".join(line for line in lines[first:] if line.startswith('"')))):
        kernel = row.get("Kernel Name")
        if kernel is None or ids.setdefault(kernel, row["ID"]) != row["ID"]:
            continue
        try:
            found.setdefault(kernel, {})[row["Metric Name"]] = float(row["Metric Value"].replace(",", ""))
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    return found


def profiler(kit, part, results):
    """Four kernels under Nsight Compute, two launches each after the first."""
    program = find_tool("ncu")
    if program is None:
        return part.fail("no ncu in PATH, $CUDA_HOME/bin or /usr/local/cuda/bin", "missing")
    results["ncu"] = []
    for number, (label, kernel, execution, (neurons, batch)) in enumerate(KERNELS):
        if part.left() < 3:
            part.out_of_time(f"ncu: {label}")
            continue
        each = configuration("rnn", "hard_clip", "fan_out", "connection", neurons, batch)
        entry = next(iter(variants(each, executions=(execution,))))
        outcome = part.run(
            f"ncu {label}", [program, "--csv", "--clock-control", "none", "--graph-profiling", "node", "--kernel-name",
                             f"regex:{kernel}", "--launch-skip", "1", "--launch-count", "2", "--metrics",
                             ",".join(METRICS), kit.program("plasticity"), "time", *entry["line"].split(), "--seconds", "0"],
            part.left() / (len(KERNELS) - number), environment=kit.environment)
        found = parse_ncu(outcome.output)
        results["ncu"].append({"kernel": label, "name": entry["name"], "execution": execution, "launches": found})
        if outcome.status != "ok" or not found:
            part.fail(f"ncu {label}: {outcome.status}: {outcome.last_error()}; {len(found)} kernels measured")
        else:
            part.note(f"ncu {label}: {len(found)} kernels")
        kit.save()
