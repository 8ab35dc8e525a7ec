"""Runs plasticity_bench for each operation, the copy and the baselines."""
import json
import pathlib
import tempfile

import programs
from spread import spread

OPERATIONS = ("copy", "forward", "backward", "step", "training")
COUNTERS = ("floor_ms_per_step", "percent_of_copy", "bytes", "flops", "gflops_per_second")
TO_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
# The stored entries of a report's context. None names a user or a folder.
CONTEXT = ("device", "cuda", "compiler", "plasticity", "num_cpus", "mhz_per_cpu", "caches")
# Patterns of the benchmarks that `--quick` and `--smoke` run.
QUICK = "^(copy/|[a-z]+/experiments/.*/plasticity/.*/warm|(forward|backward)/sweep_N/.*_N(64|128|256)_)"
SMOKE = "^(copy/32KiB|[a-z]+/cells/rnn_hard_clip_fan_out_N128_B8_T20/|[a-z]+/sweep_N/rnn_decay_N32_)"


def plain_name(name):
    """A benchmark's name without the suffixes of Google Benchmark.

    >>> plain_name("forward/experiments/rnn_decay_N256_B32_T30/loops/cpu/cold/repeats:3/manual_time")
    'forward/experiments/rnn_decay_N256_B32_T30/loops/cpu/cold'
    """
    return "/".join(part for part in name.split("/") if part not in ("manual_time", "real_time")
                    and not part.startswith(("repeats:", "min_time:")))


def digest(report):
    """Two dicts of a report: name -> spread and counters, and name -> reason of those that failed.

    >>> runs = [{"name": "step/cells/x/plasticity/cpu/warm/real_time", "run_type": "iteration", "real_time": time,
    ...          "time_unit": "ms", "ms_per_step": time, "percent_of_copy": 50 / time} for time in (2.0, 1.0, 4.0)]
    >>> runs += [{"name": "step/cells/y/z/cpu/warm", "run_type": "iteration", "error_occurred": True, "error_message": "wrong"}]
    >>> done, failed = digest({"benchmarks": runs})
    >>> done["step/cells/x/plasticity/cpu/warm"]["ms_per_step"]
    {'median': 2.0, 'low': 1.0, 'high': 4.0, 'repetitions': 3}
    >>> done["step/cells/x/plasticity/cpu/warm"]["percent_of_copy"], failed
    (25.0, {'step/cells/y/z/cpu/warm': 'wrong'})
    """
    runs, failed = {}, {}
    for entry in report["benchmarks"]:
        if entry.get("run_type") != "iteration":
            continue
        name = plain_name(entry["name"])
        if entry.get("error_occurred"):
            failed[name] = entry.get("error_message", "failed")
        else:
            runs.setdefault(name, []).append(entry)
    done = {}
    for name, entries in runs.items():
        done[name] = {"seconds": spread([each["real_time"] * TO_SECONDS[each["time_unit"]] for each in entries])}
        if "ms_per_step" in entries[0]:
            done[name]["ms_per_step"] = spread([each["ms_per_step"] for each in entries])
        if "bytes_per_second" in entries[0]:
            done[name]["bytes_per_second"] = spread([each["bytes_per_second"] for each in entries])
        for counter in COUNTERS:
            if counter in entries[0]:
                done[name][counter] = spread([each[counter] for each in entries])["median"]
    return done, failed


def read_report(path):
    """The report of a run, or its first part if the run was cut off."""
    text = path.read_text()
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(text.rstrip().rstrip(",") + "]}")


def measure(options, clock, results):
    """Runs the operations and adds `operations`, `context` and the failures to the results."""
    results["operations"] = {}
    pattern = SMOKE if options.smoke else QUICK if options.quick else "."
    for number, operation in enumerate(OPERATIONS):
        share = clock.share(1.6 / (len(OPERATIONS) - number) if number + 1 < len(OPERATIONS) else 1)
        if clock.left() < 2:
            results["left_out"].append(f"operations: {operation}: no time left")
            continue
        print(f"== {operation}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "report.json"
            command = [options.build / "bench/plasticity_bench", f"--operation={operation}",
                       f"--benchmark_filter={pattern}", f"--benchmark_out={out}", "--benchmark_out_format=json",
                       f"--benchmark_min_time={options.min_time}", f"--benchmark_repetitions={options.repetitions}",
                       "--benchmark_enable_random_interleaving=true"]
            code, errors = 0, ""
            try:
                code, _, errors = programs.run(command, share.left(3600), {"PLASTICITY_THREADS": str(options.threads)})
            except programs.OutOfTime as problem:
                results["left_out" if options.limit else "failures"].append(f"operations: {operation}: part of it, {problem}")
            except programs.Failed as problem:
                results["failures"].append(f"operations: {operation}: {problem}")
                continue
            try:
                report = read_report(out)
            except (OSError, ValueError):
                if code != 0:
                    results["failures"].append(f"operations: {operation}: {programs.last_line(errors) or f'exit code {code}'}")
                continue
        done, failed = digest(report)
        results["operations"] |= done
        results["context"] = {key: report["context"][key] for key in CONTEXT if key in report["context"]}
        results["failures"] += [f"{name}: {why}" for name, why in failed.items()]
        if code != 0 and not failed:
            results["failures"].append(f"operations: {operation}: {programs.last_line(errors)}")
        print(f"   {len(done)} benchmarks", flush=True)
    cuda = results.get("context", {}).get("cuda", "")
    if cuda.startswith("not measured"):
        results["left_out"].append(f"CUDA {cuda}")
