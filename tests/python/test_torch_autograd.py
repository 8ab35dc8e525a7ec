"""plastic() under PyTorch's autograd: derivatives that exist or are refused, saved tensors, states in two graphs."""
import numpy
import pytest

torch = pytest.importorskip("torch")
from torch.utils.checkpoint import checkpoint  # noqa: E402
from plasticity import Spec  # noqa: E402
from plasticity.torch import PlasticLinear, PlasticLSTM, PlasticRNN, plastic  # noqa: E402
from torch_cases import SPEC, draw, loss_of_a_trace  # noqa: E402


def test_second_derivative_is_refused():
    parameters, inputs, _ = draw(SPEC)
    y = plastic(SPEC, parameters, **inputs)[0]
    (grad,) = torch.autograd.grad(y.sum(), parameters["w"], create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        grad.sum().backward()


@pytest.mark.parametrize("carried", [False, True])
def test_second_derivative_of_the_state_is_refused(carried):
    hebb, loss = loss_of_a_trace(carried)
    for derivative in (torch.autograd.functional.hessian, lambda f, h: torch.autograd.functional.hvp(f, h, torch.ones_like(h))):
        with pytest.raises(RuntimeError, match="expected a first derivative"):
            derivative(loss, hebb)
    leaf = hebb.clone().requires_grad_()
    value = loss(leaf)
    (grad,) = torch.autograd.grad(value, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        (value + grad.square().sum()).backward()


def test_first_derivatives_of_the_state_with_create_graph():
    hebb, loss = loss_of_a_trace()
    leaf = hebb.clone().requires_grad_()
    value = loss(leaf)
    (want,) = torch.autograd.grad(value, leaf, retain_graph=True)
    (got,) = torch.autograd.grad(value, leaf, create_graph=True)
    assert torch.equal(got, want)
    for reentrant in (False, True):
        leaf.grad = None
        checkpoint(loss, leaf, use_reentrant=reentrant).backward()
        assert torch.equal(leaf.grad, want)
    leaf.grad = None
    with torch.autograd.graph.save_on_cpu():
        value = loss(leaf)
    (got,) = torch.autograd.grad(value, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        torch.autograd.grad(got.sum(), leaf, allow_unused=True)


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

    for transform in (lambda: torch.func.grad(lambda x: run(x).sum())(x),
                      lambda: torch.func.vmap(torch.func.grad(lambda x: run(x).sum()))(torch.stack([x, x])),
                      lambda: torch.func.grad(lambda x: torch.func.vmap(run)(x).sum())(torch.stack([x, x])),
                      lambda: torch.func.jvp(run, (x,), (x,)), lambda: torch.func.jacfwd(run)(x),
                      lambda: torch.func.jacrev(run)(x),
                      lambda: torch.autograd.functional.jacobian(run, x, vectorize=True)):
        with pytest.raises(RuntimeError, match="plastic: expected no torch.func transform"):
            transform()
    assert torch.autograd.functional.jacobian(lambda x: run(x)[-1, 0], x).shape == (3, *x.shape)


needs_vmap = pytest.mark.skipif(not hasattr(torch.library, "register_vmap"), reason="PyTorch is older than 2.5")
MODULES = [lambda: PlasticRNN(3, 5, rule="hard_clip", rate="modulated", batch_first=True), lambda: PlasticLSTM(3, 5),
           lambda: PlasticLinear(3, 5)]


@needs_vmap
@pytest.mark.parametrize("make", MODULES)
@pytest.mark.parametrize("with_gradients", [False, True])
def test_vmap_over_modules(make, with_gradients):
    torch.manual_seed(0)
    modules, x = [make() for _ in range(3)], torch.randn(6, 2, 3)
    parameters, _ = torch.func.stack_module_state(modules)

    def run(parameters, x):
        return torch.func.functional_call(modules[0], parameters, (x,))[0]

    want = torch.stack([module(x)[0] for module in modules])
    with torch.set_grad_enabled(with_gradients):
        got = torch.func.vmap(run, (0, None))(parameters, x)
        nested = torch.func.vmap(torch.func.vmap(run, (None, 0)), (0, None))(parameters, torch.stack([x, x]))
    assert torch.equal(got, want) and torch.equal(nested[:, 1], want) and got.requires_grad == with_gradients
    if with_gradients:
        got.square().sum().backward()
        want.square().sum().backward()
        for name, value in parameters.items():
            assert torch.equal(value.grad, torch.stack([dict(module.named_parameters())[name].grad for module in modules]))


@needs_vmap
def test_vmap_around_a_call_without_its_batch():
    module, x, scales = PlasticRNN(3, 5), torch.randn(6, 2, 3), torch.tensor([1.0, 2.0])
    got = torch.func.vmap(lambda scale: scale * module(x)[0])(scales)
    want = scales[:, None, None, None] * module(x)[0]
    assert torch.equal(got, want)
    gradients = [torch.autograd.grad(y.square().sum(), list(module.parameters())) for y in (got, want)]
    assert all(map(torch.equal, *gradients))


@needs_vmap
def test_vmap_over_inputs_states_and_masks():
    parameters, inputs, state = draw(SPEC)
    x = inputs["x"].detach()  # [T,B,I]; the batch is mapped
    reset = torch.tensor([[0, 0], [1, 0], [0, 1]], dtype=torch.bool)
    hebb = state["hebb"].detach().requires_grad_()

    def run(x, hebb, reset):
        y, modulation, final = plastic(SPEC, parameters, x=x.unsqueeze(1), state={"hebb": hebb.unsqueeze(0)}, reset=reset.unsqueeze(1))
        return y[:, 0], modulation[:, 0], final.hebb[0]

    want = plastic(SPEC, parameters, x=x, state={"hebb": hebb}, reset=reset)
    got = torch.func.vmap(run, (1, 0, 1), (1, 1, 0))(x, hebb, reset)
    for a, b in zip(got, (want[0], want[1], want[2].hebb)):
        assert torch.equal(a, b)
    gradients = [torch.autograd.grad(each.sum(), [hebb, parameters["w"]], create_graph=True) for each in (got[0], want[0])]
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*gradients))
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        gradients[0][0].sum().backward()
    with pytest.raises(ValueError, match=r"inputs.x.shape: expected \[3, 1, 2\], got \[3, 1, 1\]"):
        torch.func.vmap(run, (1, 0, 1))(x[..., :1], hebb, reset)
    assert torch.func.vmap(run, (1, 0, 1))(x[:, :0], hebb[:0], reset[:, :0])[0].shape == (0, 3, 3)


def test_modulation_of_a_cell_state_has_no_gradient():
    spec = Spec("lstm", "hard_clip", "modulated", modulator_source="cell", inputs=2, neurons=3)
    parameters, inputs, _ = draw(spec)
    y, modulation, _ = plastic(spec, parameters, **inputs)
    (y.sum() + modulation.detach().sum()).backward()
    with pytest.raises(ValueError, match="modulation: expected no gradient if modulator_source is cell"):
        plastic(spec, parameters, **inputs)[1].sum().backward()


def test_a_state_may_change_in_place_before_backward():
    hebb, loss = loss_of_a_trace()
    leaf = hebb.clone().requires_grad_()
    (want,) = torch.autograd.grad(loss(leaf), leaf)
    carried = leaf * 1
    value = loss(carried)
    carried.mul_(2)
    assert torch.equal(torch.autograd.grad(value, leaf)[0], want)


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
    negated = {**weights, "w": torch.nn.Parameter(torch._neg_view(-weights["w"].detach()))}
    assert torch.equal(plastic(spec, negated, x=x.resolve_neg().contiguous())[0], y)


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
