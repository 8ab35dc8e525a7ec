#!/usr/bin/env python3
"""Replaces a program of the GPU kit, by the name that it is called by. $STAND_IN is its behaviour: `good`, `bad` (every kind of
fault happens somewhere), `slow` (it takes all the time that it gets), `dead` (it ends at once by a signal)."""
import json
import os
import pathlib
import signal
import sys
import time

NAME, WORDS, BEHAVIOUR = pathlib.Path(sys.argv[0]).name, sys.argv[1:], os.environ["STAND_IN"]
BAD = BEHAVIOUR == "bad"
EXECUTIONS = ("step", "graph", "cta", "cluster", "grid")
CASES = (("rnn_hard_clip_modulated", "step"), ("rnn_lengths", "graph"), ("rnn_resets", "cta"), ("lstm_fan_out_2019", "cluster"),
         ("rnn_retroactive", "grid"))
TESTS = ("CudaLast.Good", "CudaLast.Skips", "CudaValues.Good", "CudaValues.Crashes", "CudaValues.Fails", "CudaValues.After",
         "CudaSticky.Faults", "CudaSticky.After",
         "Each/CudaPaths.Hangs/cta", "Each/CudaPaths.After/cta", "Each/CudaPaths.After/grid",
         *(f"EveryPath/CudaParity.Case/{case}_f32_{execution}" for case, execution in CASES))


def say(text, end="\n"):
    print(text, end=end, flush=True)


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def hang():
    time.sleep(3600)


def use_all_time():
    while True:  # not silent: only the time ends it
        say(".")
        time.sleep(0.2)


def cuda_test():
    if "--gtest_list_tests" in WORDS:
        suite = None
        for test in TESTS:
            if test.partition(".")[0] != suite:
                suite = test.partition(".")[0]
                say(suite + ".")
            say("  " + test.partition(".")[2])
        return 0
    if BEHAVIOUR == "dead":
        crash()
    failed, faulted = 0, False
    for test in WORDS[0].partition("=")[2].split(":"):
        say(f"[ RUN      ] {test}")
        if BEHAVIOUR == "slow":
            use_all_time()
        if BAD and "Crashes" in test:
            crash()
        if BAD and "Hangs" in test:
            hang()
        faulted = faulted or BAD and "Faults" in test
        if faulted:
            failed = 1
            say(f"x.cpp:1: Failure\ncudaErrorIllegalAddress (an illegal memory access)\n[  FAILED  ] {test} (1 ms)")
        elif BAD and "Fails" in test:
            failed = 1
            say(f"values_test.cpp:7: Failure\ny is wrong\n[  FAILED  ] {test} (3 ms)")
        elif "Skips" in test:
            say(f"[  SKIPPED ] {test} (0 ms)")
        else:
            say(f"[       OK ] {test} (2 ms)")
    return failed


def verify():
    precision, execution = WORDS[WORDS.index("--precision") + 1], WORDS[WORDS.index("--execution") + 1]
    failed = 0
    for file in WORDS[WORDS.index("--execution") + 2:]:
        case = pathlib.Path(file).stem
        if BEHAVIOUR == "slow":
            use_all_time()
        if BAD and (case, precision, execution) == ("rnn_resets", "f32", "cluster"):
            crash()
        if BAD and (case, precision, execution) == ("rnn_resets", "bf16", "grid"):
            failed = 1
            say(f"FAIL {case} y at [0]: got 1 want 2")
        else:
            say(f"ok {case} worst grad.w 1.0e-07")
    return failed


def times():
    for line in sys.stdin:
        words = line.split()
        options = dict(zip(words[::2], words[1::2]))
        execution = options.get("--execution", options.get("--mode"))
        if BEHAVIOUR == "slow":
            use_all_time()
        if BAD and options["--neurons"] == "200" and execution in ("grid", "compile"):
            say('{"forward_ms_per_st', end="")
            crash()
        if BAD and options["--neurons"] == "200" and (options.get("--execution"), options.get("--mode")) in (("cta", None), (None, "graph")):
            say(json.dumps({"error": "cudaErrorIllegalAddress: an illegal memory access was encountered"}))
        elif BAD and options["--neurons"] == "64" and execution == "cta":
            say(json.dumps({"error": "options.execution: expected one that fits spec and device, got cta (no room)"}))
        else:
            say(json.dumps({"forward_ms_per_step": 0.001, "backward_ms_per_step": 0.002, "execution": execution}))
    return 0


def tune():
    if BEHAVIOUR == "slow":
        use_all_time()
    if BAD:
        crash()
    pathlib.Path(WORDS[1]).write_text('{"format": "plasticity tuning 2"}', encoding="utf-8")
    say(f"launch 3\n8 times; error of the estimates 9 %, built in 12 %\n{WORDS[1]}: set PLASTICITY_TUNING_FILE")
    return 0


def plasticity():
    if WORDS == ["info"]:
        return 0
    if BEHAVIOUR == "dead":
        crash()
    return {"verify": verify, "tune": tune}.get(WORDS[0], times)()


def gpu_operations():
    if "--list" in WORDS:
        return 0
    for name in ("forward", "backward", "step"):
        if BEHAVIOUR == "slow":
            use_all_time()
        if BAD and name == "step" or BEHAVIOUR == "dead":
            say('{"operation": "st', end="")
            crash()
        result = {"error": "differs from the reference"} if BAD and name == "backward" else {"ms_per_step": 0.001}
        say(json.dumps({"operation": name, "case": "rnn", "contender": "plasticity"} | result))
    return 0


def device_ceilings():
    if BEHAVIOUR == "slow":
        use_all_time()
    say('{"launch_us": 2}\n{"graph_node_us": 1.5}')
    if BAD:
        say('{"copy": [{"footpr', end="")
        hang()
    say('{"copy": [{"footprint_bytes": 1048576, "fresh_gb_per_s": 2000, "again_gb_per_s": 4000}]}')
    return 0


def compute_sanitizer():
    say("========= COMPUTE-SANITIZER")
    tool = WORDS[1]
    for number, test in enumerate(WORDS[-1].partition("=")[2].split(":")):
        say(f"[ RUN      ] {test}")
        if BEHAVIOUR == "slow":
            use_all_time()
        if BAD and tool == "memcheck" and number == 1:
            say("========= Invalid __global__ write of size 4 bytes\n=========     at kernel")
            hang()
        say(f"[       OK ] {test} (900 ms)")
    say("========= RACECHECK SUMMARY: 0 hazards displayed" if tool == "racecheck" else "========= ERROR SUMMARY: 0 errors")
    return 0


def ncu():
    if BEHAVIOUR == "slow":
        use_all_time()
    say('==PROF== Connected\n"ID","Kernel Name","Metric Name","Metric Value"\n"0","k(int)","dram__bytes.sum","1,024"')
    if BAD and "resident" in WORDS[WORDS.index("--kernel-name") + 1]:
        crash()
    return 0


def python():
    """A Python with PyTorch."""
    if "-c" in WORDS:
        say("2.11.0 True" if "torch" in WORDS[-1] else "/nowhere")
        return 0
    if WORDS[0].endswith("check.py"):
        say("ok rnn_resets careful worst y 1e-16\nFAIL rnn_oja careful y" if BAD else "ok rnn_resets careful worst y 1e-16")
        return int(BAD)
    return times()


sys.exit({"cuda_test": cuda_test, "plasticity": plasticity, "gpu_operations": gpu_operations, "device_ceilings": device_ceilings,
          "compute-sanitizer": compute_sanitizer, "ncu": ncu, "python": python}[NAME]())
