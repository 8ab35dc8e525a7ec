"""Checks examples/run_all with a stand-in for a program: outcomes are stored, the rest is run after a failure, means are judged.

`python3 run_all_test.py RUN_ALL FOLDER` works in FOLDER, which it empties first.
"""
import json
import pathlib
import shutil
import subprocess
import sys

# Writes the outcome of a seed as an experiment does. Fails for the seeds in fails.txt, and lists the seeds that it ran in ran.txt.
PROGRAM = """#!{python}
import json, pathlib, sys
words = sys.argv[1:]
seed, out = int(words[words.index("--seed") + 1]), pathlib.Path(words[words.index("--out") + 1])
home = pathlib.Path(__file__).parent
with open(home / "ran.txt", "a") as file:
    file.write(f"{{seed}} ")
if str(seed) in (home / "fails.txt").read_text().split():
    sys.exit("no more memory")
learner = {{"name": "completion", "values": [seed / 10], "expected": "below 0.25", "curve": {{"x": [1, 2], "median": [1, seed / 10]}}}}
json.dump({{"experiment": "tasks_2016", "command": " ".join(["tasks_2016", *words]), "metric": "loss", "chance": 0.7,
           "log_y": True, "iteration": "episodes", "iterations": 2, "seeds": [seed], "device": "cpu", "seconds": 1,
           "processor_seconds": 2, "learners": [learner]}}, open(out / "tasks_2016.json", "w"))
sys.exit(1 if seed > 2 else 0)
"""


def main(run_all, folder):
    shutil.rmtree(folder, ignore_errors=True)
    programs = folder / "build/examples"
    programs.mkdir(parents=True)
    program = programs / "tasks_2016"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)

    def run(fails, *words):
        (programs / "fails.txt").write_text(fails)
        (programs / "ran.txt").write_text("")
        done = subprocess.run([sys.executable, "-B", run_all, "--scale", "quick", "--build", folder / "build", "--out",
                               folder / "out", "--only", "2016_tasks", *words], capture_output=True, text=True, check=False)
        return done.returncode, sorted((programs / "ran.txt").read_text().split()), done.stdout + done.stderr

    def table():
        return json.loads((folder / "out/table.json").read_text())["rows"][0]["result"]["learners"][0]

    code, ran, output = run("2", "--jobs", "2")
    assert (code, ran) == (2, ["1", "2", "3"]), (code, ran, output)
    assert "2016 tasks, seed 2: code 1 and no outcome" in output and "no more memory" in output, output
    assert "| 2 of 3 |" in (folder / "out/table.md").read_text()

    code, ran, output = run("")
    assert (code, ran) == (0, ["2"]), (code, ran, output)
    learner = table()
    assert learner["values"] == [.1, .2, .3] and learner["met"], learner
    assert learner["curve"] == {"x": [1, 2], "median": [1, .2], "low": [1, .1], "high": [1, .3]}, learner

    outcome = folder / "out/2016_tasks/seed_3/tasks_2016.json"
    outcome.write_text(outcome.read_text().replace("[0.3]", "[0.9]"))
    code, ran, output = run("")
    assert (code, ran) == (1, []) and "expected below 0.25, got 0.4" in output, (code, ran, output)

    outcome.write_text(outcome.read_text()[:40])  # cut off, as by a full disk
    code, ran, output = run("")
    assert (code, ran) == (0, ["3"]), (code, ran, output)

    program.unlink()
    outcome.unlink()
    code, ran, output = run("")
    assert code == 2 and "build the examples first" in output and table()["values"] == [.1, .2], output
    print("run_all keeps, resumes and judges the outcomes")


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
