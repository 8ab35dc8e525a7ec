"""Predicted µs per step of the whole batch: a calculation of the planner (host/cuda/cost_model.hpp), not a measurement.

The planner's counts are those of sass_golden.json (a test compares them), so counts that have not been renewed do not
change the prediction. The build's tool prints the estimates: `plasticity times` with `--estimate`.
"""
import json
import subprocess

SIZES = ((64, 64), (200, 30), (256, 64), (512, 32), (1000, 1), (1024, 16))  # N, B
GPU, STEPS = "h100", 50


class NoPrediction(Exception):
    """The build has no tool, or the tool has no estimates."""


def line_of(rule, eligibility, cell, precision, size):
    """A line of `plasticity times`.

    >>> line_of("hard_clip", "none", "rnn", "f32", (200, 30))
    '--rule hard_clip --eligibility none --cell rnn --precision f32 --neurons 200 --batch 30 --inputs 0 --rate fan_out --steps 50 --estimate h100'
    """
    inputs = 1 if cell == "lstm" else 0
    return (f"--rule {rule} --eligibility {eligibility} --cell {cell} --precision {precision} --neurons {size[0]} "
            f"--batch {size[1]} --inputs {inputs} --rate fan_out --steps {STEPS} --estimate {GPU}")


def columns_of(report):
    """{column: µs, "choice": the chosen execution} of a report of the tool. The resident execution is the fastest one.

    >>> candidate = {"execution": "graph", "shape": "graph", "forward_us_per_step": 4.0, "backward_us_per_step": 5.0, "chosen": False}
    >>> cta = candidate | {"execution": "cta", "shape": "cta: 1 block", "forward_us_per_step": 1.0, "chosen": True}
    >>> columns_of({"candidates": [candidate, cta]})  # doctest: +NORMALIZE_WHITESPACE
    {'graph forward': 4.0, 'graph backward': 5.0, 'resident forward': 1.0, 'resident backward': 5.0, 'choice': 'cta: 1 block'}
    >>> columns_of({"error": "spec: no"})
    Traceback (most recent call last):
    predict.NoPrediction: spec: no
    """
    if "error" in report:
        raise NoPrediction(report["error"])
    candidates = report["candidates"]
    total = lambda candidate: candidate["forward_us_per_step"] + candidate["backward_us_per_step"]
    columns = {}
    for name, kinds in (("graph", ("graph",)), ("resident", ("cta", "cluster", "grid"))):
        own = [candidate for candidate in candidates if candidate["execution"] in kinds]
        if own:
            best = min(own, key=total)
            columns |= {f"{name} {way}": best[f"{way}_us_per_step"] for way in ("forward", "backward")}
    return columns | {"choice": next(candidate["shape"] for candidate in candidates if candidate["chosen"])}


def predict(tool, rule, eligibility, cell, precision):
    """{(N, B): columns} by the tool of a build."""
    if not tool.exists():
        raise NoPrediction(f"{tool} is missing: build the target plasticity_tool")
    lines = "".join(line_of(rule, eligibility, cell, precision, size) + "\n" for size in SIZES)
    done = subprocess.run([str(tool), "times", "-"], input=lines, capture_output=True, text=True, check=False)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    if len(reports) != len(SIZES):
        raise NoPrediction(done.stderr.strip() or f"{tool} printed {len(reports)} of {len(SIZES)} lines")
    return {size: columns_of(report) for size, report in zip(SIZES, reports)}
