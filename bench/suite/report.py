"""The final report of bench/run as text and Markdown, and the data of out/bench.png. Plain functions of a results file."""
from spread import digits

OURS = "plasticity"
PUBLISHED, CAREFUL = "torch published", "torch eager"  # the two forms of bench/peers/model.py; targets are of the first
BUSY = 0.5  # of the processors
MAX_MEMORY_RATIO = 0.1  # to PyTorch, for a case with a target


def verdict(case):
    """(ratio, its spread, whether the target is met, memory ratio) of a case against the published form, or None.

    >>> ours = {"memory_bytes": 5e6}
    >>> torch = {"memory_bytes": 1e8, "times_ours": {"both": {"median": 15.0, "low": 13.0, "high": 16.0}}}
    >>> verdict({"target": 12, "contenders": {"plasticity": ours, "torch published": torch}})
    (15.0, (13.0, 16.0), True, 0.05)
    >>> verdict({"target": 12, "contenders": {"plasticity": ours}})
    """
    ours, torch = case["contenders"].get(OURS), case["contenders"].get(PUBLISHED)
    if not ours or not torch:
        return None
    ratio = torch["times_ours"]["both"]
    memory = ours["memory_bytes"] / torch["memory_bytes"] if torch["memory_bytes"] > 0 else float("inf")
    met = ratio["median"] >= case["target"] and memory <= MAX_MEMORY_RATIO if case["target"] else None
    return ratio["median"], (ratio["low"], ratio["high"]), met, memory


def megabytes(value):
    """
    >>> megabytes(12_345_678), megabytes(-4096)
    ('12.3', '0')
    """
    return digits(max(value, 0) / 1e6)


def ratio_lines(results, part="peers"):
    """`case: 15.2 times as fast as PyTorch eager [13.0 to 16.0], target 12: met; memory 0.05 of it, at most 0.1: met;
    10.1 times as fast as its careful form`"""
    lines = []
    for case in results.get(part, []):
        judged = verdict(case)
        if judged is None:
            lines.append(f"{case['name']}, {case['device']}: no ratio, see what is missing")
            continue
        ratio, (low, high), _, memory = judged
        rounds = case["contenders"][PUBLISHED]["times_ours"]["both"]["repetitions"]
        line = f"{case['name']}, {case['device']}: {digits(ratio)} times as fast as PyTorch eager" \
               f" [{digits(low)} to {digits(high)}, {rounds} rounds]"
        if case["target"]:
            line += f", target {digits(case['target'])}: {'met' if ratio >= case['target'] else 'NOT MET'}"
        line += f"; memory {digits(memory)} of it"
        if case["target"]:
            line += f", at most {MAX_MEMORY_RATIO}: {'met' if memory <= MAX_MEMORY_RATIO else 'NOT MET'}"
        careful = case["contenders"].get(CAREFUL)
        if careful:
            line += f"; {digits(careful['times_ours']['both']['median'])} times as fast as its careful form"
        lines.append(line)
    return lines


def percent_of_copy(results, direction, case):
    """Percentage of the copy bandwidth, from the benchmark of the same case. Empty without one."""
    device = "cuda" if case["device"] == "cuda" else "cpu"
    done = results.get("operations", {}).get(f"{direction}/{case['group']}/{case['name']}/{OURS}/{device}/warm")
    return digits(done["percent_of_copy"]) if done else "-"


def baseline(results, direction, case):
    for contender in ("loops", "cublas"):
        done = results.get("operations", {}).get(
            f"{direction}/{case['group']}/{case['name']}/{contender}/{case['device']}/warm")
        if done:
            return contender, done["ms_per_step"]["median"]
    return None, None


def contender_rows(results, case):
    """A row per contender of a case: name, forward, backward, total relative to ours, memory, % of copy for both."""
    ours = case["contenders"].get(OURS)
    rows = []
    for name, each in case["contenders"].items():
        times = "1" if name == OURS else digits(each["times_ours"]["both"]["median"]) if "times_ours" in each else "-"
        rows.append([name, digits(each["forward_ms_per_step"]["median"]), digits(each["backward_ms_per_step"]["median"]),
                     times, megabytes(each["memory_bytes"]),
                     percent_of_copy(results, "forward", case) if name == OURS else "",
                     percent_of_copy(results, "backward", case) if name == OURS else ""])
    name, forward = baseline(results, "forward", case)
    _, backward = baseline(results, "backward", case)
    if forward and backward and ours:
        both = ours["both_ms_per_step"]["median"]
        rows.append([name, digits(forward), digits(backward), digits((forward + backward) / both), "-", "", ""])
    return rows


