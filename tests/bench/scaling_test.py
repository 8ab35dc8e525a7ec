#!/usr/bin/env python3
"""Tests of bench/scaling from outside: scaling_test.py BUILD MPIRUN"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCALING = pathlib.Path(__file__).resolve().parents[2] / "bench/scaling"
BUILD, MPIRUN = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=120)


class Measurement(unittest.TestCase):
    def test_ranks_are_timed_and_have_the_bits_of_one(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "scaling.json"
            done = run(SCALING / "scaling.py", "--smoke", "--build", BUILD, "--mpirun", MPIRUN, "--save", file)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            results = json.loads(file.read_text())
            again = run(SCALING / "scaling.py", "--table", file, "--markdown")
        self.assertEqual([shape["same_bits"] for shape in results["shapes"]], [True, None])
        for shape in results["shapes"]:
            for name, time in shape["iteration_ms"].items():
                self.assertGreater(time["median"], 0, name)
        self.assertIn("| rnn, N 16, B 4 |", again.stdout)
        self.assertNotIn(str(BUILD), json.dumps(results))

    def test_a_run_that_fails_is_named(self):
        done = run(SCALING / "scaling.py", "--smoke", "--build", BUILD / "nowhere", "--mpirun", MPIRUN)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("FAILED: rnn, N 16, B 4, one: ", done.stdout)

    def test_a_launcher_that_starts_no_ranks_is_an_error(self):
        # The second is an mpirun of another MPI than the program's: each of its processes is the only rank.
        for script, got in (('shift 2; exec "$@"', "got 1:"), ('n=$2; shift 2; for k in $(seq $n); do "$@"; done', "got 1 and 1:")):
            with tempfile.TemporaryDirectory() as folder:
                launcher = pathlib.Path(folder) / "launcher"
                launcher.write_text(f"#!/bin/sh\n{script}\n")
                launcher.chmod(0o755)
                done = run(SCALING / "scaling.py", "--smoke", "--build", BUILD, "--mpirun", launcher)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stdout, f"FAILED: .*, (strong|weak): expected 2 ranks, {got}")

    def test_a_file_that_has_no_results_is_an_error(self):
        for file in (SCALING / "missing.json", SCALING / "scaling.py"):
            done = run(SCALING / "scaling.py", "--table", file)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"--table: expected a file of results, got {file}", done.stderr)

    def test_a_batch_that_ranks_do_not_divide_ends_all_ranks(self):
        done = run(*MPIRUN.split(), "-n", "2", BUILD / "bench/scaling", "--neurons", "8", "--batch", "3")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("batch: expected a multiple of 2", done.stderr)


class Model(unittest.TestCase):
    def test_it_prints_tables_and_draws(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run(SCALING / "model.py", "--build", BUILD, "--out", folder)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            if "no picture is written" not in done.stdout:  # built with Cairo
                self.assertEqual((pathlib.Path(folder) / "scaling.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        self.assertIn("| 4,096 GPUs |", done.stdout)
        self.assertEqual(done.stdout.count("\n| rnn, N 1024, B 16 |"), 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
