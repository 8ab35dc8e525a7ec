"""The counts of the main kernels, kept in a file and compared: a change that costs instructions is noticed."""
import json

RULES, ELIGIBILITIES = ("linear", "clipped", "soft", "read_clipped", "hard_clip", "decay", "oja"), ("none", "before")


def belongs(variant):
    """Whether the file has a variant: all forms and the main rules, with and without an eligibility trace, the wide kernels."""
    wide = variant.columns > 1 or variant.kernel.startswith("resident")
    return variant.rule in RULES and variant.eligibility in ELIGIBILITIES and wide


def values_of(costs):
    """{variant: [registers, spills, instructions per connection]}; the last is None if no loop was found."""
    return {str(cost.variant): [cost.usage.registers, cost.spills,
                                cost.per_element and round(cost.instructions, 1)] for cost in costs}


def text_of(values, nvcc, architecture):
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(values.items()))
    return (f'{{"nvcc": {json.dumps(nvcc)}, "architecture": {json.dumps(architecture)},\n'
            f' "counts": {{\n{lines}\n}}}}\n')


def differences(before, after):
    """Lines that name every variant whose counts differ.

    >>> differences({"a": [98, 0, 31.9], "b": [10, 0, 1.0]}, {"a": [98, 0, 33.0], "c": [1, 0, 2.0]})
    ['a: instructions per connection: 31.9 before, 33.0 after', 'b: missing after', 'c: new']
    """
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            lines.append(f"{name}: missing after")
        elif name not in before:
            lines.append(f"{name}: new")
        else:
            for what, old, new in zip(("registers", "spills", "instructions per connection"), before[name], after[name]):
                if old != new:
                    lines.append(f"{name}: {what}: {old} before, {new} after")
    return lines