HEAD = ["", "forward ms", "backward ms", "x ours", "memory MB", "fwd % copy", "bwd % copy"]


def columns(rows):
    """Formats rows of words as lines. The first column is left-aligned, the others right-aligned.

    >>> columns([["", "ms"], ["long name", "1.5"]])
    ['            ms', 'long name  1.5']
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(row[1:], widths[1:]))]).rstrip()
            for row in rows]


def copy_lines(results):
    """The copy bandwidth: a line per device and number of threads."""
    found = {}
    for name, done in results.get("operations", {}).items():
        words = name.split("/")
        if words[0] == "copy":
            found.setdefault(", ".join(words[2:]).replace("_", " "), []).append(
                (int(words[1].removesuffix("KiB")), done["bytes_per_second"]["median"]))
    return [f"copy, {where}: " + ", ".join(f"{size} KiB {digits(rate / 1e9)} GB/s" for size, rate in sorted(sizes))
            for where, sizes in found.items()]


def operation_rows(results, groups):
    """Rows of the operations of some groups: name, ms per step with spread, floor, % of copy, GFLOP/s."""
    rows = []
    for name, done in results.get("operations", {}).items():
        words = name.split("/")
        if words[0] == "copy" or words[1] not in groups:
            continue
        time = done["ms_per_step"]
        rows.append([name, digits(time["median"]), f"[{digits(time['low'])} to {digits(time['high'])}]",
                     digits(done["floor_ms_per_step"]), digits(done["percent_of_copy"]), digits(done["gflops_per_second"])])
    return rows


def machine_line(results):
    machine = results["machine"]
    device = results.get("context", {}).get("device")
    for case in (*results.get("peers", []), *results.get("sweep", [])):
        if device is None and OURS in case["contenders"]:
            device = case["contenders"][OURS].get("configuration", {}).get("device")
    return "; ".join(filter(None, (
        f"{machine['processor']}, {machine['processors']} processors, {machine['threads']} threads per contender", device,
        machine["system"], results["date"] + f", commit {results['commit']}")))


def table(results):
    """The whole report as text. The ratio lines come last."""
    lines = [machine_line(results)]
    if results["machine"]["load"] > BUSY * results["machine"]["processors"]:
        lines.append(f"THE MACHINE WAS BUSY when this began (load {results['machine']['load']:.1f}): such times say little,"
                     " and peers that spin while they wait suffer most")
    lines.append("seconds: " + ", ".join(f"{part} {seconds:.0f}" for part, seconds in results["seconds"].items()))
    lines += [f"{name}: {version}" for name, version in results.get("versions", {}).items()]
    lines += [*copy_lines(results)]
    groups = ("experiments", "cells", "sweep_N", "sweep_B", "sweep_T")
    rows = operation_rows(results, groups)
    if rows:
        lines += ["", "Operations. floor: declared bytes at the copy's bandwidth; % copy: the floor as a share of the time"]
        lines += columns([["", "ms per step", "spread", "floor", "% copy", "GFLOP/s"], *rows])
    for part in ("peers", "sweep"):
        for case in results.get(part, []):
            if case["contenders"]:
                lines += ["", f"{case['name']}, {case['device']} (milliseconds per step, medians of rounds)"]
                lines += columns([HEAD, *contender_rows(results, case)])
    lines += training_lines(results)
    if results.get("missing"):
        lines += ["", *(f"missing: {name}: {why}" for name, why in results["missing"].items())]
    if results.get("left_out"):
        lines += ["", *(f"left out: {each}" for each in results["left_out"])]
    if results.get("failures"):
        lines += ["", *(f"FAILED: {each}" for each in results["failures"])]
    ratios = ratio_lines(results)
    if ratios:
        lines += ["", "Forward and backward, all gradients, against PyTorch eager in the form of the papers' modules", *ratios]
    return "\n".join(lines)


def training_lines(results):
    training = results.get("training")
    if not training:
        return []
    lines = ["", f"Training on binary patterns (2018), N {training['neurons']} and a bias, T 106, one episode at a time"]
    for name, each in training["contenders"].items():
        reached = each.get("reached")
        done = f"sign error below {training['goal']:.0%} after {reached['episodes']} episodes, {digits(reached['seconds'])} s" \
            if reached else f"{each['episodes']} episodes, {digits(each['seconds'])} s, sign error {each['sign_error']:.2%}"
        lines.append(f"  {name}: {done} ({digits(1e3 * each['seconds'] / max(each['episodes'], 1))} ms per episode)")
    return lines


def markdown(results):
    """The README's performance table.

    >>> spread = lambda m: {"median": m, "low": m, "high": m}
    >>> ours = {"forward_ms_per_step": spread(.15), "backward_ms_per_step": spread(.35), "memory_bytes": 5e6}
    >>> torch = {"forward_ms_per_step": spread(4.), "backward_ms_per_step": spread(3.5), "memory_bytes": 1e8,
    ...          "times_ours": {"both": spread(15.)}}
    >>> case = {"name": "rnn_decay_N256_B32_T30", "target": 12, "device": "cpu",
    ...         "contenders": {"plasticity": ours, "torch published": torch}}
    >>> machine = {"processor": "A", "processors": 2, "threads": 2, "system": "Linux"}
    >>> print(markdown({"peers": [case], "machine": machine, "date": "today", "commit": "c"}).splitlines()[4])
    | rnn decay, N 256, B 32, T 30 | 0.150 + 0.350 | 4.00 + 3.50 | 15.0 | 12 | - | 5.00 / 100 |
    """
    lines = [f"Measured by `./run bench` on {machine_line(results)}; {', '.join(results.get('versions', {}).values())}.", "",
             "| case | plasticity, ms per step, forward + backward | PyTorch eager, as published | times as fast | target |"
             " times as fast as a careful PyTorch | memory, MB, plasticity / PyTorch |", "|---|---|---|---|---|---|---|"]
    for case in results.get("peers", []):
        judged = verdict(case)
        if judged is None:
            continue
        ours, torch = case["contenders"][OURS], case["contenders"][PUBLISHED]
        careful = case["contenders"].get(CAREFUL)
        lines.append("| " + " | ".join([
            title(case["name"]) + ("" if case["device"] == "cpu" else ", CUDA"),
            " + ".join(digits(ours[f"{way}_ms_per_step"]["median"]) for way in ("forward", "backward")),
            " + ".join(digits(torch[f"{way}_ms_per_step"]["median"]) for way in ("forward", "backward")),
            digits(judged[0]), f"{case['target']:g}" if case["target"] else "-",
            digits(careful["times_ours"]["both"]["median"]) if careful else "-",
            f"{megabytes(ours['memory_bytes'])} / {megabytes(torch['memory_bytes'])}"]) + " |")
    return "\n".join(lines)


def title(name):
    """
    >>> title("rnn_hard_clip_fan_out_N200_B30_T100")
    'rnn hard_clip fan_out, N 200, B 30, T 100'
    """
    head, *sizes = name.replace("hard_clip", "hard-clip").replace("soft_clip", "soft-clip").replace(
        "read_clip", "read-clip").replace("fan_out", "fan-out").rsplit("_", 3)
    words = head.replace("_", " ").replace("-", "_")
    return ", ".join([words, *(size[0] + " " + size[1:] for size in sizes)])


def chart(results):
    """The data of out/bench.png: time per step, forward plus backward, against N, one series per contender.

    >>> point = lambda ms: {"both_ms_per_step": {"median": ms}}
    >>> cases = [{"name": "c", "neurons": n, "device": "cpu", "contenders": {"plasticity": point(n / 100)}} for n in (64, 32)]
    >>> [(each["name"], each["points"]) for each in chart({"sweep": cases})["series"]]
    [('plasticity', [[32, 0.32], [64, 0.64]])]
    """
    series = {}
    cases = sorted((case for case in results.get("sweep", []) if case["device"] == "cpu"), key=lambda case: case["neurons"])
    operations = results.get("operations", {})
    for case in cases:
        for name, each in case["contenders"].items():
            series.setdefault(name, []).append([case["neurons"], each["both_ms_per_step"]["median"]])
        for contender in ("loops",):
            both = [operations.get(f"{way}/sweep_N/{case['name']}/{contender}/cpu/warm") for way in ("forward", "backward")]
            if all(both):
                series.setdefault(contender, []).append(
                    [case["neurons"], sum(each["ms_per_step"]["median"] for each in both)])
    for case in cases:
        both = [operations.get(f"{way}/sweep_N/{case['name']}/{OURS}/cpu/warm") for way in ("forward", "backward")]
        if all(both):
            series.setdefault("floor", []).append([case["neurons"], sum(each["floor_ms_per_step"] for each in both)])
    return {"title": "rnn, decay, B 8, T 20: time per step, forward and backward", "x_label": "neurons N",
            "y_label": "milliseconds", "series": [{"name": name, "points": points} for name, points in series.items()]}
