"""Stores the outcome of an experiment as the C++ experiments do (examples/common/report.cpp), for examples/run_all."""
import json
import pathlib
import sys

import torch


def save(folder, *, metric, chance, iteration, iterations, seed, seconds, processor_seconds, learners, log_y=False, **more):
    """Writes FOLDER/PROGRAM.json into a folder that exists.

    `learners` are (name, value, expected, curve): expected is "above 0.6", "below 0.6" or "", curve a list of (x, y). `more`
    adds entries of your own.
    """
    name = pathlib.Path(sys.argv[0]).stem
    outcome = {
        "experiment": name, "command": " ".join([name, *sys.argv[1:]]), "metric": metric, "chance": chance, "log_y": log_y,
        "iteration": iteration, "iterations": iterations, "seeds": [seed],
        "device": f"cpu, {torch.get_num_threads()} threads, PyTorch {torch.__version__}", "seconds": seconds,
        "processor_seconds": processor_seconds, **more,
        "learners": [{"name": learner, "values": [value], "expected": expected,
                      "curve": {"x": [x for x, _ in curve], "median": [y for _, y in curve]}}
                     for learner, value, expected, curve in learners]}
    fresh = folder / f"{name}.json.new"
    fresh.write_text(json.dumps(outcome, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(folder / f"{name}.json")
