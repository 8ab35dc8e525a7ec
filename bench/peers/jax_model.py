"""A differentiable plastic network as it is written in JAX: a pure step, `lax.scan` over time, gradients by `jax.vjp`.

From the equations, with their names, as in model.py; parameters, inputs and state are dicts of arrays.
"""
import jax
import jax.numpy as jnp
from jax import lax

ACTIVATIONS = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu, "identity": lambda a: a,
               "softmax": lambda a: jax.nn.softmax(a, axis=-1)}


def outer(x, y):
    """x_i y_j: [B,P], [B,N] -> [B,P,N]"""
    return x[:, :, None] * y[:, None, :]


def clipped(value, limit):
    """min(max(value, -limit), limit); the gradient passes if the value is within the limits, ends included."""
    return jnp.where(value > limit, limit, jnp.where(value < -limit, -limit, value))


def where_rows(rows, there, elsewhere):
    """`there` in the batch elements that `rows` [B] marks, else `elsewhere`."""
    return jnp.where(rows.reshape(-1, *[1] * (elsewhere.ndim - 1)), there, elsewhere)


def read(spec, p, x, hebb):
    """s_j = sum_i x_i (w_ij + alpha_ij phi(H_ij))"""
    if spec.rule == "read_clip":
        hebb = clipped(hebb, spec.clip)
    if spec.alpha == "connection":
        return jnp.einsum("bi,bij->bj", x, p["w"] + p["alpha"] * hebb)
    return x @ p["w"] + p["alpha"] * jnp.einsum("bi,bij->bj", x, hebb)


def update(spec, hebb, rate, x, y, eligibility):
    """The trace rule. `rate` is g, [1], [B,1] or [B,N]."""
    g = rate[..., None, :]                                                     # [...,1,N]: the same for all i
    drive = outer(x, rate * y) if eligibility is None else g * eligibility      # g_j X_ij
    if spec.rule == "decay":
        return (1 - g) * hebb + drive
    if spec.rule == "oja":
        return hebb + drive - (rate * y * y)[:, None, :] * hebb
    if spec.rule == "hard_clip":
        return clipped(hebb + drive, spec.clip)
    if spec.rule == "soft_clip":
        return clipped(hebb + drive * jnp.where(drive >= 0, 1 - hebb, 1 + hebb), 1.0)
    return hebb + drive  # additive, read_clip


def step(spec, p, state, at):
    """One step from `state`. `at`: this step's current, pre, rate, clamp, clamp_value, as far as there are any."""
    hebb, eligibility, current = state["hebb"], state.get("eligibility"), at["current"]
    x = at["pre"] if spec.cell == "feedforward" else state["y"]
    if spec.cell == "lstm":
        u_i, u_f, u_g, u_o = jnp.split(current, 4, axis=-1)
        gates = jax.nn.sigmoid(jnp.concatenate((u_i, u_f, u_o), axis=-1) + x @ p["w_gates"])
        i, f, o = jnp.split(gates, 3, axis=-1)
        y = jnp.tanh(u_g + read(spec, p, x, hebb))
    else:
        y = ACTIVATIONS[spec.activation](current + read(spec, p, x, hebb))
    if "clamp" in at:
        y = jnp.where(at["clamp"], at["clamp_value"], y)
    after, output = {}, y
    if spec.cell == "lstm":
        after["c"] = f * state["c"] + i * y
        output = o * jnp.tanh(after["c"])

    modulation = None
    rate = p["eta"] if spec.rate == "fixed" else at.get("rate")
    if spec.has_modulator:
        source = after["c"] if spec.modulator_source == "cell" else output
        modulation = jnp.tanh(source @ p["modulator.weight"][:, None] + p["modulator.bias"])  # [B,1]
        rate = modulation
    if spec.rate == "fan_out":
        rate = modulation * p["fan_out.weight"] + p["fan_out.bias"]

    drive = eligibility
    if eligibility is not None:
        after["eligibility"] = (1 - p["eta"]) * eligibility + outer(x, p["eta"] * y)
        if spec.eligibility == "after":
            drive = after["eligibility"]
    after["hebb"] = update(spec, hebb, rate, x, y, drive)
    if spec.cell != "feedforward":
        after["y"] = output
    return after, output, modulation


def forward(spec, p, inputs, state, masks=None):
    """Runs a sequence. Returns y [T,B,N], M [T,B] or None, and the final state. Arguments as PlasticCell.forward()."""
    masks = masks or {}
    current = inputs["x"] @ p["w_in"] + p["b"] if "x" in inputs else inputs["u"]
    sequence = {"current": current, "t": jnp.arange(current.shape[0])}
    sequence |= {name: inputs[name] for name in ("pre", "rate") if name in inputs}
    sequence |= {name: masks[name] for name in ("reset", "clamp", "clamp_value") if name in masks}

    def one(state, at):
        alive = at["t"] < masks["length"] if "length" in masks else None
        if "reset" in at:  # a batch element that has ended keeps its state
            reset = at["reset"] if alive is None else at["reset"] & alive
            state = {name: where_rows(reset, jnp.zeros_like(s), s) for name, s in state.items()}
        after, y, modulation = step(spec, p, state, at)
        if alive is not None:
            y = where_rows(alive, y, jnp.zeros_like(y))
            after = {name: where_rows(alive, after[name], state[name]) for name in after}
            if modulation is not None:
                modulation = where_rows(alive, modulation, jnp.zeros_like(modulation))
        return after, (y, modulation)

    final, (y, modulation) = lax.scan(one, state, sequence)
    return y, None if modulation is None else modulation[..., 0], final
