"""Cells, modules, tensors and losses that the tests of plasticity.torch share."""
import torch

from plasticity import Spec
from plasticity.torch import PlasticLinear, PlasticLSTM, PlasticRNN, plastic

SPEC = Spec("rnn", "hard_clip", "modulated", inputs=2, neurons=3)

MAKERS = {
    "rnn": lambda **more: PlasticRNN(3, 4, rule="hard_clip", rate="modulated", **more),
    "retroactive": lambda **more: PlasticRNN(3, 4, rule="hard_clip", rate="fan_out", eligibility="before", clip=2, **more),
    "lstm": lambda **more: PlasticLSTM(3, 4, **more),
    "linear": lambda **more: PlasticLinear(3, 4, rule="oja", **more),
}


def same(a, b):
    return all(x is y is None or torch.equal(x, y) for x, y in zip(a, b))


def draw(spec, steps=3, batch=2, dtype=torch.float64, seed=0, scale=.4):
    """Parameters, inputs and a state that all require gradients."""
    generator = torch.Generator().manual_seed(seed)

    def leaf(shape):
        return (scale * torch.randn(shape, dtype=dtype, generator=generator)).requires_grad_()

    return ({name: leaf(shape) for name, shape in spec.parameters.items()},
            {name: leaf(shape) for name, shape in spec.inputs_of(steps, batch).items() if name != "u" or not spec.inputs
             or spec.cell == "feedforward"},
            {name: leaf(shape) for name, shape in spec.state_of(batch).items()})


def loss_of_a_trace(carried=False):
    """An initial trace [B,P,N], and a loss as a function of it alone; `carried`: the trace is no leaf of the graph."""
    parameters, inputs, state = draw(SPEC)
    weights = {name: value.detach() for name, value in parameters.items()}
    x = inputs["x"].detach()
    return state["hebb"].detach(), lambda hebb: plastic(SPEC, weights, x=x, state={"hebb": hebb * 1 if carried else hebb})[0].sum()
