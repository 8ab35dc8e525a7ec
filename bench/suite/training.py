"""The training comparison: binary patterns (2018) to a small sign error. The library and PyTorch take turns."""
import statistics

from programs import ROOT, Failed, Paced

GOAL = 0.01      # sign error, the mean of the last WINDOW episodes
WINDOW = 20
CHUNK = 10       # episodes of a turn
ALIKE = 5        # episodes after which the losses must still agree
CLOSE = 1e-3     # relative
TURN_LIMIT = 600  # seconds


def reached(errors, seconds):
    """The first episode, and its time, at which the mean sign error of the last WINDOW is below GOAL, or None.

    >>> reached([0.02] * 30, [1.0] * 30)
    >>> reached([0.02] * 10 + [0.0] * 20, [0.5] * 30)
    {'episodes': 21, 'seconds': 10.5}
    """
    for last in range(WINDOW, len(errors) + 1):
        if statistics.fmean(errors[last - WINDOW:last]) < GOAL:
            return {"episodes": last, "seconds": sum(seconds[:last])}
    return None


def alike(ours, theirs):
    """The relative difference of the first losses. With equal episodes and parameters only rounding differs.

    >>> alike([1000.0, 900.0], [1000.1, 900.0]) < 1e-3
    True
    >>> alike([1000.0], [1100.0])
    0.1
    """
    return max(abs(a - b) / a for a, b in zip(ours[:ALIKE], theirs[:ALIKE]))


class Contender:
    """A training program that runs in turns."""

    def __init__(self, command):
        self.paced = Paced(command)
        self.losses, self.errors, self.seconds, self.device = [], [], [], None

    def turn(self):
        done = self.paced.round(TURN_LIMIT)
        each = (done["seconds"] - sum(self.seconds)) / len(done["losses"])
        self.seconds += [each] * len(done["losses"])
        self.losses += done["losses"]
        self.errors += done["sign_errors"]
        self.device = done["device"]

    def result(self):
        return {"episodes": len(self.losses), "seconds": sum(self.seconds), "device": self.device,
                "sign_error": statistics.fmean(self.errors[-WINDOW:]), "reached": reached(self.errors, self.seconds),
                "losses": self.losses, "sign_errors": self.errors}


def measure(options, results):
    """Trains both until the goal or the number of --episodes is reached. Adds results["training"]."""
    words = ["--paced", "--threads", str(options.threads), "--episodes", str(min(CHUNK, options.episodes)),
             "--neurons", str(options.training_neurons)]
    commands = {"plasticity": [options.build / "bench/binary_patterns", *words]}
    if "torch" in options.found:
        commands["torch eager"] = [options.found["torch"][0], ROOT / "bench/peers/binary_patterns.py", *words]
    print(f"== training, at most {options.episodes} episodes", flush=True)
    running = {}
    try:
        for name, command in commands.items():
            running[name] = Contender(command)
        active = dict(running)
        while active:
            for name, each in list(active.items()):
                each.turn()
                if reached(each.errors, each.seconds) or len(each.losses) >= options.episodes:
                    del active[name]
                print(f"   {name}: {len(each.losses)} episodes, {sum(each.seconds):.1f} s, sign error"
                      f" {statistics.fmean(each.errors[-WINDOW:]):.2%}", flush=True)
    except Failed as problem:
        results["failures"].append(f"training: {problem}")
    finally:
        for each in running.values():
            each.paced.end()
    done = {name: each for name, each in running.items() if each.losses}
    results["training"] = {"goal": GOAL, "neurons": options.training_neurons,
                           "contenders": {name: each.result() for name, each in done.items()}}
    if len(done) == 2:
        off = alike(*(each.losses for each in done.values()))
        results["training"]["first_losses_differ_by"] = off
        if not off <= CLOSE:
            results["failures"].append(f"training: the first {ALIKE} losses differ by {off:.1e}, expected at most {CLOSE}")
