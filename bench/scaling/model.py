#!/usr/bin/env python3
"""Predicts data-parallel training on 8 to 4,096 GPUs: bench/scaling/model.py --build build

Nothing here was measured on more than one GPU. An iteration of T steps takes

    T (forward + backward)   measured on one H200, or the planner's estimate for batches that were not measured
    + rest                   upload of inputs and targets, loss, clipping, Adam, launches: bytes / rates + launches
    + all-reduce             of all gradients in one message: the fastest of NCCL's rings and trees, by its own cost model
    + messages               of the Trainer through the host: 32 bytes of every rank before and 8 bytes after every iteration

Prints tables in Markdown and writes out/scaling.png. --renew writes the planner's estimates again; that needs a build
with the CUDA library, but no GPU.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
import programs
from constants import ALGORITHMS, FIRST, LEFT_OUT, LL_BUS, TUNED, table, value
from programs import ROOT
from shapes import SHAPES, Shape
from spread import digits

STEPS = 50  # T of the measured times
GPUS = (8, 64, 512, 4096)
GLOBAL_BATCH = 4096  # samples of an iteration under strong scaling
RESULTS = ROOT / "bench/results"
ESTIMATES = RESULTS / "2026-11-27_gpu_h200_estimates.json"
RANK_SUMMARY, LOSS = 32, 8  # bytes of the Trainer's messages (host/network/trainer/ranks.cpp)
KERNELS = 6  # outside forward and backward: zeros, loss, finite, norm, clip, Adam


def parameters(shape):
    """The number of trained elements: hard_clip, fan_out; the rnn has an alpha per connection, the lstm one per neuron.

    >>> parameters(Shape("rnn", 64, 64)), parameters(Shape("lstm", 200, 30, 40))  # as bench/scaling counts them
    (8385, 193601)
    """
    N, I, rate = shape.neurons, shape.inputs, 3 * shape.neurons + 1
    if shape.cell == "lstm":
        return 4 * N * I + 4 * N + N * N + 3 * N * N + N + rate
    return 2 * N * N + rate + (N * I + N if I else 0)


def gradient_bytes(shape):
    return 4 * parameters(shape)


def all_reduce_us(size, gpus, slower=1.0):
    """(us, algorithm) of a sum of `size` bytes over GPUs, by the cost model of NCCL without its corrections for sizes.

    >>> all_reduce_us(1 << 20, 1)
    (0.0, 'none')
    >>> all_reduce_us(0, 8)[1], round(all_reduce_us(0, 8)[0], 1)  # 6.6 + 14 hops of 0.6
    ('ring LL', 15.0)
    >>> round(all_reduce_us(0, 4096)[0], 1)  # a tree: 6.8 + 2 (7 x 0.6 + 9 x 5)
    105.2
    >>> round(all_reduce_us(1 << 33, 8)[0] / 1e3)  # 8.6 GB at 371 GB/s, 7/4 times
    41
    """
    if gpus == 1:
        return 0.0, "none"
    per_node = int(value("gpus_per_node"))
    nodes, local = -(-gpus // per_node), min(gpus, per_node)
    rate = value("nvlink", slower) if nodes == 1 else min(value("nvlink", slower), local * value("network", slower))
    times = {}
    for (algorithm, protocol), (base, near, far, share) in ALGORITHMS.items():
        bus = share * rate
        if protocol == "LL":
            bus = min(bus, LL_BUS["node" if nodes == 1 else "network"] / slower)
        if algorithm == "ring":
            hops = 2 * (gpus - 1)
            far_hops = 2 * nodes if nodes > 1 else 0
            near_hops, moved = max(0, hops - far_hops), 2 * (gpus - 1) / gpus
        else:
            near_hops, far_hops, moved = 2 * (local - 1), 2 * math.ceil(math.log2(nodes)), 2
        times[f"{algorithm} {protocol}"] = slower * (base + near_hops * near + far_hops * far) + moved * size / (1e3 * bus)
    best = min(times, key=times.get)
    return times[best], best


def messages_us(gpus, slower=1.0):
    """The Trainer's two messages. Each is a sum of NCCL over the blocks of all ranks, with zeros for those of the others
    (host/cuda/nccl.cpp): zeros and own block to the GPU, the sum, all blocks back.

    >>> messages_us(1)
    0.0
    >>> round(messages_us(8)), round(messages_us(4096))
    (49, 261)
    """
    if gpus == 1:
        return 0.0
    copies = value("launch") + 2 * value("small_copy", slower)
    return sum(copies + size * gpus / (1e3 * value("upload")) + all_reduce_us(size * gpus, gpus, slower)[0]
               for size in (RANK_SUMMARY, LOSS))


def sends_us(gpus, slower=1.0):
    """The same messages as the library sent them before: every rank sent a few bytes to every other one, with one copy to the
    GPU, and a message and a copy back per rank.

    >>> round(sends_us(8)), round(sends_us(4096) / 1e3)
    (78, 34)
    """
    if gpus == 1:
        return 0.0
    start = ALGORITHMS["ring", "LL"][0] * slower
    peer = value("message", slower) + value("small_copy", slower)
    return 2 * (value("small_copy", slower) + start + (gpus - 1) * peer)


def rest_us(shape, steps, ranks, slower=1.0):
    """An iteration without forward, backward and communication. On one GPU it is a CUDA graph, on ranks it is not.

    >>> rest_us(SHAPES[0], 50, False) < rest_us(SHAPES[0], 50, True) < 300
    True
    """
    rows = steps * shape.batch
    upload = 4 * rows * ((shape.inputs or shape.neurons) + shape.neurons) / (1e3 * value("upload"))
    loss = 12 * rows * shape.neurons / (1e3 * value("memory")) * (2 if ranks else 1)
    adam = 36 * parameters(shape) / (1e3 * value("memory"))  # with the norm and the clipping
    launches = (KERNELS + 1) * value("launch") + 2 * value("small_copy", slower) if ranks else \
        value("graph_launch") + KERNELS * value("graph_node")
    return upload + loss + adam + launches


def iteration_us(shape, gpus, step_us, slower=1.0):
    """The time of an iteration with the shape's batch on each GPU."""
    return STEPS * step_us + rest_us(shape, STEPS, gpus > 1, slower) + messages_us(gpus, slower) + \
        all_reduce_us(gradient_bytes(shape), gpus, slower)[0]


