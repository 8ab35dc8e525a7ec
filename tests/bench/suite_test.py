#!/usr/bin/env python3
"""Tests of bench/run, bench/compare and the programs below them, from outside: suite_test.py BUILD"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
BUILD = pathlib.Path(sys.argv[1]).resolve()
NO_PEER = {"PLASTICITY_PYTHON": "/nowhere/python", "PLASTICITY_THREADS": "1"}


def run(*words, **environment):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=300,
                          env=os.environ | NO_PEER | environment)


class Checks(unittest.TestCase):
    def one(self, *words):
        return run(BUILD / "bench/plasticity_bench", "--operation=forward", "--benchmark_filter=sweep_N/.*_N32_",
                   "--benchmark_min_time=0.001", *words)

    def test_a_right_result_is_timed(self):
        done = self.one()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("percent_of_copy", done.stdout)

    def test_a_wrong_result_fails_the_command(self):
        done = self.one("--tolerance=0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("differs from the reference", done.stdout)

    def test_an_unknown_operation_is_named(self):
        done = run(BUILD / "bench/plasticity_bench", "--operation=sideways")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--operation: expected", done.stderr)
        self.assertIn("got sideways", done.stderr)


class Suite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.out = pathlib.Path(cls.folder.name)
        cls.done = run(BENCH / "run", "--smoke", "--build", BUILD, "--out", cls.out, "--threads", "1")
        cls.results = json.loads((cls.out / "bench.json").read_text())

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_it_ends_well(self):
        self.assertEqual(self.done.returncode, 0, self.done.stdout + self.done.stderr)
        self.assertEqual(self.results["failures"], [])

    def test_every_operation_has_a_benchmark(self):
        seen = {name.split("/")[0] for name in self.results["operations"]}
        self.assertEqual(seen, {"copy", "forward", "backward", "step", "training"})
        for name, done in self.results["operations"].items():
            self.assertGreater(done["seconds"]["median"], 0, name)

    def test_missing_peers_are_named(self):
        self.assertEqual(set(self.results["missing"]), {"torch", "jax", "sparx"})
        self.assertIn("missing: torch: python: No such file or directory", self.done.stdout)

    def test_results_name_no_folder(self):
        self.assertNotIn(str(BUILD), (self.out / "bench.json").read_text())

    def test_the_library_has_a_time_and_a_picture(self):
        ours = self.results["sweep"][0]["contenders"]["plasticity"]
        self.assertGreater(ours["both_ms_per_step"]["median"], 0)
        self.assertGreater(ours["memory_bytes"], 0)
        if "no picture is written" not in self.done.stderr:  # built with Cairo
            self.assertEqual((self.out / "bench.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_saved_results_print_again(self):
        done = run(BENCH / "run", "--table", self.out / "bench.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("GFLOP/s", done.stdout)
        self.assertEqual(run(BENCH / "run", "--table", self.out / "bench.json", "--markdown").returncode, 0)

    def test_results_compare_with_themselves_and_with_slower_ones(self):
        same = run(BENCH / "compare", self.out / "bench.json", self.out / "bench.json")
        self.assertEqual(same.returncode, 0, same.stderr)
        for done in self.results["operations"].values():
            for value in (done.get("ms_per_step", {}), done["seconds"]):
                value.update({key: 3 * value[key] for key in value if key != "repetitions"})
        slower = self.out / "slower.json"
        slower.write_text(json.dumps(self.results))
        self.assertEqual(run(BENCH / "compare", self.out / "bench.json", slower).returncode, 1)
        self.assertEqual(run(BENCH / "compare", slower, self.out / "bench.json").returncode, 0)

    def test_what_is_no_result_is_refused(self):
        broken = self.out / "broken.json"
        broken.write_text("{}")
        done = run(BENCH / "compare", broken, self.out / "bench.json")
        self.assertEqual(done.returncode, 2)
        self.assertIn("broken.json: expected results of bench/run", done.stderr)

    def test_a_wrong_part_is_refused(self):
        done = run(BENCH / "run", "--only", "everything")
        self.assertEqual(done.returncode, 2)
        self.assertIn("got everything", done.stderr)


class Training(unittest.TestCase):
    def test_it_goes_on_turn_by_turn_and_repeats(self):
        def losses(turns):
            done = subprocess.run([BUILD / "bench/binary_patterns", "--neurons", "30", "--episodes", "2", "--paced"],
                                  input="go\n" * turns, capture_output=True, text=True, check=True, timeout=60)
            return [json.loads(line) for line in done.stdout.splitlines()]

        first, second = losses(2)
        self.assertEqual((first["episodes"], second["episodes"]), (2, 4))
        self.assertEqual([first, second][0]["losses"], losses(1)[0]["losses"])
        self.assertTrue(all(0 <= error <= 1 for error in first["sign_errors"]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
