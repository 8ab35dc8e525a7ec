"""Runs programs with a time limit, keeps their output, and ends them with the script. Types of options."""
import argparse
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Failed(Exception):
    """A program failed. The message says why."""


class OutOfTime(Failed):
    """A program exceeded its time limit."""


class Clock:
    """The remaining time of `limit` seconds. None: no limit."""

    def __init__(self, limit=None):
        self.start, self.limit = time.monotonic(), limit

    def spent(self):
        return time.monotonic() - self.start

    def left(self, at_most=float("inf")):
        return at_most if self.limit is None else min(at_most, self.limit - self.spent())

    def share(self, of):
        """A clock over a share of the remaining time."""
        return Clock(None if self.limit is None else max(0.0, of * self.left()))


def positive(text):
    """The type of an option that is an integer, at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def run(command, seconds, environment=None, visible=False):
    """(exit code, stdout, stderr) of a program. Raises Failed if it cannot start or exceeds its time."""
    try:
        program = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=None if visible else subprocess.PIPE, text=True, errors="replace",
                                   env=os.environ | (environment or {}), start_new_session=True)
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from error
    try:
        output, errors = program.communicate(timeout=max(seconds, 0.1) if seconds != float("inf") else None)
    except subprocess.TimeoutExpired as late:
        raise OutOfTime(f"{pathlib.Path(command[0]).name}: not done after {seconds:.0f} s") from late
    finally:
        end(program)
    return program.returncode, output, errors or ""


def print_saved(path, table):
    """Prints the table of a file of results. Returns the exit code: 2 if the file has none."""
    try:
        print(table(json.loads(path.read_text())))
        return 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"--table: expected a file of results, got {path}: {type(error).__name__}: {error}", file=sys.stderr)
        return 2


def end(program):
    """Ends a running program and its children."""
    if program.poll() is None:
        try:
            os.killpg(program.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        program.wait()


class Paced:
    """A program that times one round per input line: `plasticity time --paced` and the peers."""

    def __init__(self, command, environment=None):
        self.name = pathlib.Path(str(command[1] if "python" in str(command[0]) else command[0])).name
        self.errors = b""
        try:
            self.program = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                                            env=os.environ | (environment or {}), start_new_session=True)
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from error

    def round(self, seconds):
        """The result of one round. Raises Failed; the program has then ended."""
        try:
            self.program.stdin.write(b"go\n")
        except OSError:
            pass  # it has ended, and its last words tell why
        answer, deadline = b"", time.monotonic() + seconds
        streams = {self.program.stdout: "out", self.program.stderr: "err"}
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select(list(streams), [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.end()
                raise OutOfTime(f"{self.name}: not done after {seconds:.0f} s")
            for stream in ready:
                piece = os.read(stream.fileno(), 1 << 16)
                if not piece:
                    del streams[stream]
                elif streams[stream] == "out":
                    answer += piece
                else:
                    self.errors += piece
            if self.program.stdout not in streams and self.program.stderr not in streams:
                self.end()
                raise Failed(last_line(self.errors.decode(errors="replace")) or f"{self.name}: ended without a result")
        try:
            return json.loads(answer)
        except ValueError as error:
            self.end()
            raise Failed(f"{self.name}: its output is no JSON") from error

    def end(self):
        end(self.program)
        for stream in (self.program.stdin, self.program.stdout, self.program.stderr):
            stream.close()
