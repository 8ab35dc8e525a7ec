"""The network of a Spec in sparxml, a third party's JAX package with the rules of 2018 and 2019.

`forward` has the arguments and results of jax_model.forward. The package has no softmax, clamps, resets or lengths, and no
combination of rule, rate and eligibility but those of the papers: `unsupported` says what a Spec has beyond it.
"""
import jax.numpy as jnp
from sparx import dynamics

RULES = {("decay", "fixed", "none"): "decay", ("oja", "fixed", "none"): "oja", ("hard_clip", "fan_out", "none"): "modulated",
         ("hard_clip", "modulated", "none"): "modulated", ("hard_clip", "modulated", "before"): "retroactive"}
ACTIVATIONS = ("tanh", "sigmoid", "relu")


def unsupported(spec, masks=None):
    """Why sparxml has no such network, or None."""
    if spec.cell != "rnn":
        return f"cell: expected rnn, got {spec.cell}"
    if (spec.rule, spec.rate, spec.eligibility) not in RULES:
        return f"no rule like {spec.rule} with rate {spec.rate} and eligibility {spec.eligibility}"
    if spec.activation not in ACTIVATIONS:
        return f"activation: expected one of {', '.join(ACTIVATIONS)}, got {spec.activation}"
    return "no masks" if masks else None


def trace_rule(spec, p):
    kind = RULES[spec.rule, spec.rate, spec.eligibility]
    if kind == "decay":
        return dynamics.DecayingHebb(p["eta"][0])
    if kind == "oja":
        return dynamics.OjaHebb(p["eta"][0])
    modulator = (p["modulator.weight"], p["modulator.bias"][0])
    if kind == "retroactive":
        return dynamics.RetroactiveHebb(*modulator, p["eta"][0], spec.clip)
    fan_out = (p["fan_out.weight"], p["fan_out.bias"]) if spec.rate == "fan_out" else (1.0, 0.0)
    return dynamics.ModulatedHebb(*modulator, *fan_out, spec.clip)


def forward(spec, p, inputs, state):
    """Runs a sequence. Returns y [T,B,N], M [T,B] or None, and the final state."""
    rule = trace_rule(spec, p)
    cell = dynamics.RecurrentCell(dynamics.RateCell(0.0, activation=spec.activation), dynamics.Dense(p["w"]),
                                  dynamics.FastWeights(p["alpha"], rule))
    current = inputs["x"] @ p["w_in"] + p["b"] if "x" in inputs else inputs["u"]
    start = cell.init_state(current.shape[1:], current.dtype)
    trace = start.trace._replace(**{name: state[name] for name in ("hebb", "eligibility")}) \
        if spec.eligibility != "none" else state["hebb"]
    arriving = cell.wiring.send(state["y"], p["alpha"] * state["hebb"])
    start = start._replace(output=state["y"], arriving=arriving, trace=trace)
    output, end = dynamics.run(cell, current, start)
    y = output.value
    modulation = jnp.tanh(y @ p["modulator.weight"] + p["modulator.bias"]) if spec.has_modulator else None
    final = {"y": end.output, "hebb": end.trace}
    if spec.eligibility != "none":
        final |= {"hebb": end.trace.hebb, "eligibility": end.trace.eligibility}
    return y, modulation, final
