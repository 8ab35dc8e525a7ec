"""plastic() in PyTorch: parity, gradcheck over every cell, autograd, and wrong arguments."""
import gc
import threading
import weakref

import numpy
import pytest
from conftest import all_specs, tolerance_of

torch = pytest.importorskip("torch")
import plasticity  # noqa: E402
from plasticity import Spec  # noqa: E402
from plasticity.torch import State, plastic  # noqa: E402


def draw(spec, steps=3, batch=2, dtype=torch.float64, seed=0, scale=.4):
    """Parameters, inputs and a state that all require gradients."""
    generator = torch.Generator().manual_seed(seed)

    def leaf(shape):
        return (scale * torch.randn(shape, dtype=dtype, generator=generator)).requires_grad_()

    return ({name: leaf(shape) for name, shape in spec.parameters.items()},
            {name: leaf(shape) for name, shape in spec.inputs_of(steps, batch).items() if name != "u" or not spec.inputs
             or spec.cell == "feedforward"},
            {name: leaf(shape) for name, shape in spec.state_of(batch).items()})


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
    """Every cell x rule x rate x eligibility, over all outputs: y, modulation, the final state and the current."""
    parameters, inputs, state = draw(spec)
    names = [*parameters, *inputs, *state]

    def run(*tensors):
        named = dict(zip(names, tensors))
        y, modulation, final, a = plastic(
            spec, {name: named[name] for name in parameters}, **{name: named[name] for name in inputs},
            state={name: tensors[len(parameters) + len(inputs) + k] for k, name in enumerate(state)}, return_current=True,
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


SPEC = Spec("rnn", "hard_clip", "modulated", inputs=2, neurons=3)


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


def test_backward_within_autocast():
    answers = []
    for enabled in (False, True):
        parameters, inputs, _ = draw(SPEC, steps=6, batch=4, dtype=torch.float32)
        y, modulation, _ = plastic(SPEC, parameters, **inputs)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            modulation.sum().backward()
        answers.append([each.grad for each in parameters.values()])
    assert all(torch.equal(a, b) for a, b in zip(*answers))


def test_tensors_with_the_negative_bit():
    parameters, inputs, _ = draw(SPEC)
    x = torch.complex(inputs["x"].detach(), inputs["x"].detach())[..., :1].flatten(1).reshape(3, 2, 1).conj().imag
    spec = Spec("rnn", inputs=1, neurons=3)
    weights = draw(spec)[0]
    assert x.is_neg()
    answers = []
    for each in (x, x.resolve_neg()):
        y = plastic(spec, weights, x=each.contiguous())[0]
        upstream = torch._neg_view(torch.ones_like(y))
        assert upstream.is_neg()
        answers.append([y, *torch.autograd.grad(y, list(weights.values()), upstream)])
    assert all(torch.equal(a, b) for a, b in zip(*answers))
    y = plastic(spec, weights, x=x.resolve_neg().contiguous())[0]
    want = torch.autograd.grad(y, weights["w"], -torch.ones_like(y))[0]
    assert torch.equal(answers[0][3], want)
    negated = plastic(spec, weights, x=torch._neg_view(-x.resolve_neg().contiguous()))[0]
    assert torch.equal(negated, y)


@pytest.mark.parametrize("neurons", [3, 40])
def test_saved_tensors_in_memory_of_numpy(neurons):
    spec = Spec("rnn", "hard_clip", "modulated", neurons=neurons)
    parameters, inputs, _ = draw(spec, steps=20)
    want = torch.autograd.grad(plastic(spec, parameters, **inputs)[0].sum(), parameters["w"])[0]

    def pack(tensor):  # at an address that is no multiple of 64
        room = numpy.empty(tensor.numel() * tensor.element_size() + 128, "u1")
        start = -room.ctypes.data % 64 + 16
        array = room[start : start + tensor.numel() * tensor.element_size()]
        array[:] = tensor.detach().numpy().view("u1").reshape(-1)
        return torch.from_numpy(array).view(tensor.dtype).view(tensor.shape)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = plastic(spec, parameters, **inputs)[0]
    assert torch.equal(torch.autograd.grad(y.sum(), parameters["w"])[0], want)


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
    y, _, _, a = plastic(spec, zeros, pre=torch.ones(1, 1, 1), u=u, return_current=True)
    assert y.tolist() == [[[1, 0]]] and torch.equal(a, u)
    loss = torch.nn.functional.cross_entropy(a[0], torch.tensor([label]))
    loss.backward()
    assert loss == (240 if label else 0) and u.grad.tolist() == [[gradient]]


def test_second_derivative_is_refused():
    parameters, inputs, _ = draw(SPEC)
    y = plastic(SPEC, parameters, **inputs)[0]
    (grad,) = torch.autograd.grad(y.sum(), parameters["w"], create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        grad.sum().backward()


def frozen(carried=False):
    """A loss of an initial trace alone; `carried`: of a trace that is no leaf."""
    parameters, inputs, state = draw(SPEC)
    weights = {name: value.detach() for name, value in parameters.items()}
    x = inputs["x"].detach()
    return state["hebb"].detach(), lambda hebb: plastic(SPEC, weights, x=x, state={"hebb": hebb * 1 if carried else hebb})[0].sum()


@pytest.mark.parametrize("carried", [False, True])
def test_second_derivative_of_the_state_is_refused(carried):
    hebb, loss = frozen(carried)
    for derivative in (torch.autograd.functional.hessian, lambda f, h: torch.autograd.functional.hvp(f, h, torch.ones_like(h))):
        with pytest.raises(RuntimeError, match="expected a first derivative"):
            derivative(loss, hebb)
    leaf = hebb.clone().requires_grad_()
    value = loss(leaf)
    (grad,) = torch.autograd.grad(value, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        (value + grad.square().sum()).backward()


def test_first_derivatives_of_the_state_with_create_graph():
    hebb, loss = frozen()
    leaf = hebb.clone().requires_grad_()
    value = loss(leaf)
    (want,) = torch.autograd.grad(value, leaf, retain_graph=True)
    (got,) = torch.autograd.grad(value, leaf, create_graph=True)
    assert torch.equal(got, want)
    for reentrant in (False, True):
        leaf.grad = None
        torch.utils.checkpoint.checkpoint(loss, leaf, use_reentrant=reentrant).backward()
        assert torch.equal(leaf.grad, want)
    leaf.grad = None
    with torch.autograd.graph.save_on_cpu():
        value = loss(leaf)
    (got,) = torch.autograd.grad(value, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        torch.autograd.grad(got.sum(), leaf, allow_unused=True)


def test_a_state_may_change_in_place_before_backward():
    hebb, loss = frozen()
    leaf = hebb.clone().requires_grad_()
    (want,) = torch.autograd.grad(loss(leaf), leaf)
    carried = leaf * 1
    value = loss(carried)
    carried.mul_(2)
    assert torch.equal(torch.autograd.grad(value, leaf)[0], want)


def test_initial_states_are_freed():
    hebb, loss = frozen()
    carried = hebb.clone().requires_grad_() * 1
    reference, value = weakref.ref(carried), loss(carried)
    del carried
    assert reference() is None
    node = weakref.ref(value.grad_fn.next_functions[0][0])
    del value
    assert node() is None


def test_long_chains_of_calls_are_freed():
    spec = Spec(neurons=1)
    weights = {name: torch.zeros(shape) for name, shape in spec.parameters.items()}
    u, state = torch.zeros(1, 1, 1), {"hebb": torch.zeros(1, 1, 1, requires_grad=True)}
    for _ in range(20000):
        state = plastic(spec, weights, u=u, state=state)[2]
    del state


@pytest.mark.parametrize("gradient", [False, True])
def test_forward_mode_is_refused(gradient):
    from torch.autograd import forward_ad

    parameters, inputs, _ = draw(SPEC)
    weights = {name: value.detach().requires_grad_(gradient) for name, value in parameters.items()}
    x = inputs["x"].detach()
    with forward_ad.dual_level():
        plastic(SPEC, weights, x=x)
        with pytest.raises(RuntimeError, match="plastic: expected reverse mode"):
            plastic(SPEC, weights, x=forward_ad.make_dual(x, torch.ones_like(x)))


def test_transforms_of_functions_are_refused():
    parameters, inputs, _ = draw(SPEC)
    weights, x = {name: value.detach() for name, value in parameters.items()}, inputs["x"].detach()

    def run(x):
        return plastic(SPEC, weights, x=x)[0]

    for transform in (lambda: torch.func.grad(lambda x: run(x).sum())(x), lambda: torch.func.vmap(run)(torch.stack([x, x])),
                      lambda: torch.func.jvp(run, (x,), (x,)), lambda: torch.func.jacfwd(run)(x),
                      lambda: torch.func.jacrev(run)(x),
                      lambda: torch.autograd.functional.jacobian(run, x, vectorize=True)):
        with pytest.raises(RuntimeError, match="plastic: expected no torch.func transform"):
            transform()
    assert torch.autograd.functional.jacobian(lambda x: run(x)[-1, 0], x).shape == (3, *x.shape)


def test_modulation_of_a_cell_state_has_no_gradient():
    spec = Spec("lstm", "hard_clip", "modulated", modulator_source="cell", inputs=2, neurons=3)
    parameters, inputs, _ = draw(spec)
    y, modulation, _ = plastic(spec, parameters, **inputs)
    (y.sum() + modulation.detach().sum()).backward()
    with pytest.raises(ValueError, match="modulation: expected no gradient if modulator_source is cell"):
        plastic(spec, parameters, **inputs)[1].sum().backward()


@pytest.mark.parametrize("changed", ["x", "w", "y"])
def test_tensors_changed_before_backward(changed):
    parameters, inputs, _ = draw(SPEC)
    y, _, _ = plastic(SPEC, parameters, **inputs)
    loss = (y * 2).sum()
    with torch.no_grad():
        {"x": inputs["x"], "w": parameters["w"], "y": y}[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_backward_twice_needs_the_graph():
    parameters, inputs, _ = draw(SPEC)
    loss = plastic(SPEC, parameters, **inputs)[0].sum()
    loss.backward(retain_graph=True)
    once = parameters["w"].grad.clone()
    loss.backward()
    assert torch.equal(parameters["w"].grad, 2 * once)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_a_state_used_twice():
    """Two continuations of one state add their gradients; a state of a freed graph raises."""
    parameters, inputs, _ = draw(SPEC)
    state = plastic(SPEC, parameters, **inputs)[2]
    whole = [plastic(SPEC, parameters, x=factor * inputs["x"].detach(), state=state)[0].sum() for factor in (1, 2)]
    separate = [torch.autograd.grad(loss, parameters["w"], retain_graph=True)[0] for loss in whole]
    together = torch.autograd.grad(sum(whole), parameters["w"])[0]
    assert torch.allclose(together, sum(separate))
    with pytest.raises(RuntimeError, match="second time"):
        plastic(SPEC, parameters, **inputs, state=state)[0].sum().backward()
    plastic(SPEC, parameters, **inputs, state=state.detach())[0].sum().backward()


def test_windows_are_the_sequence():
    parameters, inputs, state = draw(SPEC, steps=6)
    whole, _, final = plastic(SPEC, parameters, **inputs, state=state)
    first, _, carried = plastic(SPEC, parameters, x=inputs["x"][:4], state=state)
    second, _, last = plastic(SPEC, parameters, x=inputs["x"][4:], state=carried)
    assert torch.equal(whole, torch.cat([first, second])) and torch.equal(final.hebb, last.hebb)
    grads = [torch.autograd.grad(y.square().sum(), [*parameters.values(), inputs["x"], *state.values()], allow_unused=True)
             for y in (whole, torch.cat([first, second]))]
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*grads))


def test_nothing_is_recorded_without_need():
    parameters, inputs, _ = draw(SPEC)
    with torch.no_grad():
        assert plastic(SPEC, parameters, **inputs)[0].grad_fn is None
    detached = {name: value.detach() for name, value in parameters.items()}
    assert plastic(SPEC, detached, x=inputs["x"].detach())[0].grad_fn is None


def test_only_wanted_gradients():
    parameters, inputs, _ = draw(SPEC)
    frozen = {name: value.detach() for name, value in parameters.items()}
    frozen["alpha"].requires_grad_()
    plastic(SPEC, frozen, x=inputs["x"].detach())[0].sum().backward()
    plastic(SPEC, parameters, **inputs)[0].sum().backward()
    assert torch.equal(frozen["alpha"].grad, parameters["alpha"].grad) and frozen["w"].grad is None


def test_empty_sequences_and_batches():
    parameters, _, _ = draw(SPEC)
    for steps, batch in ((0, 2), (3, 0)):
        y, modulation, final = plastic(SPEC, parameters, x=torch.zeros(steps, batch, 2, dtype=torch.float64))
        assert y.shape == (steps, batch, 3) and modulation.shape == (steps, batch)
        y.sum().backward()
        assert not parameters["w"].grad.any() and final.hebb.shape == (batch, 3, 3)


def test_threads():
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


def test_a_tape_does_not_depend_on_the_number_of_threads():
    from plasticity._calls import Options, plan_for

    for spec in all_specs()[::7]:
        bytes_of = {plan_for(spec, Options(5, 3, threads=threads)).tape_bytes for threads in (1, 2, 7)}
        assert len(bytes_of) == 1
    parameters, inputs, _ = draw(SPEC)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        y = plastic(SPEC, parameters, **inputs)[0]
        torch.set_num_threads(2)
        other = plastic(SPEC, parameters, **inputs)[0]
        assert torch.equal(*(torch.autograd.grad(each.sum(), parameters["w"])[0] for each in (y, other)))
    finally:
        torch.set_num_threads(before)


def test_blocks_of_memory_return():
    from plasticity.torch import _memory

    _memory.release()
    size = 3 << 20
    tensor = _memory.take(size)
    assert tensor.data_ptr() % 64 == 0 and tensor.numel() == size and not _memory._free
    address, alias = tensor.data_ptr(), tensor.view(-1, 64)
    del tensor
    assert not _memory._free  # the storage is in use
    del alias
    assert _memory.take(size - 64).data_ptr() == address
    tensors = [_memory.take(size) for _ in range(2 * _memory.MAX_BLOCKS)]
    assert len({each.data_ptr() for each in tensors}) == len(tensors)
    del tensors
    assert len(_memory._free) == _memory.MAX_BLOCKS
    _memory.release()


def test_tapes_that_live_at_once_are_apart():
    spec = Spec(neurons=64)
    parameters, inputs, _ = draw(spec, steps=40, batch=8, dtype=torch.float32, scale=.1)
    answers = []
    for _ in range(2):  # the second round uses the blocks of the first
        losses = [plastic(spec, parameters, u=k * inputs["u"])[0].square().sum() for k in (1, 2, 3)]
        answers.append([torch.autograd.grad(loss, parameters["w"])[0] for loss in losses])
    alone = [torch.autograd.grad(plastic(spec, parameters, u=k * inputs["u"])[0].square().sum(), parameters["w"])[0] for k in (1, 2, 3)]
    for each in answers:
        assert all(torch.equal(a, b) for a, b in zip(each, alone))


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def test_a_thousand_iterations_do_not_grow():
    spec = Spec("rnn", "hard_clip", "modulated", inputs=8, neurons=32)
    parameters, inputs, _ = draw(spec, steps=10, batch=4, dtype=torch.float32)
    optimizer = torch.optim.SGD(parameters.values(), lr=1e-3)

    def train(iterations):
        for _ in range(iterations):
            optimizer.zero_grad()
            y, _, state = plastic(spec, parameters, x=inputs["x"])
            y2, _, _ = plastic(spec, parameters, x=inputs["x"], state=state)
            y2.square().mean().backward()
            optimizer.step()
        gc.collect()
        return resident(), len(gc.get_objects())

    # A leak grows in every window. The process's other memory (thread stacks, allocator) grows in some.
    windows = [train(250) for _ in range(5)]
    bytes_grown, objects_grown = (min(b - a for a, b in zip(at, at[1:])) for at in zip(*windows))
    assert bytes_grown < 250 * 512
    assert objects_grown < 50
