"""plastic() in PyTorch: parity, gradcheck over every cell, precisions, and wrong arguments."""
import threading
import typing
import warnings

import pytest
from conftest import all_specs, check_overloads, tolerance_of

torch = pytest.importorskip("torch")
import plasticity  # noqa: E402
from plasticity import Spec  # noqa: E402
from plasticity.torch import State, plastic  # noqa: E402
from torch_cases import SPEC, draw  # noqa: E402


@pytest.mark.parametrize("masks_as", ["float64", "exact"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parity(case, dtype, masks_as):
    if masks_as == "exact" and not case.masks:
        pytest.skip("the case has no masks")
    kind = getattr(torch, dtype)

    def leaves(arrays):
        return {name: torch.tensor(value, dtype=kind, requires_grad=True) for name, value in arrays.items()}

    parameters, inputs, state = leaves(case.parameters), leaves(case.inputs), leaves(case.state)
    masks = {name: torch.tensor(value, dtype=kind) for name, value in case.masks.items()}
    if masks_as == "exact":
        kinds = {"reset": torch.bool, "length": torch.int64, "clamp": torch.uint8}
        masks = {name: value.to(kinds.get(name, kind)) for name, value in masks.items()}
    outputs = case.outputs(*plastic(case.spec, parameters, **inputs, **masks, state=State(**state)))
    sum((torch.tensor(value, dtype=kind) * outputs[name]).sum() for name, value in case.upstream.items()).backward()
    gradients = {name: leaf.grad for name, leaf in {**parameters, **inputs}.items()}
    gradients.update({f"{name}0": leaf.grad for name, leaf in state.items()})
    outputs = {name: None if value is None else value.detach() for name, value in outputs.items()}
    assert case.check(outputs, gradients, tolerance_of(case, dtype)) > 5


@pytest.mark.parametrize("spec", all_specs(), ids=lambda s: f"{s.cell}-{s.rule}-{s.rate}-{s.eligibility}")
def test_gradcheck(spec):
    """Every cell x rule x rate x eligibility, over all outputs: y, modulation, the final state and the pre-activation."""
    parameters, inputs, state = draw(spec)
    names = [*parameters, *inputs, *state]

    def run(*tensors):
        named = dict(zip(names, tensors))
        y, modulation, final, a = plastic(
            spec, {name: named[name] for name in parameters}, **{name: named[name] for name in inputs},
            state={name: tensors[len(parameters) + len(inputs) + k] for k, name in enumerate(state)},
            return_preactivation=True,
        )
        return [each for each in (y, modulation, *final, a) if each is not None]

    tensors = [*parameters.values(), *inputs.values(), *state.values()]
    assert torch.autograd.gradcheck(run, tensors, fast_mode=True)


@pytest.mark.parametrize("alpha", ["scalar", "post", "connection"])
@pytest.mark.parametrize("masked", [False, True])
def test_gradcheck_of_masks(alpha, masked):
    spec = Spec("rnn", "oja", "modulated", "after", alpha, inputs=2, neurons=3)
    parameters, inputs, state = draw(spec, steps=4)
    masks = {}
    if masked:
        masks = {"reset": torch.tensor([[0, 0], [0, 1], [0, 0], [0, 0]]), "length": torch.tensor([4, 3]),
                 "clamp": torch.rand(4, 2, 3, generator=torch.Generator().manual_seed(1)) < .3,
                 "clamp_value": torch.zeros(4, 2, 3, dtype=torch.float64)}

    def run(x, hebb, *weights):
        y, modulation, final = plastic(spec, dict(zip(parameters, weights)), x=x, state={"hebb": hebb}, **masks)
        return y, modulation, final.hebb, final.eligibility

    assert torch.autograd.gradcheck(run, [inputs["x"], state["hebb"], *parameters.values()])


def call(**changes):
    parameters, inputs, state = draw(SPEC, dtype=torch.float32)
    parameters.update(changes.pop("parameters", {}))
    return plastic(SPEC, parameters, **{**inputs, "state": state, **changes})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": torch.zeros(3, 2)}, r"inputs.x.shape: expected three axes"),
        ({"x": torch.zeros(3, 2, 5)}, r"inputs.x.shape: expected \[3, 2, 2\], got \[3, 2, 5\]"),
        ({"x": torch.zeros(3, 2, 2, dtype=torch.float64)}, r"inputs.x.dtype: expected torch.float32 as of parameters.w_in, got torch.float64"),
        ({"x": torch.zeros(2, 3, 2).transpose(0, 1)}, r"inputs.x: expected a contiguous tensor, got strides .*\.contiguous\(\)"),
        ({"x": torch.zeros(1, 1, 2).expand(3, 2, 2)}, r"inputs.x: expected a contiguous tensor"),
        ({"x": torch.zeros(3, 2, 2, device="meta")}, r"inputs.x.device: expected cpu as of parameters.w_in, got meta"),
        ({"x": [[0.0]]}, "inputs.x: expected a tensor, got list"),
        ({"state": {"hebb": torch.zeros(2, 3, 4)}}, r"initial_state.hebb.shape: expected \[2, 3, 3\], got \[2, 3, 4\]"),
        ({"state": {"c": torch.zeros(2, 3)}}, "initial_state.c: expected none for a cell without it"),
        ({"state": {"memory": torch.zeros(2, 3)}}, "state: expected names of y, c, hebb, eligibility, got 'memory'"),
        ({"state": torch.zeros(2, 3)}, "state: expected a State or a mapping, got Tensor"),
        ({"parameters": {"gain": torch.zeros(1)}}, "parameters: expected names of .*, got 'gain'"),
        ({"parameters": {"w": torch.zeros(2, 3)}}, r"parameters.w.shape: expected \[3, 3\], got \[2, 3\]"),
        ({"parameters": {"w": None}}, "parameters.w: expected"),
        ({"x": None}, "inputs: expected one of x, u and pre, got none"),
        ({"pre": torch.zeros(3, 2, 2)}, "inputs.pre: expected none"),
        ({"clamp": torch.zeros(3, 2, 3)}, "clamp_value"),
        ({"length": torch.tensor([1, 9])}, "length"),
        ({"length": [1, 2]}, "masks.length: expected a tensor, got list"),
        ({"length": torch.tensor([1.0, 1.5])}, "masks.length: expected whole numbers, got 1.5"),
        ({"length": torch.tensor([True, False])}, "masks.length.dtype: expected an integer type, got torch.bool"),
        ({"precision": "f16"}, "precision: expected bf16, f32, f64 or None, got 'f16'"),
        ({"precision": "f64"}, "precision: expected f32 for torch.float32 tensors, got f64"),
        ({"execution": "fast"}, "execution"),
        ({"memory_budget": 1e9}, "memory_budget: expected an integer, at least 0 and less than 2\\*\\*63, got 1000000000.0"),
        ({"memory_budget": 2**63}, "memory_budget: expected an integer"),
        ({"memory_budget": True}, "memory_budget: expected an integer, .*, got True"),
        ({"checkpoint_interval": -1}, "checkpoint_interval: expected an integer"),
        ({"checkpoint_interval": "2"}, "checkpoint_interval: expected an integer"),
        ({"state": (None, None)}, "state: expected a State or a mapping, got a tuple of 2"),
        ({"state": {"y": torch.zeros(2, 3), "y0": torch.zeros(2, 3)}}, "state: expected one of y and y0, got both"),
    ],
)
def test_wrong_arguments(changes, text):
    with pytest.raises(plasticity.InvalidArgument, match=text):
        call(**changes)


