"""The operators under torch.library's checks and torch.compile."""
import pytest

torch = pytest.importorskip("torch")
from plasticity import Spec  # noqa: E402
from plasticity.torch import PlasticLSTM, PlasticRNN, State, plastic  # noqa: E402
from plasticity._library import build_of  # noqa: E402
from plasticity.torch import _signature  # noqa: E402
from plasticity.torch._signature import to_text  # noqa: E402

SPECS = [Spec("rnn", "hard_clip", "modulated", "before", inputs=2, neurons=3), Spec("feedforward", "oja", inputs=2, neurons=3),
         Spec("lstm", "read_clip", "fan_out", alpha="post", inputs=2, neurons=3)]


def arguments_of(spec, grad, preactivation=False):
    torch.manual_seed(0)
    names, tensors = [], []
    for group, shapes in (("parameters", spec.parameters), ("inputs", spec.inputs_of(4, 2)), ("initial_state", spec.state_of(2))):
        for name, shape in shapes.items():
            names.append(f"{group}.{name}")
            tensors.append((.3 * torch.randn(shape)).requires_grad_(grad))
    return to_text(spec, False, 0, 0, "automatic", preactivation, names), names, tensors


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.cell)
@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("preactivation", [False, True])
def test_opcheck_of_forward(spec, record, preactivation):
    text, _, tensors = arguments_of(spec, record, preactivation)
    torch.library.opcheck(torch.ops.plasticity.forward.default, (text, tensors, record, []))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.cell)
@pytest.mark.parametrize("preactivation", [False, True])
def test_opcheck_of_backward(spec, preactivation):
    text, names, tensors = arguments_of(spec, False, preactivation)
    *outputs, tape = torch.ops.plasticity.forward(text, tensors, True, [])
    kept = [tensor for name, tensor in zip(names, tensors) if not name.startswith("initial_state.")]
    upstream = [None if k == 1 and spec.has_modulator else torch.randn_like(each) for k, each in enumerate(outputs)]
    wanted = [k % 2 == 0 for k in range(len(names))]
    y = outputs[0] if spec.has_modulator else None
    torch.library.opcheck(torch.ops.plasticity.backward.default, (text, kept, tape, upstream, wanted, y, []))


def test_programs_compiled_for_another_build_are_not_used(monkeypatch, tmp_path):
    first, other = tmp_path / "first", tmp_path / "other"
    first.write_bytes(b"12")
    other.write_bytes(b"123")
    assert build_of(first) != build_of(other)
    texts = []
    for path in (first, other):
        monkeypatch.setattr(_signature, "_BUILD", build_of(path))
        texts.append(to_text(SPECS[0], False, 0, 0, "automatic", False, ["inputs.x"]))
    assert texts[0] != texts[1]
    assert _signature.from_text(texts[0]) == _signature.from_text(texts[1])


def test_unknown_signatures_are_refused():
    with pytest.raises(ValueError, match="signature: expected a spec"):
        torch.ops.plasticity.forward("rnn", [torch.zeros(1)], False, [])


def test_operators_refuse_a_second_derivative():
    text, _, tensors = arguments_of(SPECS[0], True)
    y = torch.ops.plasticity.forward(text, tensors, True, [])[0]
    (grad,) = torch.autograd.grad(y.sum(), tensors[0], create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        grad.sum().backward()


@pytest.mark.parametrize("make", [lambda: PlasticRNN(2, 3, rule="hard_clip", rate="modulated"), lambda: PlasticLSTM(2, 3, batch_first=True)],
                         ids=["rnn", "lstm"])
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_modules_have_equal_gradients(make, backend):
    torch.manual_seed(0)
    module = make()
    x = torch.randn(4, 5, 2, requires_grad=True)
    reset = torch.zeros(4, 5, dtype=torch.bool)
    reset[2, 1] = True

    def loss(x, reset):
        output, state = module(x, lengths=torch.tensor([4, 3, 2, 4] if module.batch_first else [4, 3, 2, 4, 1]), reset=reset)
        _, state, a = module(x * 2, state, return_preactivation=True)
        return output.square().sum() + state.hebb.sum() + a.square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    answers = []
    for run in (loss, compiled):
        module.zero_grad()
        x.grad = None
        value = run(x, reset)
        value.backward()
        answers.append([value.detach(), x.grad, *(each.grad for each in module.parameters())])
    for a, b in zip(*answers):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_operators_refuse_a_second_derivative_of_the_state():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Through(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            return function(*arguments, **(keywords or {}))

    module = PlasticRNN(2, 3).requires_grad_(False)
    hebb = torch.full((2, 3, 3), .1, requires_grad=True)
    with Through():
        y, _ = module(torch.ones(4, 2, 2), {"hebb": hebb})
        (grad,) = torch.autograd.grad(y.sum(), hebb, create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        torch.autograd.grad(grad.sum(), hebb, allow_unused=True)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_traced_functions():
    torch.manual_seed(0)
    module = PlasticRNN(2, 3).requires_grad_(False)
    traced = torch.jit.trace(lambda x: module(x)[0], torch.randn(4, 2, 2))
    x = torch.randn(6, 5, 2)
    assert torch.equal(traced(x), module(x)[0])


@pytest.mark.skipif(not hasattr(torch.utils._pytree, "_register_namedtuple"), reason="this PyTorch cannot write a named tuple")
@pytest.mark.filterwarnings("ignore:At pre-dispatch tracing")  # by PyTorch 2.4
def test_exported_modules_are_read_again(tmp_path):
    module, x = PlasticRNN(2, 3), torch.randn(4, 2, 2)
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "module.pt2")
    y, state = torch.export.load(tmp_path / "module.pt2").module()(x)
    want, final = module(x)
    assert type(state) is State and torch.equal(y, want) and torch.equal(state.hebb, final.hebb)


@pytest.mark.parametrize("make", [PlasticRNN, PlasticLSTM])
def test_meta_tensors(make):
    module = make(2, 3, device="meta")
    y, state = module(torch.zeros(4, 5, 2, device="meta"))
    assert y.is_meta and y.shape == (4, 5, 3) and state.hebb.shape == (5, 3, 3)
    (y.sum() + state.hebb.sum()).backward()
    assert module.w.grad.is_meta and module.w.grad.shape == (3, 3)


def test_fake_tensors():
    from torch._subclasses.fake_tensor import FakeTensorMode

    spec = SPECS[0]
    with FakeTensorMode():
        parameters = {name: torch.zeros(shape) for name, shape in spec.parameters.items()}
        y, modulation, final = plastic(spec, parameters, x=torch.zeros(4, 2, 2))
        assert y.shape == (4, 2, 3) and modulation.shape == (4, 2) and final.hebb.shape == (2, 3, 3)
