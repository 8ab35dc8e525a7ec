"""The outcomes of the seeds as rows, and the rows as a table, as JSON and as charts of the learning curves."""
import json
import os
import statistics
import subprocess
import tempfile


def row_of(experiment, scale, results, machine):
    """The row of an experiment from the outcomes of its programs, one per seed or per seed and learner."""
    size = experiment.size(scale)
    arguments = (f" {size.arguments}" if size.arguments else "") + (" --data DIR" if experiment.data else "")
    if experiment.program.endswith(".py"):
        command = f"python examples/{experiment.program}{arguments} --seed 1"
    else:
        command = f"./run example {experiment.program}{arguments} --seeds {size.seeds}"
    return {"name": experiment.name, "slug": experiment.slug, "reference": experiment.reference, "command": command,
            "scaled": size.scaled, "machine": machine, "seeds_wanted": size.seeds, "band": "range", "result": merge(results)}


def merge(results):
    """One result with the values of every seed.

    >>> one = {"name": "a", "values": [1.0], "expected": "below 3", "curve": {"x": [5, 10], "median": [4, 1]}}
    >>> two = {"name": "a", "values": [3.0], "expected": "below 3", "curve": {"x": [5, 10], "median": [6, 3]}}
    >>> common = {"experiment": "e", "metric": "m", "chance": 1, "processor_seconds": 2}
    >>> both = merge([{**common, "seeds": [1], "learners": [one]}, {**common, "seeds": [2], "learners": [two]}])
    >>> both["seeds"], both["processor_seconds"], both["learners"][0]["values"], both["learners"][0]["met"]
    ([1, 2], 4, [1.0, 3.0], True)
    >>> both["learners"][0]["curve"]
    {'x': [5, 10], 'median': [5.0, 2.0], 'low': [4, 1], 'high': [6, 3]}
    """
    merged = {key: value for key, value in results[0].items() if key not in ("command", "seconds", "learners")}
    merged["seeds"] = sorted({seed for result in results for seed in result["seeds"]})
    merged["processor_seconds"] = sum(result["processor_seconds"] for result in results)
    learners = {}
    for result in results:
        for learner in result["learners"]:
            learners.setdefault(learner["name"], []).append(learner)
    merged["learners"] = [merge_learner(name, seeds) for name, seeds in learners.items()]
    return merged


def merge_learner(name, seeds):
    values = [value for seed in seeds for value in seed["values"]]
    mean = statistics.fmean(values)
    expected = seeds[0]["expected"]
    return {"name": name, "values": values, "mean": mean, "low": min(values), "high": max(values), "expected": expected,
            "met": meets(mean, expected), "curve": merge_curves([seed["curve"] for seed in seeds])}


def meets(value, expected):
    """
    >>> meets(2, "below 3"), meets(2, "above 3"), meets(2, "")
    (True, False, True)
    """
    if not expected:
        return True
    word, limit = expected.split()
    return value < float(limit) if word == "below" else value > float(limit)


def merge_curves(curves):
    """The median over the seeds with the lowest and the highest, at the places that all seeds have."""
    points = [dict(zip(curve["x"], curve["median"])) for curve in curves]
    x = [at for at in curves[0]["x"] if all(at in each for each in points)]
    columns = [[each[at] for each in points] for at in x]
    return {"x": x, "median": [statistics.median(column) for column in columns],
            "low": [min(column) for column in columns], "high": [max(column) for column in columns]}


def spread(learner):
    """
    >>> spread({"name": "a", "values": [.5]}), spread({"name": "a", "values": [1, 2], "mean": 1.5, "low": 1, "high": 2})
    ('a 0.5', 'a 1.5 (1 to 2)')
    """
    values = learner["values"]
    if len(values) == 1:
        return f"{learner['name']} {values[0]:.3g}"
    median = f"median {statistics.median(values):.3g}, " if len(values) >= 5 else ""
    return f"{learner['name']} {learner['mean']:.3g} ({median}{learner['low']:.3g} to {learner['high']:.3g})"


def duration(seconds):
    """
    >>> duration(80), duration(5000)
    ('80 s', '83 min')
    """
    return f"{seconds:.0f} s" if seconds < 1000 else f"{seconds / 60:.0f} min"


def markdown(rows, pictures):
    """The table, and below it the learning curves if `pictures` has them by slug."""
    machines = list(dict.fromkeys(row["machine"] for row in rows))
    marks = {machine: f" ({letter})" if len(machines) > 1 else "" for machine, letter in zip(machines, "abcdefgh")}
    measured = "; ".join(f"{marks[machine].strip()} {machine}".strip() for machine in machines)
    lines = [f"Measured on {measured}. Outcomes: mean over the seeds (median of five or more, lowest to highest). "
             "Time: processor time of one seed.", "",
             "| experiment | reference | metric | ours | seeds | time | command | scaled |",
             "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        result = row["result"]
        ours = "; ".join(spread(learner) for learner in result["learners"])
        seeds = len(result["seeds"])
        wanted = row.get("seeds_wanted", seeds)
        lines.append(f"| {row['name']} | {row['reference']} | {result['metric']} (chance {result['chance']:.3g}) | {ours} | "
                     f"{seeds if seeds == wanted else f'{seeds} of {wanted}'} | "
                     f"{duration(result['processor_seconds'] / seeds)}{marks[row['machine']]} | `{row['command']}` | "
                     f"{row['scaled'] or 'nothing'} |")
    for row in rows:
        if row["slug"] in pictures:
            lines += ["", f"**{row['name']}**", "", f"![Learning curves]({pictures[row['slug']]})"]
    return "\n".join(lines) + "\n"


def write(rows, out):
    """Writes OUT/table.json and OUT/table.md, with the charts that OUT/curves has."""
    out.mkdir(parents=True, exist_ok=True)
    pictures = {file.stem: f"curves/{file.name}" for file in (out / "curves").glob("*.png")}
    for name, text in (("table.json", json.dumps({"rows": rows}, indent=1, ensure_ascii=False) + "\n"),
                       ("table.md", markdown(rows, pictures))):
        fresh = out / f"{name}.new"
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, out / name)


def draw(rows, out, chart):
    """Draws the learning curves of each row into OUT/curves with the program `chart`."""
    (out / "curves").mkdir(parents=True, exist_ok=True)
    for row in rows:
        result = row["result"]
        series = [{"name": learner["name"],
                   "points": list(zip(*(learner["curve"][key] for key in ("x", "median", "low", "high"))))}
                  for learner in result["learners"] if learner["curve"]["x"]]
        over = ""
        if len(result["seeds"]) > 1:
            over = f"; median and {row.get('band', 'quartiles')} of {len(result['seeds'])} seeds"
        data = {"title": row["name"], "x_label": result["iteration"], "y_label": result["metric"] + over, "log_x": False,
                "log_y": result["log_y"], "reference": {"y": result["chance"], "label": "chance"}, "scale": 1,
                "series": series}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(data, file)
            file.flush()
            subprocess.run([chart, file.name, out / "curves" / f"{row['slug']}.png"], check=True)
