"""Runs programs within their time and keeps their output, also if they crash, hang or are cut off."""
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

KILL_SECONDS = 2.0  # that a killed program gets to go away
# An error that the CUDA context does not survive: whatever the process does afterwards fails with it.
STICKY = re.compile(r"cudaError(IllegalAddress|IllegalInstruction|LaunchFailure|MisalignedAddress|HardwareStackError|InvalidPc"
                    r"|InvalidAddressSpace|Assert|LaunchTimeout|ECCUncorrectable|Unknown)")
BLOCK_BYTES = 300_000  # of a program's output that a log keeps at most, its first and its last half


class Outcome:
    """How a program ended. status: ok, failed (an exit code), crashed (a signal), hung (it printed nothing for too long),
    cut off (its time was up)."""

    def __init__(self, status, why, output="", errors="", seconds=0.0):
        self.status, self.why, self.output, self.errors, self.seconds = status, why, output, errors, seconds

    @property
    def ended(self):
        """Whether it ended by itself, with an exit code."""
        return self.status in ("ok", "failed")

    def last_error(self):
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return lines[-1] if lines else self.why


class Pipes:
    """Threads that keep a program's output and write its input. `last`: the time of the last output."""

    def __init__(self, program, text):
        self.program, self.last, self.kept = program, time.monotonic(), ([], [])
        self.threads = [threading.Thread(target=self.read, args=each, daemon=True)
                        for each in zip((program.stdout, program.stderr), self.kept)]
        if text is not None:
            self.threads.append(threading.Thread(target=self.write, args=(text,), daemon=True))
        for thread in self.threads:
            thread.start()

    def read(self, pipe, chunks):
        while chunk := os.read(pipe.fileno(), 65536):
            chunks.append(chunk)
            self.last = time.monotonic()

    def write(self, text):
        try:
            self.program.stdin.write(text.encode())
            self.program.stdin.close()
        except OSError:  # it ended before it had read everything
            pass

    def texts(self):
        """The output and the errors, after the program has ended."""
        for thread in self.threads:
            thread.join(KILL_SECONDS)
        return (b"".join(chunks).decode(errors="replace") for chunks in self.kept)


class Programs:
    """The running programs, so that all of them can be ended."""

    def __init__(self):
        self.lock, self.running, self.stopped = threading.Lock(), set(), 0

    def kill(self, program):
        try:  # it leads a session of its own, so its children end too
            os.killpg(program.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def stop(self, number):
        """Ends all programs after a signal, and starts no more."""
        self.stopped = number
        for program in list(self.running):
            self.kill(program)

    def run(self, command, limit, stall=None, environment=None, text=None):
        """The Outcome of a command that has `limit` seconds, and `stall` seconds from one output to the next."""
        start = time.monotonic()
        if self.stopped:
            return Outcome("cut off", "not started: stopped by a signal")
        try:
            program = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
                                       env=environment, start_new_session=True)
        except OSError as error:
            return Outcome("failed", f"{pathlib.Path(command[0]).name}: {error.strerror}")
        with self.lock:
            self.running.add(program)
        if self.stopped:
            self.kill(program)
        pipes = Pipes(program, text)
        status, why = self.wait(program, pipes, limit, stall)
        self.kill(program)
        try:
            program.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:  # stuck in the driver: it is left behind
            pass
        output, errors = pipes.texts()
        with self.lock:
            self.running.discard(program)
        return Outcome(status, why, output, errors, time.monotonic() - start)

    def wait(self, program, pipes, limit, stall):
        """Waits until a program ends or its time is up: its status, and why."""
        end = time.monotonic() + limit
        while True:
            now = time.monotonic()
            if now >= end:
                return "cut off", f"cut off after {limit:.0f} s"
            if stall and now >= pipes.last + stall:
                return "hung", f"printed nothing for {stall:.0f} s"
            try:
                code = program.wait(min(end - now, 0.2))
                break
            except subprocess.TimeoutExpired:
                pass
        if self.stopped:
            return "cut off", "stopped by a signal"
        if code < 0:
            return "crashed", f"ended by signal {-code} ({signal.strsignal(-code) or 'unknown'})"
        return "failed" if code else "ok", f"exit code {code}"


def shortened(text):
    """The text, or its first and last half if it is too long for a log.

    >>> len(shortened("x" * 1_000_000)) < 310_000, shortened("short")
    (True, 'short')
    """
    if len(text) <= BLOCK_BYTES:
        return text
    half = BLOCK_BYTES // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} bytes are left out]\n{text[-half:]}"


class Part:
    """A part of a profile at work: its time, its log, its notes. Threads may share one."""

    def __init__(self, name, deadline, log, programs):
        self.name, self.deadline, self.log, self.programs = name, deadline, log, programs
        self.start, self.status, self.notes, self.no_time = time.monotonic(), "ok", [], []
        self.lock = threading.Lock()

    def left(self):
        return self.deadline - time.monotonic()

    def note(self, note):
        with self.lock:
            print(f"   {note}", flush=True)
            self.notes.append(note)

    def fail(self, note, status="failed"):
        self.note(note)
        with self.lock:
            if self.status in ("ok", "no time"):
                self.status = status

    def out_of_time(self, what):
        """Something that there was no time for; the table names it."""
        with self.lock:
            self.no_time.append(what)
            if self.status == "ok":
                self.status = "no time"

    def run(self, label, command, limit=None, **options):
        """Runs a command within the part's time, and logs it."""
        outcome = self.programs.run(command, max(0.1, min(self.left(), limit or self.left())), **options)
        block = (f"=== {label}: {outcome.why}, {outcome.seconds:.1f} s\n+ {' '.join(map(str, command))}\n"
                 f"{shortened(outcome.output)}")
        if outcome.errors:
            block += f"--- stderr\n{shortened(outcome.errors)}"
        with self.lock, open(self.log, "a", encoding="utf-8") as log:
            log.write(block if block.endswith("\n") else block + "\n")
        return outcome

    def run_items(self, label, items, command, parse, text=None, **options):
        """Runs items, all in one process, {item: result}; a result is a dict with a "status".

        command(items) is the command, text(items) its input; parse(output, items) returns the results of the items
        that are done, and the item that had begun. The process may end early: then the item at which it ended is blamed,
        and a new process continues with those after it, as it does after a result that is "fatal". No item hides another."""
        results, pending, idle = {}, list(items), 0
        while pending and self.left() >= 0.5 and not self.programs.stopped:
            outcome = self.run(label, command(pending), text=text(pending) if text else None, **options)
            done, begun = parse(outcome.output, pending)
            results.update(done)
            rest = [item for item in pending if item not in done]
            if not rest:
                if not outcome.ended:
                    self.fail(f"{label}: {outcome.why}, after its last result")
                return results
            if any(result.get("fatal") for result in done.values()):
                pending = rest
                continue
            if outcome.ended:  # without a result for the others
                for item in rest:
                    results[item] = {"status": "not run", "note": outcome.last_error()}
                return results
            idle = 0 if done else idle + 1
            blamed = begun if begun in rest else rest[0]
            results[blamed] = {"status": outcome.status, "note": outcome.why}
            pending = [item for item in rest if item != blamed]
            if idle == 3:  # it dies for any item
                for item in pending:
                    results[item] = {"status": "not run", "note": f"three processes in a row: {outcome.why}"}
                return results
        for item in pending:
            self.out_of_time(f"{label}: {item}")
        return results

    def summary(self):
        return {"status": self.status, "seconds": round(time.monotonic() - self.start, 1), "notes": self.notes,
                "no_time": self.no_time}