@pytest.mark.parametrize("make, text", [
    (lambda: [torch.zeros(3, 3)], "got list"), (lambda: None, "got NoneType"),
    (lambda: plasticity.torch.PlasticRNN(2, 3), r"got PlasticRNN; its library_parameters\(\) are one"),
])
def test_parameters_without_names(make, text):
    with pytest.raises(plasticity.InvalidArgument, match="parameters: expected a mapping of names, " + text):
        plastic(SPEC, make(), x=torch.zeros(3, 2, 2))


def test_parameters_in_a_parameter_dict():
    parameters, inputs, _ = draw(Spec("rnn", inputs=2, neurons=3))
    held = torch.nn.ParameterDict(parameters)
    assert torch.equal(plastic(Spec("rnn", inputs=2, neurons=3), held, **inputs)[0],
                       plastic(Spec("rnn", inputs=2, neurons=3), parameters, **inputs)[0])


def test_a_clamp_value_is_a_constant():
    clamp = {"clamp": torch.ones(3, 2, 3, dtype=torch.bool), "clamp_value": torch.ones(3, 2, 3, requires_grad=True)}
    with pytest.warns(UserWarning, match="clamp_value: expected a tensor that requires no gradient"):
        constants = {name: torch.zeros(shape) for name, shape in SPEC.parameters.items()}
        y, _, _ = call(**clamp, parameters=constants, x=torch.zeros(3, 2, 2), state=None)
    assert not y.requires_grad
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        call(**clamp)


@pytest.mark.filterwarnings("ignore")  # PyTorch warns that these layouts are new
def test_tensors_that_are_not_dense():
    with pytest.raises(ValueError, match="inputs.x: expected a dense tensor, got layout torch.sparse_coo"):
        call(x=torch.zeros(3, 2, 2).to_sparse())
    with pytest.raises(ValueError, match="parameters.w: expected a dense tensor, got layout torch.sparse_csr"):
        call(parameters={"w": torch.zeros(3, 3).to_sparse_csr()})
    with pytest.raises(ValueError, match="inputs.x: expected a dense tensor, got a nested tensor"):
        call(x=torch.nested.nested_tensor([torch.zeros(2, 2)]))
    with pytest.raises(ValueError, match="input: expected a dense tensor, got layout torch.sparse_coo"):
        plasticity.torch.PlasticRNN(2, 3)(torch.zeros(3, 2, 2).to_sparse())


