"""Times the library and its peers. They take turns round by round, so that noise affects all of them."""
import json
import os
import pathlib

import programs
from programs import ROOT, Failed, OutOfTime, Paced
from spread import paired_ratio, spread

PEERS = ROOT / "bench/peers"
OURS = "plasticity"
# name -> framework, program, mode. `graph` needs a GPU.
CONTENDERS = {
    "torch published": ("torch", "eager.py", "published"),
    "torch eager": ("torch", "eager.py", "eager"),
    "torch compile": ("torch", "eager.py", "compile"),
    "torch graph": ("torch", "eager.py", "graph"),
    "torch package": ("torch", "eager.py", "package"),
    "jax scan": ("jax", "jax_scan.py", "scan"),
    "jax package": ("jax", "jax_scan.py", "package"),
    "sparxml": ("sparx", "jax_scan.py", "sparx"),
}
ROUND_LIMIT = 240  # seconds: torch.compile may take minutes before its first


def find_frameworks(pythons, clock):
    """Two dicts: framework -> (python, version), and framework -> reason if no Python has it. Paths are printed, not stored."""
    found, missing = {}, {}
    for framework in ("torch", "jax", "sparx"):
        for python in pythons:
            try:
                code, output, errors = programs.run(
                    [python, "-c", f"import {framework}; print({framework}.__version__)"], clock.left(90))
                reason = programs.last_line(errors)
            except Failed as problem:
                code, reason = 1, str(problem).removeprefix(f"{python}: ")
            if code == 0:
                found[framework] = (python, programs.last_line(output))
                missing.pop(framework, None)
                break
            print(f"   {framework}: {python}: {reason}", flush=True)
            missing[framework] = f"{pathlib.Path(python).name}: {reason}"
    return found, missing


def check_peers(found, clock):
    """Runs the parity cases in each framework: framework -> last line of check.py."""
    checked = {}
    for framework, (python, _) in found.items():
        try:
            code, output, errors = programs.run([python, PEERS / "check.py", "--peer", framework], clock.left(120))
            checked[framework] = (code == 0, programs.last_line(output) or programs.last_line(errors))
        except Failed as problem:
            checked[framework] = (False, str(problem))
    return checked


def check_ours(options, clock, results, cases, device):
    """Compares the library's outputs and gradients at the sizes of some cases with the reference."""
    names = "|".join(case["name"] for case in cases)
    command = [options.build / "bench/plasticity_bench", "--benchmark_min_time=0",
               f"--benchmark_filter=^(forward|backward)/{cases[0]['group']}/({names})/{OURS}/{device}/warm"]
    code, output, errors = programs.run(command, clock.left(600), {"PLASTICITY_THREADS": str(options.threads)})
    if code != 0:
        wrong = [line for line in output.splitlines() if "ERROR" in line] or [programs.last_line(errors)]
        results["failures"] += wrong
    return code == 0


def commands(case, contenders, found, options, device):
    """contender -> command and environment. The library comes first."""
    words = [word for name, value in case["options"].items() for word in (f"--{name}", str(value))]
    words += ["--seconds", str(options.seconds), "--device", device, "--paced"]
    if device == "cpu":
        words += ["--threads", str(options.threads)]
    threads = {"OMP_NUM_THREADS": str(options.threads), "MKL_NUM_THREADS": str(options.threads)}
    all_of_them = {OURS: ([options.build / "plasticity", "time", *words], {})}
    for name in contenders:
        framework, program, mode = CONTENDERS[name]
        if framework in found:
            all_of_them[name] = ([found[framework][0], PEERS / program, "--mode", mode, *words], threads)
    return all_of_them


def take_turns(chosen, rounds, clock):
    """Two dicts: contender -> rounds, and contender -> reason if it has none. One runs at a time."""
    running, measured, missing = {}, {}, {}
    longest = 0.0  # of a round of all contenders
    try:
        for name, (command, environment) in chosen.items():  # the first round, which starts the programs
            try:
                if clock.left() < 5:
                    raise OutOfTime("no time left")
                running[name] = Paced(command, environment)
                measured[name] = [running[name].round(clock.left(ROUND_LIMIT))]
            except Failed as problem:
                missing[name] = str(problem)
                running.pop(name, None)
        for _ in range(1, rounds):
            start = clock.spent()
            if clock.left() < longest:
                break
            for name, program in list(running.items()):
                try:
                    measured[name].append(program.round(clock.left(ROUND_LIMIT)))
                except Failed:  # its earlier rounds are kept
                    del running[name]
            longest = max(longest, clock.spent() - start)
    finally:
        for program in running.values():
            program.end()
    whole = min((len(results) for results in measured.values()), default=0)
    return {name: results[:whole] for name, results in measured.items()}, missing


def memory(result):
    """Peak memory of a run beyond the loaded libraries, in bytes."""
    if "device_memory_bytes" in result and "cuda" in result["configuration"]["device"]:
        return result["device_memory_bytes"]
    return result.get("peak_cuda_bytes") or result["peak_rss_bytes"] - result["idle_rss_bytes"]


def digest(measured):
    """contender -> spreads of the rounds, and ratios to the library for forward, backward and both."""
    times = {name: {"forward": [each["forward_ms_per_step"] for each in results],
                    "backward": [each["backward_ms_per_step"] for each in results]}
             for name, results in measured.items()}
    for each in times.values():
        each["both"] = [forward + backward for forward, backward in zip(each["forward"], each["backward"])]
    done = {}
    for name, results in measured.items():
        done[name] = {f"{which}_ms_per_step": spread(values) for which, values in times[name].items()}
        done[name]["memory_bytes"] = max(map(memory, results))
        done[name]["peak_rss_bytes"] = max(each["peak_rss_bytes"] for each in results)
        done[name]["configuration"] = results[-1]["configuration"]
        if name != OURS and OURS in times:
            done[name]["times_ours"] = {which: paired_ratio(values, times[OURS][which])
                                        for which, values in times[name].items()}
    return done


def measure(options, clock, results, cases, part, contenders, device="cpu"):
    """Times cases, adds them to results[part], and adds missing contenders to results["missing"]."""
    found = options.found
    results.setdefault(part, [])
    if cases and not check_ours(options, clock, results, cases, device):
        return
    for number, case in enumerate(cases):
        if clock.left() < 8:
            results["left_out"].append(f"{part}: {case['name']}: no time left")
            continue
        print(f"== {case['name']}, {device}", flush=True)
        measured, missing = take_turns(commands(case, contenders, found, options, device), options.rounds,
                                       clock.share(1 / (len(cases) - number)))
        if OURS not in measured:
            results["failures"].append(f"{part}: {case['name']}: {missing.get(OURS, 'nothing measured')}")
        for name, why in missing.items():
            if name != OURS:
                results["left_out"].append(f"{part}: {case['name']}: {name}: {why}")
        results[part].append({"name": case["name"], "group": case["group"], "target": case["target"],
                              "neurons": case["options"]["neurons"], "device": device, "contenders": digest(measured)})
        print("   " + ", ".join(f"{name} {len(each)} rounds" for name, each in measured.items()), flush=True)


def load_cases(options):
    code, output, errors = programs.run([options.build / "bench/plasticity_bench", "--cases"], 60)
    if code != 0:
        raise Failed(programs.last_line(errors))
    return json.loads(output)


def pythons(options):
    """The Python interpreters to search for frameworks."""
    named = options.python or [path for path in os.environ.get("PLASTICITY_PYTHON", "").split(os.pathsep) if path]
    return named or ["python3"]
