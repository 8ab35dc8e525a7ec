#!/usr/bin/env python3
"""The GPU kit's `run` with stand-ins for its programs: nothing is lost when they crash, hang, or print half a report,
and the time limits hold."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench/gpu"))
sys.dont_write_bytecode = True
import assemble  # noqa: E402
import correctness  # noqa: E402

TOOLS = ("compute-sanitizer", "ncu", "python")
PROFILES = ("first", "figures", "deep")
STALL = "2"


class StandIns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="gpu_kit_")
        cls.path = pathlib.Path(cls.folder.name)
        cls.kit = cls.path / "kit"
        assemble.copy_sources(cls.kit)
        (cls.kit / "kit.json").write_text(json.dumps({"commit": "abc", "changed": False, "programs": assemble.PROGRAMS, "needs": [],
                                                      "architectures": "90-real", "alternatives": True}))
        for folder, names in ((cls.kit / "bin", assemble.PROGRAMS), (cls.path / "tools", TOOLS)):
            folder.mkdir()
            for name in names:
                shutil.copy(HERE / "stand_in.py", folder / name)
                (folder / name).chmod(0o755)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def environment(self, behaviour, tools=True):
        path = os.environ["PATH"]
        home = str(self.path / "no-toolkit")
        return os.environ | {"STAND_IN": behaviour, "PYTHON": str(self.path / "tools/python"), "CUDA_HOME": home, "CUDA_PATH": home,
                             "PATH": f"{self.path / 'tools'}:{path}" if tools else path}

    def start(self, profile, behaviour, out, *words, **options):
        return subprocess.Popen([sys.executable, self.kit / "run", profile, "--assume-gpu", "--stall", STALL, "--out", self.path / out,
                                 *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
                                env=self.environment(behaviour, **options))

    def run_profile(self, profile, behaviour, out, *words, **options):
        """The exit code, the output, the results, the seconds."""
        began = time.monotonic()
        program = self.start(profile, behaviour, out, *words, **options)
        output = program.communicate(timeout=200)[0]
        seconds = time.monotonic() - began
        results = json.loads((self.path / out / f"{profile}.json").read_text())
        self.assertTrue(output.rstrip().endswith((self.path / out / f"{profile}.txt").read_text().rstrip()), output)
        self.assert_few_files(out)
        return program.returncode, output, results, seconds

    def run_profiles(self, behaviour, *words, profiles=PROFILES):
        """As run_profile(), several at once: {profile: its outcome}."""
        with concurrent.futures.ThreadPoolExecutor(len(profiles)) as pool:
            jobs = {profile: pool.submit(self.run_profile, profile, behaviour, f"{behaviour}-{profile}", *words)
                    for profile in profiles}
            return {profile: job.result() for profile, job in jobs.items()}

    def running(self):
        """How many of the kit's programs run."""
        count = 0
        for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                count += str(self.kit / "bin").encode() in process.read_bytes()
            except OSError:  # it has ended
                pass
        return count

    def assert_few_files(self, out):
        files = [file for file in (self.path / out).rglob("*") if file.is_file()]
        self.assertLessEqual(len(files), 10, files)
        self.assertTrue(all(file.parent == self.path / out for file in files), files)

    def test_good_programs_pass_every_profile(self):
        for profile, (code, output, results, _) in self.run_profiles("good", "--limit", "60").items():
            self.assertEqual(code, 0, output)
            self.assertEqual({part["status"] for part in results["parts"].values()}, {"ok"}, output)
            self.assertNotIn("No time", output)
            if profile == "first":
                self.assertEqual(len(results["parity"]), 10)
                self.assertEqual(list(results["suites"]["CudaPaths cta"]), ["Each/CudaPaths.Hangs/cta", "Each/CudaPaths.After/cta"])
            if profile == "figures":
                self.assertEqual(len(results["times"]), 13 * 6 * 2)
                self.assertEqual(len(results["peers"]), 13 * 4)
            if profile == "deep":
                self.assertEqual(results["tune"]["summary"], "8 times; error of the estimates 9 %, built in 12 %")
                self.assertTrue((self.path / "good-deep/tuning.json").exists())
                for arrival in ("barrier", "counted"):
                    self.assertEqual(sum(entry.get("extra") == f"arrivals: {arrival}" for entry in results["times"]), 13 * 2)
            saved = subprocess.run([sys.executable, self.kit / "run", "--table", self.path / f"good-{profile}/{profile}.json"],
                                   capture_output=True, text=True, check=False)
            self.assertEqual(saved.returncode, 0, saved.stderr)
            self.assertTrue(output.endswith(saved.stdout))

    def test_first_keeps_what_crashing_and_hanging_programs_had(self):
        code, output, results, _ = self.run_profile("first", "bad", "bad-first", "--limit", "90")
        self.assertEqual(code, 1, output)
        values = results["suites"]["CudaValues"]
        self.assertEqual({name.partition(".")[2]: result["status"] for name, result in values.items()},
                         {"Good": "ok", "Crashes": "crashed", "Fails": "failed", "After": "ok"})
        self.assertIn("signal 11", values["CudaValues.Crashes"]["note"])
        self.assertIn("y is wrong", values["CudaValues.Fails"]["note"])
        cta = results["suites"]["CudaPaths cta"]
        self.assertEqual([result["status"] for result in cta.values()], ["hung", "ok"])
        # Tests after a fault that the context does not survive run in a new process.
        self.assertEqual([result["status"] for result in results["suites"]["CudaSticky"].values()], ["failed", "ok"])
        self.assertEqual(results["suites"]["CudaPaths grid"]["Each/CudaPaths.After/grid"]["status"], "ok")
        self.assertEqual(results["suites"]["CudaLast"]["CudaLast.Skips"]["status"], "skipped")
        crashed = results["parity"]["parity f32 cluster"]
        self.assertEqual([name for name, result in crashed.items() if result["status"] != "ok"], ["rnn_resets"])
        self.assertEqual((crashed["rnn_resets"]["status"], len(crashed)), ("crashed", 23))
        self.assertEqual(results["parity"]["parity bf16 grid"]["rnn_resets"],
                         {"status": "failed", "note": "y at [0]: got 1 want 2"})
        self.assertEqual(len(results["parity"]["parity f32 step"]), 23)
        # The ceilings hung after two numbers, and these are kept.
        self.assertEqual(results["ceilings"], {"launch_us": 2, "graph_node_us": 1.5})
        self.assertEqual(results["parts"]["ceilings"]["status"], "hung")
        # One configuration does not fit, one has an error that no context survives, one crashes. The rest is timed.
        by = {(entry["neurons"], entry["precision"], entry["execution"], entry["name"]): entry for entry in results["times"]}
        self.assertEqual(len(by), 5 * 6 * 2)
        wrong = [key for key, entry in by.items() if "error" in entry and "refused" not in entry]
        self.assertEqual({key[0] for key in wrong}, {200})
        self.assertEqual({key[2] for key in wrong}, {"grid", "cta"})
        self.assertTrue(any("signal 11" in by[key]["error"] for key in wrong))
        self.assertTrue(any("IllegalAddress" in by[key]["error"] for key in wrong))
        self.assertTrue(by[64, "f32", "cta", "rnn decay fixed N 64 B 64"]["refused"])
        self.assertEqual([line["operation"] for line in results["operations"]], ["forward", "backward"])
        self.assertIn("operations: crashed after backward rnn", output)
        self.assertIn("y is wrong", (self.path / "bad-first/first.correctness.log").read_text())

    def test_figures_and_deep_keep_what_there_was(self):
        done = self.run_profiles("bad", "--limit", "90", profiles=("figures", "deep"))
        code, output, results, _ = done["figures"]
        self.assertEqual(code, 1, output)
        self.assertEqual(len(results["peers"]), 13 * 4)
        self.assertEqual({entry["mode"] for entry in results["peers"] if "error" in entry}, {"graph", "compile"})
        code, output, results, _ = done["deep"]
        self.assertEqual(code, 1, output)
        memcheck = results["sanitizers"]["memcheck"]
        self.assertEqual([result["status"] for result in memcheck["tests"].values()], ["ok", "hung", "ok", "hung", "ok"])
        self.assertIn("Invalid __global__ write of size 4 bytes", memcheck["summary"])
        self.assertGreaterEqual(memcheck["errors"], 1)
        self.assertEqual(len(results["sanitizers"]["racecheck"]["tests"]), 5)
        self.assertEqual([entry["launches"] for entry in results["ncu"]], [{"k(int)": {"dram__bytes.sum": 1024.0}}] * 4)
        self.assertEqual(results["parts"]["ncu"]["status"], "failed")
        self.assertEqual(results["parts"]["tune"]["status"], "crashed")
        self.assertFalse((self.path / "bad-deep/tuning.json").exists())
        self.assertTrue(results["times"])

    def test_the_limits_hold_when_programs_take_all_the_time_they_get(self):
        limit = 14
        done = self.run_profiles("slow", "--limit", str(limit))
        for code, output, results, seconds in done.values():
            self.assertLess(seconds, limit + 1, output)  # Python itself takes a moment to start
            self.assertEqual(code, 1, output)
            self.assertNotIn("began", {part["status"] for part in results["parts"].values()})
            self.assertIn("No time for", output)
        _, output, results, _ = done["figures"]
        self.assertIn("PyTorch: rnn hard_clip fan_out N 200 B 30 compile", output)
        self.assertEqual(len(results["parts"]["times"]["no_time"]) + len(results["times"]), 13 * 6 * 2)

    def test_programs_that_die_at_once_are_not_started_over_and_over(self):
        code, output, results, seconds = self.run_profile("first", "dead", "dead", "--limit", "60")
        self.assertEqual(code, 1)
        self.assertLess(seconds, 40)
        self.assertEqual(len(results["parity"]["parity f32 step"]), 23)
        statuses = [result["status"] for result in results["parity"]["parity f32 step"].values()]
        self.assertEqual((statuses[:3], set(statuses[3:])), (["crashed"] * 3, {"not run"}))

    def test_a_signal_ends_it_with_what_there_is(self):
        program = self.start("first", "slow", "stopped")
        for line in program.stdout:
            if line.startswith("== correctness"):
                break
        time.sleep(2)
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=20)
        self.assertEqual(program.returncode, 128 + signal.SIGTERM)
        results = json.loads((self.path / "stopped/first.json").read_text())
        self.assertIn("CudaValues", results["suites"])
        self.assertEqual(self.running(), 0)

    @unittest.skipIf(correctness.find_tool("compute-sanitizer"), "this machine has compute-sanitizer")
    def test_missing_tools_are_named(self):
        code, output, results, _ = self.run_profile("deep", "good", "no-tools", "--limit", "60", tools=False)
        self.assertEqual((code, results["parts"]["sanitizers"]["status"]), (1, "missing"))
        self.assertIn("no compute-sanitizer", output)

    def test_some_parts_of_a_profile_run_alone(self):
        code, output, results, _ = self.run_profile("deep", "good", "parts", "--parts", "tune,exchange")
        self.assertEqual(code, 0, output)
        self.assertEqual(list(results["parts"]), ["kit", "exchange", "tune"])
        done = subprocess.run([sys.executable, self.kit / "run", "deep", "--parts", "exchange,peers"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--parts: expected sanitizers, ncu, exchange, measurements, alternatives, tune, operations, got peers", done.stderr)

    def test_wrong_arguments_are_refused(self):
        for words in (["second"], [], ["first", "--seconds", "0"], ["first", "--limit", "x"], ["--table", "missing.json"],
                      ["--table", "kit.json"]):
            done = subprocess.run([sys.executable, self.kit / "run", *words], capture_output=True, text=True, check=False, cwd=self.kit)
            self.assertEqual(done.returncode, 2, words)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
