"""The floors, and the table that bench/gpu/run prints last: plain functions of a results file.

The floor of a step is launch + bytes / rate.
  launch   the cost of an empty kernel, in a stream or as a node of a graph, whichever is less.
  bytes    the least that one launch per step must move, per B N N. Float: forward reads the trace and writes it, 8; backward reads
           the trace and reads and writes its gradient, 12. With a bfloat16 tape the steps still work on a float trace and
           write the tape beside it, 8 + 2, and backward reads two slots of it, 8 + 2 + 2.
  rate     the measured copy of as much memory again and again, so from L2 if it fits, interpolated between sizes.
w and alpha (8 N N, shared by the batch, from L2) and the vectors are left out, and that a tape is new memory at every
step: the floor is low rather than high. Keeping the trace on chip over steps would go below it.
"""
import math

MAX_NOTES = 24  # of a part, in the table

# (bytes moved, bytes touched) per B N N, by precision and direction
TRAFFIC = {
    "f32": {"forward": (8, 8), "backward": (12, 8)},
    "bf16": {"forward": (10, 6), "backward": (12, 8)},
}


def copy_rate(ceilings, footprint):
    """GB/s of copies within `footprint` bytes, between the measured sizes by the logarithm of the size.

    >>> copies = {"copy": [{"footprint_bytes": 1e6, "again_gb_per_s": 4000}, {"footprint_bytes": 4e6, "again_gb_per_s": 2000}]}
    >>> [round(copy_rate(copies, size)) for size in (1e3, 1e6, 2e6, 4e6, 1e9)]
    [4000, 4000, 3000, 2000, 2000]
    """
    points = sorted((entry["footprint_bytes"], entry["again_gb_per_s"]) for entry in ceilings["copy"])
    for (small, rate), (large, next_rate) in zip(points, points[1:]):
        if small <= footprint < large:
            return rate + (next_rate - rate) * math.log(footprint / small) / math.log(large / small)
    return points[0][1] if footprint < points[0][0] else points[-1][1]


def floor_us(ceilings, neurons, batch, precision, direction):
    """The floor of a step in microseconds; None without measured ceilings.

    >>> ceilings = {"launch_us": 2.0, "graph_node_us": 1.5, "copy": [{"footprint_bytes": 1e6, "again_gb_per_s": 4000}]}
    >>> floor_us(ceilings, 1000, 1, "f32", "forward")  # 8 MB at 4000 GB/s, and 1.5
    3.5
    >>> floor_us(ceilings, 1000, 1, "f32", "backward")
    4.5
    >>> floor_us({}, 1000, 1, "f32", "forward")
    """
    if not ceiling_known(ceilings):
        return None
    elements = batch * neurons * neurons
    moved, touched = TRAFFIC[precision][direction]
    launch = min(ceilings["launch_us"], ceilings["graph_node_us"])
    return launch + moved * elements / (copy_rate(ceilings, touched * elements) * 1e3)


def us(result, direction):
    return None if result is None else result[f"{direction}_ms_per_step"] * 1e3


def ratio(numerator, denominator):
    return None if numerator is None or not denominator else numerator / denominator


def cell(value, width):
    """A number in a column: three digits, or a dash.

    >>> [cell(value, 5) for value in (None, 0.4567, 4.567, 45.67, 4567.8)]
    ['    -', ' 0.46', ' 4.57', ' 45.7', ' 4568']
    """
    if value is None:
        return "-".rjust(width)
    return (f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}").rjust(width)


MODES = {"published": "publ.", "eager": "careful", "graph": "graph", "compile": "compile"}  # of PyTorch


def step_lines(results):
    """A line for each configuration, precision and execution: our time, the floor of one launch per step, time / floor, and the
    time of each of PyTorch's MODES over ours.

    >>> times = {"forward_ms_per_step": .001, "backward_ms_per_step": .002, "execution": "cluster"}
    >>> entry = {"name": "rnn", "neurons": 8, "batch": 1, "precision": "f32", "execution": "automatic", "result": times}
    >>> results = {"times": [entry],
    ...            "peers": [{"name": "rnn", "mode": "eager", "result": {"forward_ms_per_step": .01, "backward_ms_per_step": .03}}]}
    >>> step_lines(results)[1].split()
    ['rnn', 'f32', 'a:cluster', '1.00', '-', '-', '-', '10.0', '-', '-', '2.00', '-', '-', '-', '15.0', '-', '-']
    """
    peers = {(entry["name"], entry["mode"]): entry["result"] for entry in results.get("peers", []) if "result" in entry}
    head = ["configuration".ljust(37), "prec", "execution".ljust(10)]
    for direction in ("fwd", "bwd"):
        head += [f"{direction} us".rjust(8), "floor".rjust(7), "x floor".rjust(8)]
        head += [name.rjust(7) for name in MODES.values()]
    lines = [" ".join(head)]
    for entry in results.get("times", []):
        name, precision, ours = entry["name"], entry["precision"], entry.get("result")
        execution = "a:" + ours["execution"] if ours and entry["execution"] == "automatic" else entry["execution"]
        line = [name.ljust(37), precision.ljust(4), execution.ljust(10)]
        if ours is None:
            lines.append(" ".join(line + ["does not fit" if entry.get("refused") else entry.get("error", "")]))
            continue
        for direction in ("forward", "backward"):
            time = us(ours, direction)
            floor = floor_us(results.get("ceilings"), entry["neurons"], entry["batch"], precision, direction)
            line += [cell(time, 8), cell(floor, 7), cell(ratio(time, floor), 8)]
            line += [cell(ratio(us(peers.get((name, mode)), direction), time), 7) for mode in MODES]
        lines.append(" ".join(line) + (f"  {entry['extra']}" if "extra" in entry else ""))
    return lines


