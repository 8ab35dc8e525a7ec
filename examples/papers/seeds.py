"""Runs the seeds of experiments, several programs at a time. A finished seed is not run again."""
import json
import os
import pathlib
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

EXAMPLES = pathlib.Path(__file__).resolve().parents[1]
# One thread each: seeds beside each other use the processors better than the threads of one seed.
ENVIRONMENT = {**os.environ, "PLASTICITY_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Unavailable(Exception):
    """A program that this machine cannot run, with the remedy."""


@dataclass(frozen=True)
class Job:
    """One seed of an experiment, of one learner if they are trained one by one."""

    title: str
    start: tuple  # the program, with its interpreter if it has one
    arguments: tuple
    outcome: pathlib.Path

    def result(self):
        """The outcome, or None: not run, cut off, or run with other arguments."""
        try:
            result = json.loads(self.outcome.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        same = result["command"].split(" --out ")[0] == " ".join((self.outcome.stem, *self.arguments))
        return result if same else None

    def run(self):
        """Returns the exit code and the last lines of the output, which log.txt holds."""
        folder = self.outcome.parent
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "log.txt"
        with open(log, "w", encoding="utf-8") as output:
            code = subprocess.run([*self.start, *self.arguments, "--out", folder], env=ENVIRONMENT,
                                  stdout=output, stderr=subprocess.STDOUT, check=False).returncode
        return code, log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]


def find_program(program, build, python):
    """The words that start a program. Raises Unavailable."""
    if program.endswith(".py"):
        if subprocess.run([python, "-c", "import plasticity.torch"], capture_output=True, check=False).returncode != 0:
            raise Unavailable(f"{python} lacks plasticity.torch; name a Python that has it by --python (./run python-test makes one)")
        return str(python), str(EXAMPLES / program)
    binary = build / "examples" / program
    if not binary.exists():
        raise Unavailable(f"{binary} does not exist; build the examples first (./run build)")
    return (str(binary),)


def jobs_of(experiment, scale, out, start, data):
    """All jobs of an experiment at a scale, seed by seed. `data` is the folder of its data set, if it needs one."""
    size, stem = experiment.size(scale), pathlib.Path(experiment.program).stem
    jobs = []
    for seed in range(1, size.seeds + 1):
        for learner in experiment.learners or (None,):
            folder = out / experiment.slug / f"seed_{seed}"
            arguments = (*shlex.split(size.arguments), *(("--data", str(data)) if data else ()), "--seed", str(seed))
            title = f"{experiment.name}, seed {seed}"
            if learner is not None:
                folder /= learner.replace(" ", "_")
                arguments += ("--only", learner)
                title += f", {learner}"
            jobs.append(Job(title, start, arguments, folder / f"{stem}.json"))
    return jobs


def run(jobs, at_once, finished):
    """Runs the jobs that have no outcome, `at_once` at a time, and calls finished() after each. Returns the failures."""
    failures = []
    pool = ThreadPoolExecutor(at_once)
    try:
        started = {pool.submit(_timed, job): job for job in jobs}
        for future in as_completed(started):
            job, (code, tail, seconds) = started[future], future.result()
            print(f"== {job.title}: {seconds:.0f} s", *tail, sep="\n   ", flush=True)
            if job.result() is None:  # else code 1: a seed missed an expectation, which only the mean must meet
                failures.append(f"{job.title}: code {code} and no outcome, see {job.outcome.parent / 'log.txt'}")
            finished()
    finally:
        pool.shutdown(cancel_futures=True)
    return failures


def _timed(job):
    start = time.monotonic()
    return (*job.run(), time.monotonic() - start)
