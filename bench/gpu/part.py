"""A part of bench/gpu/run at work: programs run within its time, what they print is kept."""
import json
import os
import pathlib
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class OutOfTime(Exception):
    """A part's time is used up."""


class Part:
    """A part at work: runs programs within its time, keeps their output, and notes what comes of it."""

    def __init__(self, name, deadline, logs):
        self.name, self.deadline, self.logs = name, deadline, logs
        self.start, self.status, self.notes = time.monotonic(), "ok", []

    def fail(self, note, status="failed"):
        print(f"   {self.name}: {status}: {note}", flush=True)
        self.notes.append(note)
        if self.status == "ok":
            self.status = status

    def note(self, note):
        print(f"   {note}", flush=True)
        self.notes.append(note)

    def left(self):
        return max(0.0, self.deadline - time.monotonic())

    def run(self, log, command, limit=None):
        """(exit code, stdout, last line of stderr) of a program; None if it did not end in time, which is noted."""
        limit = min(self.left(), limit or float("inf"))
        if limit < 1:
            raise OutOfTime(log)
        paths = [self.logs / f"{self.name}.{log}.{end}" for end in ("out", "err")]
        with open(paths[0], "wb") as out, open(paths[1], "wb") as err:
            err.write(("+ " + " ".join(map(str, command)) + "\n").encode())
            err.flush()
            try:  # in a session of its own, so that all it started can be ended with it
                program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT,
                                           start_new_session=True)
            except OSError as error:
                return 127, "", f"{pathlib.Path(command[0]).name}: {error.strerror}"
            try:
                code = program.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                if program.poll() is None:
                    os.killpg(program.pid, signal.SIGKILL)
                    program.wait()
        output, errors = (path.read_text(errors="replace") for path in paths)
        if code is None:
            self.fail(f"{log} ended after {limit:.0f} s", "timed out")
            return None
        lines = [line for line in errors.splitlines()[1:] if line.strip()]
        return code, output, lines[-1].strip() if lines else f"exit code {code}"

    def json(self, log, command, limit=None):
        """What a program prints as JSON; None, with a note, if it does not. Also why not."""
        done = self.run(log, command, limit)
        if done is None:
            return None, "out of time"
        code, output, problem = done
        if code == 0:
            try:
                return json.loads(output), None
            except ValueError:
                problem = "its output is no JSON"
        self.fail(f"{log}: {problem}")
        return None, problem

    def done(self):
        return {"status": self.status, "seconds": round(time.monotonic() - self.start, 1), "notes": self.notes}