def operation_lines(results):
    """The operations, a line each: microseconds a step.

    >>> operation_lines({"operations": [{"operation": "step", "case": "rnn", "contender": "us", "ms_per_step": 0.002},
    ...                                 {"operation": "step", "case": "b", "contender": "us", "error": "no"}]})
    ['step      us          2.00  rnn', 'step      us            no  b']
    """
    lines = []
    for line in results["operations"]:
        time = cell(1e3 * line["ms_per_step"], 5) if "ms_per_step" in line else line["error"].rjust(5)
        lines.append(f"{line['operation'].ljust(9)} {line['contender'].ljust(10)} {time}  {line['case']}")
    return lines


def profile_lines(results):
    """The counters of Nsight Compute, a line for each launch and metric."""
    lines = []
    for entry in results["ncu"]:
        for kernel, metrics in entry["launches"].items():
            lines.append(f"{entry['kernel']}, {entry['name']}, {entry['execution']}: {kernel[:60]}")
            lines += [f"  {name.rpartition('__')[2]:<70} {value:.6g}" for name, value in metrics.items()]
    return lines


def ceiling_line(ceilings):
    """The ceilings on one line."""
    fresh = max(entry["fresh_gb_per_s"] for entry in ceilings["copy"])
    again = max(entry["again_gb_per_s"] for entry in ceilings["copy"])
    barriers = {"grid.sync": "grid_sync_us", "cluster.sync (8)": "cluster_sync_8_us"}
    told = [f"{name} {cell(ceilings[key], 0)} us" for name, key in barriers.items() if ceilings.get(key) is not None]
    return (f"copy, read + written: memory {fresh:.0f} GB/s, L2 {again:.0f} GB/s; launch {cell(ceilings['launch_us'], 0)} us,"
            f" graph node {cell(ceilings['graph_node_us'], 0)} us" + "".join("; " + each for each in told))


def ceiling_known(ceilings):
    return bool(ceilings) and all(key in ceilings for key in ("copy", "launch_us", "graph_node_us"))


def table(results):
    """The whole table, as text."""
    lines = [f"{results['profile']}: {results.get('device', 'no GPU')}, {results['date']}, commit {results.get('commit', 'unknown')}"
             f" for {results.get('architectures', 'unknown')}", ""]
    width = max(map(len, results["parts"]), default=0)
    no_time = []
    for name, part in results["parts"].items():
        no_time += part["no_time"]
        head = f"{name.ljust(width)}  {part['status'].ljust(9)} {part['seconds']:4.0f} s  "
        notes = part["notes"] if len(part["notes"]) <= MAX_NOTES else \
            [*part["notes"][:MAX_NOTES - 1], f"and {len(part['notes']) - MAX_NOTES + 1} more ({results['profile']}.json has them)"]
        for note in notes or [""]:
            lines.append((head + note).rstrip())
            head = " " * len(head)
    if no_time:
        lines += ["", f"No time for {len(no_time)}:", *(f"  {what}" for what in no_time)]
    if ceiling_known(results.get("ceilings")):
        lines += ["", ceiling_line(results["ceilings"])]
    if results.get("times"):
        lines += ["", "Microseconds a step. floor = launch + bytes / copy rate; bytes = 8 B N N forward, 12 B N N backward"
                  " (bf16: 10, 12)",
                  "publ., careful, graph, compile: PyTorch's time over ours, in the papers' form, in a careful one, that as a CUDA"
                  " graph and compiled", "a: the execution that the plan chose"]
        lines += step_lines(results)
    if results.get("operations"):
        lines += ["", "Operations, microseconds a step", *operation_lines(results)]
    if results.get("ncu"):
        lines += ["", "Nsight Compute", *profile_lines(results)]
    return "\n".join(lines)
