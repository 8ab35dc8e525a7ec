"""Arguments of the modules: layouts that are copied, and errors in the words of the caller."""
import numpy
import pytest

torch = pytest.importorskip("torch")
import plasticity  # noqa: E402
from plasticity.torch import PlasticLinear, PlasticRNN, State, plastic  # noqa: E402
from torch_cases import MAKERS, same  # noqa: E402


@pytest.fixture(params=MAKERS)
def make(request):
    torch.manual_seed(0)
    return MAKERS[request.param]


def test_warnings_name_the_file_of_the_caller(make):
    module, value = make(), torch.zeros(5, 2, 4, requires_grad=True)
    with pytest.warns(UserWarning, match="clamp_value") as caught:
        module(torch.zeros(5, 2, 3), clamp=torch.ones(5, 2, 4), clamp_value=value)
    assert [each.filename for each in caught] == [__file__]
    with pytest.warns(UserWarning, match="clamp_value") as caught:
        plastic(module.spec, module.library_parameters(), clamp=torch.ones(5, 2, 4), clamp_value=value,
                **{"pre" if module.spec.cell == "feedforward" else "x": torch.zeros(5, 2, 3)})
    assert [each.filename for each in caught] == [__file__]


def test_arguments_that_are_no_tensors():
    module = MAKERS["rnn"]()
    x, reset = torch.randn(5, 2, 3), numpy.zeros((5, 2), bool)
    with pytest.raises(ValueError, match="reset: expected a tensor, got ndarray"):
        module(x, reset=reset)
    with pytest.raises(ValueError, match="reset: expected a tensor, got ndarray"):
        module.step(x[0], reset=reset[0])
    with pytest.raises(ValueError, match="x: expected a tensor, got ndarray"):
        module.step(x[0].numpy())
    with pytest.raises(ValueError, match=r"reset.shape: expected \[T,B,…\], got \[5\]"):
        module(x, reset=torch.zeros(5))


def test_steps_take_parts_of_tensors():
    module = PlasticRNN(3, 4, rate="external")
    x, rate, wide = torch.randn(2, 3), torch.rand(4, 2).T, torch.rand(2, 8)[:, ::2]
    reset = torch.tensor([[True, False], [False, True]])[:, 0]
    given = {"rate": rate, "reset": reset, "clamp": wide > .5, "clamp_value": wide}
    y, state = module.step(x, reset=reset, rate=rate, clamp=(torch.rand(4, 2) > .5).T, clamp_value=wide)
    assert y.shape == (2, 4)
    y, state = module.step(x, **given)
    want, final = module.step(x, **{name: each.contiguous() for name, each in given.items()})
    assert torch.equal(y, want) and same(state, final)


def test_parameters_and_states_that_are_not_contiguous(make):
    module, x = make(), torch.randn(5, 2, 3)
    answers = []
    for is_contiguous in (True, False):
        torch.manual_seed(1)
        weights = {name: torch.randn(value.T.shape).T if value.dim() == 2 else torch.randn(value.shape)
                   for name, value in module.state_dict().items()}
        start = State(**{name: torch.randn(shape[1:]).expand(shape) if name == "y" else torch.randn((*shape, 2))[..., 0]
                         for name, shape in module.spec.state_of(2).items()})
        if is_contiguous:
            weights = {name: value.contiguous() for name, value in weights.items()}
            start = State(*[each if each is None else each.contiguous() for each in start])
        assert all(each.is_contiguous() for each in weights.values()) == is_contiguous
        module.load_state_dict(weights, assign=True)
        given = [each.requires_grad_() for each in start if each is not None]
        y, state = module(x, start)
        loss = y.square().sum() + sum(each.sum() for each in state if each is not None)
        gradients = torch.autograd.grad(loss, [*module.parameters(), *given])
        answers.append([y, *state, *gradients, *module.step(x[0], start)[1]])
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        assert torch.equal(compiled(x, start)[0], y)
    assert same(*answers)


def test_the_gradient_of_a_learned_initial_state():
    module, x = PlasticRNN(3, 4), torch.randn(5, 2, 3)
    h0 = torch.randn(4, requires_grad=True)
    module(x, {"y": h0.expand(2, 4)})[0].sum().backward()
    want, h0.grad = h0.grad, None
    module(x, {"y": h0.repeat(2, 1)})[0].sum().backward()
    assert torch.equal(want, h0.grad)


