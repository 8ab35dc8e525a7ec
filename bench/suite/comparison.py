"""Compares two results of bench/run."""
from report import columns
from spread import digits

OURS = "plasticity"


class NotComparable(Exception):
    """The two files have no benchmark in common, or are no results."""


def times(results):
    """name -> spread of milliseconds per step of all benchmarks, and of the seconds of a copy.

    >>> spread = {"median": 1.0, "low": 1.0, "high": 1.0}
    >>> case = {"name": "x", "device": "cpu", "contenders": {"plasticity": {"forward_ms_per_step": spread, "backward_ms_per_step": spread}}}
    >>> sorted(times({"machine": {}, "operations": {"step/a": {"ms_per_step": spread}}, "peers": [case]}))
    ['peers/x/plasticity/cpu/backward', 'peers/x/plasticity/cpu/forward', 'step/a']
    """
    if "machine" not in results:
        raise KeyError("machine")
    found = {name: done.get("ms_per_step", done.get("seconds")) for name, done in results.get("operations", {}).items()}
    for part in ("peers", "sweep"):
        for case in results.get(part, []):
            for contender, each in case["contenders"].items():
                for way in ("forward", "backward"):
                    found[f"{part}/{case['name']}/{contender}/{case['device']}/{way}"] = each[f"{way}_ms_per_step"]
    return found


def is_ours(name):
    """
    >>> is_ours("forward/cells/x/plasticity/cpu/warm"), is_ours("peers/x/torch eager/cpu/forward")
    (True, False)
    """
    return f"/{OURS}/" in name


def verdict(ratio, low, high, tolerance):
    """
    >>> [verdict(*each, 0.1) for each in ((1.5, 1.2, 2.0), (1.5, 0.9, 2.0), (1.05, 1.01, 1.1), (0.5, 0.4, 0.9))]
    ['slower', 'same', 'same', 'faster']
    """
    if ratio > 1 + tolerance and low > 1:
        return "slower"
    return "faster" if ratio < 1 / (1 + tolerance) and high < 1 else "same"


def compare(old, new, tolerance, everything, force):
    """A dict per name that both results have: ratio, low, high, verdict. Sorted by ratio, slowest first.

    >>> def results(median, low, high, threads=2):
    ...     spread = {"median": median, "low": low, "high": high}
    ...     return {"machine": {"processor": "A", "threads": threads}, "operations": {"step/a/b/plasticity/cpu/warm": {"ms_per_step": spread}}}
    >>> compare(results(2.0, 1.8, 2.2), results(4.0, 3.6, 4.4), 0.1, False, False)[0]["verdict"]
    'slower'
    >>> round(compare(results(2.0, 1.8, 2.0), results(4.0, 3.6, 4.4), 0.1, False, False)[0]["low"], 2)
    1.8
    >>> compare(results(2.0, 1.8, 2.2), results(4.0, 3.6, 4.4, threads=4), 0.1, False, False)
    Traceback (most recent call last):
    ...
    comparison.NotComparable: threads: 2 in the old results, 4 in the new ones (--force compares them anyway)
    """
    for field in ("processor", "threads"):
        before, after = old["machine"].get(field), new["machine"].get(field)
        if before != after and not force:
            raise NotComparable(f"{field}: {before} in the old results, {after} in the new ones (--force compares them anyway)")
    before, after = times(old), times(new)
    compared = []
    for name in before:
        if name not in after or not (everything or is_ours(name)) or not before[name]["median"]:
            continue
        ratio = after[name]["median"] / before[name]["median"]
        low, high = after[name]["low"] / before[name]["high"], after[name]["high"] / before[name]["low"]
        compared.append({"name": name, "ratio": ratio, "low": low, "high": high,
                         "verdict": verdict(ratio, low, high, tolerance)})
    if not compared:
        raise NotComparable("the two results have nothing in common")
    return sorted(compared, key=lambda each: -each["ratio"])


def lines(compared):
    """The table and a line of counts."""
    rows = [["", "new / old", "spread", ""]]
    rows += [[each["name"], digits(each["ratio"]), f"[{digits(each['low'])} to {digits(each['high'])}]", each["verdict"]]
             for each in compared]
    counts = {word: sum(each["verdict"] == word for each in compared) for word in ("slower", "same", "faster")}
    return [*columns(rows), ", ".join(f"{count} {word}" for word, count in counts.items())]
