"""The counts as a table for readers and as plain values for programs."""
import sys

import classes
import predict

_SHORT = {"load": "ld", "half load": "ld", "weights": "ro", "store": "st", "shared load": "lds", "shared store": "sts",
          "copy": "copy"}


def bytes_by_width(moved):
    """Bytes per connection, by space and width of an access in bytes.

    >>> bytes_by_width({("load", 4): 2.0, ("load", 16): 4.0, ("weights", 16): 8.0, ("store", 16): 4.0})
    'ld 4@16 2@4, ro 8@16, st 4@16'
    """
    spaces = {}
    for (space, width), amount in moved.items():
        if width > 1:
            spaces.setdefault(_SHORT[space], []).append((width, amount))
    return ", ".join(f"{name} " + " ".join(f"{amount:.3g}@{width}" for width, amount in sorted(spaces[name], reverse=True))
                     for name in dict.fromkeys(_SHORT.values()) if name in spaces)


def _aligned(rows):
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) if n == 0 else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths)))
            for row in rows]


def table(costs):
    """Lines: one per variant, then the reasons of those that were not found."""
    rows = [["", "regs", "spills", "shared", "blocks/SM", "instructions", *classes.CLASSES, "in flight", "waits"]]
    for cost in costs:
        row = [str(cost.variant), str(cost.usage.registers), str(cost.spills), str(cost.usage.shared), str(cost.blocks_per_sm)]
        if cost.per_element is None:
            rows.append(row + ["?"] * (len(rows[0]) - len(row)))
            continue
        loads, size = cost.loads_in_flight or (0, 0)
        rows.append(row + [f"{cost.instructions:.1f}"] + [f"{cost.per_element[name]:.1f}" for name in classes.CLASSES] +
                    [f"{loads} ({size} B)", str(cost.rounds)])
    lines = _aligned(rows)
    found = [cost for cost in costs if cost.bytes is not None]
    if found:
        lines += ["", "bytes per connection @ bytes of an access; ld: global or generic load, ro: read-only load, st: store, "
                  "lds, sts: shared load, store, copy: from global to shared memory"]
        lines += _aligned([[str(cost.variant), bytes_by_width(cost.bytes)] for cost in found])
    lines += [f"{cost.variant}: {cost.reason}" for cost in costs if cost.reason]
    return lines


def predictions(costs, tool, rule_of):
    """{(rule, eligibility, cell, precision): {(N, B): columns}} of the networks whose kernels were found. `rule_of`: a rule of
    each form. Raises NoPrediction."""
    variants = [cost.variant for cost in costs if cost.per_element is not None]
    keys = dict.fromkeys((v.rule, v.eligibility, v.cell, v.precision) for v in variants)
    return {key: predict.predict(tool, rule_of.get(key[0], key[0]), *key[1:]) for key in keys}


def prediction_table(costs, tool, rule_of):
    lines = []
    try:
        tables = predictions(costs, tool, rule_of)
    except predict.NoPrediction as reason:
        return ["", f"no predicted times: {reason}"]
    for key, sizes in tables.items():
        columns = list(dict.fromkeys(column for row in sizes.values() for column in row if column != "choice"))
        lines += ["", f"predicted µs per step of the whole batch, {' '.join(key)} (calculated, fan_out, T = {predict.STEPS})"]
        lines += _aligned([["N, B", *columns, "choice"]] +
                          [[f"{N}, {B}", *(f"{row[c]:.1f}" if c in row else "" for c in columns), row["choice"]]
                           for (N, B), row in sizes.items()])
    return lines


def as_json(costs, nvcc, architecture, tool, rule_of):
    kernels = [{"kernel": c.variant.kernel, "rule": c.variant.rule, "eligibility": c.variant.eligibility,
                "cell": c.variant.cell, "precision": c.variant.precision, "columns": c.variant.columns,
                "registers": c.usage.registers, "spills": c.spills, "local_bytes": c.usage.local,
                "shared_bytes": c.usage.shared, "blocks_per_sm": c.blocks_per_sm,
                "instructions": c.per_element and round(c.instructions, 3),
                "classes": c.per_element and {name: round(count, 3) for name, count in c.per_element.items()},
                "bytes": c.bytes and [{"space": space, "width": width, "bytes": round(amount, 3)}
                                      for (space, width), amount in sorted(c.bytes.items())],
                "rows_per_iteration": c.rows, "iteration_instructions": c.iteration, "waits": c.rounds,
                "loads_in_flight": list(c.loads_in_flight), "reason": c.reason} for c in costs]
    try:
        tables = predictions(costs, tool, rule_of)
    except predict.NoPrediction as reason:
        tables = {}
        print(f"run sass: no predicted times: {reason}", file=sys.stderr)
    predicted = [{"rule": key[0], "eligibility": key[1], "cell": key[2], "precision": key[3],
                  "sizes": [{"N": N, "B": B, **row} for (N, B), row in sizes.items()]} for key, sizes in tables.items()]
    return {"nvcc": nvcc, "architecture": architecture, "kernels": kernels, "predicted_us_per_step": predicted}