def test_a_wrong_number_does_not_affect_the_next_call():
    with pytest.raises(ValueError, match="memory_budget"):
        call(memory_budget=float(1 << 29))
    call(memory_budget=1 << 29)


def test_precision_of_float64():
    parameters, inputs, _ = draw(SPEC)
    plastic(SPEC, parameters, **inputs, precision="f64")
    with pytest.raises(ValueError, match="precision: expected f64 for torch.float64 tensors, got f32"):
        plastic(SPEC, parameters, **inputs, precision="f32")


def test_half_precision_is_refused_outside_autocast():
    spec = Spec(neurons=3)
    parameters, inputs, _ = draw(spec, dtype=torch.float32)
    half = {name: value.to(torch.bfloat16) for name, value in parameters.items()}
    with pytest.raises(ValueError, match="dtype: expected torch.float32 or torch.float64, got torch.bfloat16"):
        plastic(spec, half, u=inputs["u"].to(torch.bfloat16))


def test_autocast_computes_in_float32():
    spec = Spec(neurons=3)
    parameters, inputs, _ = draw(spec, dtype=torch.float32)
    want = plastic(spec, parameters, u=inputs["u"].bfloat16().float())[0]
    with torch.autocast("cpu", torch.bfloat16):
        got = plastic(spec, parameters, u=inputs["u"].bfloat16())[0]
    assert got.dtype == torch.float32 and torch.equal(got, want)
    got.sum().backward()
    assert inputs["u"].grad is not None


def test_bf16_tapes_are_near():
    spec = Spec(neurons=32)
    parameters, inputs, _ = draw(spec, steps=30, dtype=torch.float32, scale=.1)
    grads, tapes = [], []
    for precision in ("f32", "bf16"):
        y = plastic(spec, parameters, **inputs, precision=precision)[0]
        tapes.append(y.grad_fn.saved_tensors[-1].numel())
        grads.append(torch.autograd.grad(y.square().sum(), parameters["w"])[0])
    assert 0 < (grads[1] - grads[0]).norm() / grads[0].norm() < 3e-2
    assert tapes[1] < .7 * tapes[0]
    with pytest.raises(ValueError, match="precision: expected f64"):
        plastic(spec, {name: value.double() for name, value in parameters.items()}, u=inputs["u"].double(), precision="bf16")


@pytest.mark.parametrize("label, gradient", [(1, [1, -1]), (0, [0, 0])])
def test_cross_entropy_of_a_saturated_softmax(label, gradient):
    spec = Spec("feedforward", activation="softmax", inputs=1, neurons=2)
    zeros = {name: torch.zeros(shape) for name, shape in spec.parameters.items()}
    u = torch.tensor([[[120., -120.]]], requires_grad=True)
    y, _, _, a = plastic(spec, zeros, pre=torch.ones(1, 1, 1), u=u, return_preactivation=True)
    assert y.tolist() == [[[1, 0]]] and torch.equal(a, u)
    loss = torch.nn.functional.cross_entropy(a[0], torch.tensor([label]))
    loss.backward()
    assert loss == (240 if label else 0) and u.grad.tolist() == [[gradient]]


def test_windows_have_the_bits_of_the_sequence():
    parameters, inputs, state = draw(SPEC, steps=6)
    whole, _, final = plastic(SPEC, parameters, **inputs, state=state)
    first, _, carried = plastic(SPEC, parameters, x=inputs["x"][:4], state=state)
    second, _, last = plastic(SPEC, parameters, x=inputs["x"][4:], state=carried)
    assert torch.equal(whole, torch.cat([first, second])) and torch.equal(final.hebb, last.hebb)
    grads = [torch.autograd.grad(y.square().sum(), [*parameters.values(), inputs["x"], *state.values()], allow_unused=True)
             for y in (whole, torch.cat([first, second]))]
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*grads))


def test_empty_sequences_and_batches():
    parameters, _, _ = draw(SPEC)
    for steps, batch in ((0, 2), (3, 0)):
        y, modulation, final = plastic(SPEC, parameters, x=torch.zeros(steps, batch, 2, dtype=torch.float64))
        assert y.shape == (steps, batch, 3) and modulation.shape == (steps, batch)
        y.sum().backward()
        assert not parameters["w"].grad.any() and final.hebb.shape == (batch, 3, 3)


def test_threads_at_once_have_equal_gradients():
    parameters, inputs, _ = draw(SPEC)
    want = torch.autograd.grad(plastic(SPEC, parameters, **inputs)[0].sum(), parameters["w"])[0]
    wrong = []

    def work():
        for _ in range(50):
            got = torch.autograd.grad(plastic(SPEC, parameters, **inputs)[0].sum(), parameters["w"])[0]
            if not torch.equal(got, want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_types_of_the_results_are_known():
    check_overloads(plastic)
    assert typing.get_type_hints(plasticity.Plan.steps.fget)["return"] is int