def weak_efficiency(shape, gpus, step_us, slower=1.0):
    """The time on one GPU over that on `gpus` with as many samples each.

    >>> weak_efficiency(SHAPES[0], 1, 15.1)
    1.0
    >>> .4 < weak_efficiency(SHAPES[0], 4096, 15.1, slower=2.0) < weak_efficiency(SHAPES[0], 4096, 15.1) < .75
    True
    """
    return iteration_us(shape, 1, step_us, slower) / iteration_us(shape, gpus, step_us, slower)


def measured_step_us():
    """shape -> us of a step, forward + backward, of the README's table."""
    found = {}
    for entry in json.loads((RESULTS / TUNED).read_text())["times"]:
        if entry["precision"] == "f32" and entry["execution"] == "automatic" and "hard_clip fan_out" in entry["name"]:
            found[entry["name"].split()[0], entry["neurons"], entry["batch"]] = 1e3 * sum(
                entry["result"][f"{way}_ms_per_step"] for way in ("forward", "backward"))
    return {shape: found[shape.cell, shape.neurons, shape.batch] for shape in SHAPES}


def strong_us(shape, estimates, slower=1.0):
    """GPUs -> us of an iteration that shares GLOBAL_BATCH samples."""
    step_us = estimates["step_us"][f"{shape.cell} {shape.neurons}"]
    shares = {gpus: GLOBAL_BATCH // gpus for gpus in (8 << k for k in range(10))}
    return {gpus: iteration_us(shape._replace(batch=batch), gpus, step_us[str(batch)], slower) for gpus, batch in shares.items()}


def renew(build):
    """Writes the planner's estimates of a step on an H200 for the batches of strong scaling."""
    batches = [1 << k for k in range(GLOBAL_BATCH.bit_length()) if 8 << k <= GLOBAL_BATCH]
    shapes = [shape._replace(batch=batch) for shape in SHAPES for batch in batches]
    lines = [f"--cell {shape.cell} --rule hard_clip --rate fan_out --alpha {'post' if shape.cell == 'lstm' else 'connection'}"
             f" --neurons {shape.neurons} --inputs {shape.inputs} --batch {shape.batch} --steps {STEPS} --estimate h200\n"
             for shape in shapes]
    done = subprocess.run([str(build / "plasticity"), "times", "-"], input="".join(lines), capture_output=True, text=True, check=False)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    if len(reports) != len(shapes) or any("error" in report for report in reports):
        raise programs.Failed(programs.last_line(done.stderr) or str(reports[-1:]) + ": expected a build with the CUDA library")
    step_us = {}
    for shape, report in zip(shapes, reports):
        chosen = next(each for each in report["candidates"] if each["chosen"])
        step_us.setdefault(f"{shape.cell} {shape.neurons}", {})[str(shape.batch)] = round(
            chosen["forward_us_per_step"] + chosen["backward_us_per_step"], 3)
    ESTIMATES.write_text(json.dumps({"kind": "the planner's estimates (plasticity times --estimate h200), not measured",
                                     "steps": STEPS, "step_us": step_us}, indent=1) + "\n")


def check_rows():
    """Rows of whole iterations on one GPU, measured and by the model: case, forward + backward, measured rest, model's rest."""
    done = {}
    for entry in json.loads((RESULTS / FIRST).read_text())["operations"]:
        if entry["contender"] == "plasticity" and "ms_per_step" in entry:
            done.setdefault(entry["case"], {})[entry["operation"]] = 1e3 * entry["ms_per_step"]
    rows = []
    for case, us in done.items():
        if "training" not in us:
            continue
        neurons, batch, steps = (int(word[1:]) for word in case.split("_")[-3:])
        shape = Shape(case.split("_")[0], neurons, batch, 40 if "hard_clip" in case else 0)  # bench/cases.cpp
        both = steps * (us["forward"] + us["backward"])
        rest = rest_us(shape, steps, False)
        rows.append([case, digits(both), digits(steps * us["training"] - both), digits(rest),
                     f"{(both + rest) / (steps * us['training']) - 1:+.1%}"])
    return rows


def percent(share):
    """
    >>> percent(0.934), percent(0.0123)
    ('93', '1.2')
    """
    return f"{100 * share:.0f}" if share >= .1 else f"{100 * share:.1f}"


def markdown(head, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def weak_rows(steps):
    """A row per shape: ms on one GPU, bytes, and per number of GPUs the efficiency, also with assumed times doubled."""
    return [[str(shape), digits(iteration_us(shape, 1, us) / 1e3), digits(1e-6 * gradient_bytes(shape)),
             *(f"{percent(weak_efficiency(shape, gpus, us))} ({percent(weak_efficiency(shape, gpus, us, 2.0))})"
               for gpus in GPUS)] for shape, us in steps.items()]


def strong_rows(estimates):
    rows = []
    for shape in SHAPES:
        times = strong_us(shape, estimates)
        best = min(times, key=times.get)
        rows.append([f"{shape.cell}, N {shape.neurons}", *(digits(times[gpus] / 1e3) for gpus in GPUS), f"{best:,}",
                     f"{digits(times[8] / times[best])} of {best // 8}"])
    return rows


def parts_rows(steps):
    """The parts of an iteration of the first shape, in us."""
    shape, us = next(iter(steps.items()))
    size = gradient_bytes(shape)
    rows = []
    for gpus in (1, *GPUS):
        sum_us, algorithm = all_reduce_us(size, gpus)
        rows.append([f"{gpus:,}", digits(STEPS * us), digits(rest_us(shape, STEPS, gpus > 1)), f"{digits(sum_us)} ({algorithm})",
                     digits(messages_us(gpus)), digits(sends_us(gpus))])
    return rows


def overlap_gain(shape, gpus, step_us):
    """The most that overlap with backward could gain, as a share of an iteration: one of two messages with half of the gradients
    each would take no time. A sum of few bytes takes the time of its hops, so two messages cost almost twice as much as one.

    >>> 0 < overlap_gain(SHAPES[0], 512, 15.1) < .02
    True
    """
    size = gradient_bytes(shape)
    gain = all_reduce_us(size, gpus)[0] - all_reduce_us(size / 2, gpus)[0]
    return gain / iteration_us(shape, gpus, step_us)


def overlap_rows(steps):
    """A row per shape: per number of GPUs the share of the all-reduce in an iteration, and overlap_gain()."""
    rows = []
    for shape, us in steps.items():
        size = gradient_bytes(shape)
        share = {gpus: all_reduce_us(size, gpus)[0] / iteration_us(shape, gpus, us) for gpus in GPUS}
        rows.append([str(shape), *(f"{percent(share[gpus])} ({percent(overlap_gain(shape, gpus, us))})" for gpus in GPUS)])
    return rows


def chart(steps):
    """The data of the picture: efficiency under weak scaling over the number of GPUs.

    >>> data = chart({SHAPES[0]: 15.1})
    >>> data["series"][0]["name"], data["series"][0]["points"][0]
    ('rnn, N 200, B 30', [1, 100.0])
    """
    gpus = [1 << k for k in range(13)]
    return {"title": "Predicted efficiency, weak scaling, H200 (not measured)", "x_label": "GPUs", "y_label": "percent", "log_y": False,
            "series": [{"name": str(shape), "points": [[n, 100 * weak_efficiency(shape, n, us)] for n in gpus]}
                       for shape, us in steps.items()]}


def draw(options, data, picture):
    file = options.out / "scaling_chart.json"
    file.write_text(json.dumps(data))
    code, _, errors = programs.run([options.build / "bench/bench_chart", file, picture], 60)
    file.unlink()
    print(f"\n{picture if code == 0 else programs.last_line(errors)}")
    return code in (0, 3)  # 3: built without Cairo


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="the build folder (default: build)")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out", help="where the pictures go (default: out)")
    parser.add_argument("--renew", action="store_true", help="writes the planner's estimates again")
    options = parser.parse_args()
    options.build, options.out = options.build.resolve(), options.out.resolve()
    try:
        if options.renew:
            renew(options.build)
        steps, estimates = measured_step_us(), json.loads(ESTIMATES.read_text())
        weak_head = ["shape", "ms, 1 GPU", "gradients, MB", *(f"{gpus:,} GPUs" for gpus in GPUS)]
        strong_head = ["network", *(f"ms, {gpus:,} GPUs" for gpus in GPUS), "GPUs of the shortest", "times as fast as 8 GPUs"]
        print(f"Weak scaling: efficiency in percent (assumed times doubled)\n\n{markdown(weak_head, weak_rows(steps))}\n")
        print(f"Strong scaling, {GLOBAL_BATCH:,} samples\n\n{markdown(strong_head, strong_rows(estimates))}\n")
        print(f"Parts of an iteration, us: {SHAPES[0]}\n")
        print(markdown(["GPUs", "forward + backward", "rest", "all-reduce", "messages", "messages as sends"], parts_rows(steps)))
        print("\nShare of the all-reduce in percent (the most that overlap with backward could gain)\n")
        print(markdown(["shape", *(f"{gpus:,} GPUs" for gpus in GPUS)], overlap_rows(steps)))
        print("\nThe model beside measured iterations on one H200, us\n")
        print(markdown(["case", "forward + backward", "rest, measured", "rest, model", "error of the iteration"], check_rows()))
        print("\n" + table() + "\n\nLeft out:\n" + "\n".join(f"- {each}" for each in LEFT_OUT))
        options.out.mkdir(parents=True, exist_ok=True)
        return 0 if draw(options, chart(steps), options.out / "scaling.png") else 1
    except (programs.Failed, OSError) as problem:
        print(f"model.py: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