def test_orthogonal_weights():
    module = PlasticLinear(3, 6)
    torch.nn.utils.parametrizations.orthogonal(module, "w")
    assert not module.w.is_contiguous()
    module(torch.randn(5, 2, 3))[0].sum().backward()
    assert module.parametrizations.w.original.grad.abs().sum() > 0


@pytest.mark.parametrize("batch_first", [False, True])
def test_errors_name_arguments_and_shapes_of_the_caller(batch_first):
    def of(*shape):
        return torch.zeros(*((2, 5) if batch_first else (5, 2)), *shape)

    def text(*shape):
        return str([*((2, 5) if batch_first else (5, 2)), *shape]).replace("[", r"\[")

    module = PlasticRNN(3, 4, rate="external", batch_first=batch_first)
    linear = PlasticLinear(3, 4, batch_first=batch_first)
    given = {"input": of(3), "rate": of(4)}
    for layer, changes, expected in (
        (module, {"reset": of().T}, rf"^reset.shape: expected {text()}, got \[{'5, 2' if batch_first else '2, 5'}\]"),
        (module, {"rate": of(5)}, f"^rate.shape: expected {text(4)}, got {text(5)}"),
        (module, {"rate": None}, f"^rate: expected a tensor of shape {text(4)}, got none"),
        (module, {"input": of(7)}, f"^input.shape: expected {text(3)}, got {text(7)}"),
        (module, {"input": of(3).double()}, "^input.dtype: expected torch.float32 as of parameters.w_in"),
        (module, {"clamp": of(3), "clamp_value": of(4)}, f"^clamp.shape: expected {text(4)}, got {text(3)}"),
        (module, {"clamp": of(4)}, "^clamp_value: expected a tensor, because clamp is given"),
        (module, {"lengths": [5, 9]}, r"^lengths\[1\]: expected 0 to 5, got 9"),
        (module, {"lengths": [5]}, r"^lengths.shape: expected \[2\], got \[1\]"),
        (module, {"lengths": [5, 1.5]}, "^lengths: expected whole numbers, got 1.5"),
        (module, {"state": {"y": torch.zeros(3, 4)}}, r"^state.y.shape: expected \[2, 4\], got \[3, 4\]"),
        (module, {"state": {"c": torch.zeros(2, 4)}}, "^state.c: expected none for a cell without it"),
        (module, {"state": {"y": [0]}}, "^state.y: expected a tensor, got list"),
        (linear, {"input": of(7)}, f"^input.shape: expected {text(3)}, got {text(7)}"),
        (linear, {"rate": of(4)}, "^rate: expected none for a cell without it"),
        (linear, {"rate": None, "current": of(4).transpose(0, 1)}, f"^current.shape: expected {text(4)}, got"),
    ):
        with pytest.raises(plasticity.InvalidArgument, match=expected):
            layer(**{**given, **changes})
    with pytest.raises(plasticity.InvalidArgument, match=f"^input.shape: expected {text(4)}, got {text(3)}"):
        PlasticRNN(0, 4, batch_first=batch_first)(of(3))


def test_errors_of_a_step_name_shapes_of_the_caller():
    module, x = PlasticRNN(3, 4), torch.zeros(2, 3)
    for changes, text in (({"x": torch.zeros(2, 5)}, r"^x.shape: expected \[2, 3\], got \[2, 5\]"),
                          ({"reset": torch.zeros(3)}, r"^reset.shape: expected \[2\], got \[3\]"),
                          ({"x": x.double()}, "^x.dtype: expected torch.float32"),
                          ({"state": State(y=torch.zeros(3, 4))}, r"^state.y.shape: expected \[2, 4\], got \[3, 4\]")):
        with pytest.raises(plasticity.InvalidArgument, match=text):
            module.step(**{"x": x, **changes})
    with pytest.raises(plasticity.InvalidArgument, match=r"^rate: expected a tensor of shape \[2, 4\], got none"):
        PlasticRNN(3, 4, rate="external").step(x)


@pytest.mark.parametrize("options", [{"memory_budget": 1e9}, {"checkpoint_interval": -1}, {"precision": "f16"}], ids=str)
def test_wrong_options(make, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        make(**options)


@pytest.mark.parametrize("input", [torch.zeros(3), "text", torch.zeros(2, 3)], ids=["vector", "text", "matrix"])
def test_wrong_inputs(make, input):
    with pytest.raises(ValueError, match="input: expected a PackedSequence, or a tensor of three axes"):
        make()(input)
