"""A differentiable plastic network as it is written in PyTorch: a module stepped in a Python loop, gradients by autograd.

Written from the equations (README, papers in include/plasticity/spec.hpp) with their names: T B I N P, w, alpha, hebb.
The input currents of all steps are one matrix product. The trace has two forms. Careful is the cheapest form
in PyTorch: g_j x_i y_j is one outer product of x and g y, and an alpha that is equal for all presynaptic neurons multiplies
the sum, not the matrix. Published computes each equation as the papers' modules do: w + alpha H is one matrix per batch
element, and so is x y before the multiplication with g.
"""
import torch
from torch import nn

ACTIVATIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "identity": lambda a: a,
    "softmax": lambda a: torch.softmax(a, dim=-1),
}


def outer(x, y):
    """x_i y_j: [B,P], [B,N] -> [B,P,N]"""
    return x.unsqueeze(2) * y.unsqueeze(1)


def clipped(value, limit):
    """min(max(value, -limit), limit). The gradient passes at the limits too; since 2.14 that of torch.clamp does not."""
    return torch.where(value > limit, limit, torch.where(value < -limit, -limit, value))


def where_rows(rows, there, elsewhere):
    """`there` in the batch elements that `rows` [B] marks, else `elsewhere`."""
    return torch.where(rows.view(-1, *[1] * (elsewhere.dim() - 1)), there, elsewhere)


class PlasticCell(nn.Module):
    """One plastic layer. `forward` runs a sequence; `step` is one step of it, and may be compiled."""

    def __init__(self, spec, dtype=torch.float32, device=None, published=False):
        super().__init__()
        self.spec, self.published = spec, published
        for name, shape in spec.parameter_shapes().items():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(torch.zeros(shape, dtype=dtype, device=device)))

    def parameter(self, name):
        return getattr(self, name.replace(".", "_"))

    def read(self, x, hebb):
        """s_j = sum_i x_i (w_ij + alpha_ij phi(H_ij))"""
        spec = self.spec
        if spec.rule == "read_clip":
            hebb = clipped(hebb, spec.clip)
        x1 = x.unsqueeze(1)  # [B,1,P]
        if spec.alpha == "connection" or self.published:
            return torch.bmm(x1, self.w + self.alpha * hebb).squeeze(1)
        return x @ self.w + self.alpha * torch.bmm(x1, hebb).squeeze(1)

    def update(self, hebb, rate, x, y, eligibility):
        """The trace rule. `rate` is g, [1], [B,1] or [B,N]."""
        spec, clip = self.spec, self.spec.clip
        g = rate.unsqueeze(-2)                                                   # [...,1,N]: the same for all i
        if eligibility is None and not self.published:
            p = outer(x, rate * y)                                               # g_j X_ij
        else:
            p = g * (outer(x, y) if eligibility is None else eligibility)
        if spec.rule == "decay":
            return (1 - g) * hebb + p
        if spec.rule == "oja":
            return hebb + p - (rate * y * y).unsqueeze(1) * hebb
        if spec.rule == "hard_clip":
            return clipped(hebb + p, clip)
        if spec.rule == "soft_clip":
            return clipped(hebb + p * torch.where(p >= 0, 1 - hebb, 1 + hebb), 1)
        return hebb + p  # additive, read_clip

    def step(self, current, pre, external_rate, state, clamp=None, clamp_value=None):
        """One step from `state` (a dict). Returns the output [B,N], M [B,1] or None, and the new state."""
        spec, hebb, eligibility = self.spec, state["hebb"], state.get("eligibility")
        x = state["y"] if pre is None else pre
        if spec.cell == "lstm":
            u_ifo, u_g = self.gates(current)
            i, f, o = torch.sigmoid(u_ifo + x @ self.w_gates).chunk(3, dim=-1)
            y = torch.tanh(u_g + self.read(x, hebb))
        else:
            y = ACTIVATIONS[spec.activation](current + self.read(x, hebb))
        if clamp is not None:
            y = torch.where(clamp, clamp_value, y)
        after = {}
        if spec.cell == "lstm":
            after["c"] = f * state["c"] + i * y
            output = o * torch.tanh(after["c"])
        else:
            output = y

        modulation = None
        rate = self.eta if spec.rate == "fixed" else external_rate
        if spec.has_modulator:
            source = after["c"] if spec.modulator_source == "cell" else output
            modulation = torch.tanh(source @ self.modulator_weight.unsqueeze(1) + self.modulator_bias)  # [B,1]
            rate = modulation
        if spec.rate == "fan_out":
            rate = modulation * self.fan_out_weight + self.fan_out_bias

        drive = eligibility
        if eligibility is not None:
            mean = self.eta * outer(x, y) if self.published else outer(x, self.eta * y)
            after["eligibility"] = (1 - self.eta) * eligibility + mean
            if spec.eligibility == "after":
                drive = after["eligibility"]
        after["hebb"] = self.update(hebb, rate, x, y, drive)
        if spec.cell != "feedforward":
            after["y"] = output
        return output, modulation, after

    def gates(self, current):
        """[B,4N] in the order i, f, g, o -> i f o [B,3N], g [B,N]"""
        i, f, g, o = current.chunk(4, dim=-1)
        return torch.cat((i, f, o), dim=-1), g

    def forward(self, inputs, state, masks=None):
        """A sequence: `inputs` x, u, pre, rate, `state` y, c, hebb, eligibility, `masks` reset, length, clamp, clamp_value,
        as dicts. Returns y [T,B,N], M [T,B] or None, and the final state."""
        masks = masks or {}
        current = inputs["x"] @ self.w_in + self.b if "x" in inputs else inputs["u"]
        outputs, modulations = [], []
        for t in range(current.shape[0]):
            at = {name: sequence[t] for name, sequence in inputs.items()}
            alive = t < masks["length"] if "length" in masks else None
            if "reset" in masks:  # a batch element that has ended keeps its state
                reset = masks["reset"][t] if alive is None else masks["reset"][t] & alive
                state = {name: where_rows(reset, torch.zeros_like(s), s) for name, s in state.items()}
            clamp = (masks["clamp"][t], masks["clamp_value"][t]) if "clamp" in masks else (None, None)
            y, modulation, after = self.step(current[t], at.get("pre"), at.get("rate"), state, *clamp)
            if alive is not None:
                y = where_rows(alive, y, torch.zeros_like(y))
                after = {name: where_rows(alive, after[name], state[name]) for name in after}
                if modulation is not None:
                    modulation = where_rows(alive, modulation, torch.zeros_like(modulation))
            state = after
            outputs.append(y)
            modulations.append(modulation)
        modulations = torch.stack(modulations).squeeze(-1) if self.spec.has_modulator else None
        return torch.stack(outputs), modulations, state
