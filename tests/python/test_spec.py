"""Spec: its values, its errors, its metadata, its shapes; and the library's errors as exceptions."""
import dataclasses
import pickle

import pytest

import plasticity
from plasticity import Spec


def test_metadata_round_trips():
    spec = Spec("lstm", "read_clip", "fan_out", "after", "post", "tanh", "cell", inputs=7, neurons=11, clip=2.5)
    assert Spec.from_metadata(spec.to_metadata()) == spec
    assert Spec.from_metadata({**spec.to_metadata(), "T": "3", "loss": "x"}) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec and hash(spec) == hash(dataclasses.replace(spec))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"rule": "hard"}, "rule: expected one of decay, oja, hard_clip"),
        ({"neurons": 0}, "neurons"),
        ({"neurons": 2.5}, "neurons: expected an integer, got 2.5"),
        ({"clip": -1, "rule": "hard_clip"}, "clip"),
        ({"eligibility": "before"}, "rate"),
        ({"cell": "lstm", "inputs": 2, "activation": "relu"}, "activation"),
    ],
)
def test_wrong_fields(fields, text):
    with pytest.raises(ValueError, match=text) as caught:
        Spec(**fields)
    assert isinstance(caught.value, plasticity.InvalidSpec) and isinstance(caught.value, plasticity.Error)


@pytest.mark.parametrize("rule", plasticity._c.RULE)
def test_rules_with_a_clip_check_it(rule):
    if Spec(rule=rule).has_clip:
        with pytest.raises(plasticity.InvalidSpec, match="clip"):
            Spec(rule=rule, clip=-1)
    else:
        Spec(rule=rule, clip=-1)


def test_wrong_metadata():
    metadata = Spec(neurons=3).to_metadata()
    with pytest.raises(plasticity.FormatError, match="metadata 'N': expected a number, got 'many'"):
        Spec.from_metadata({**metadata, "N": "many"})
    del metadata["rule"]
    with pytest.raises(plasticity.FormatError, match="metadata 'rule': expected a value, got none"):
        Spec.from_metadata(metadata)


def test_a_clip_that_should_be_learned():
    torch = pytest.importorskip("torch")
    with pytest.raises(plasticity.InvalidSpec, match="clip: expected a number, got a tensor that requires a gradient"):
        Spec(rule="hard_clip", clip=torch.nn.Parameter(torch.ones(())))


def test_fields_cannot_be_set():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Spec().neurons = 3


def test_shapes_are_those_of_the_parity_cases(case):
    spec = case.spec
    if spec.cell == "rnn" and "w_in" not in case.parameters:
        spec = dataclasses.replace(spec, inputs=0)
    assert spec.parameters == {name: case.parameters[name].shape for name in spec.parameters}
    assert set(case.parameters) == set(spec.parameters)
    state = spec.state_of(case.batch)
    assert all(state[name] == value.shape for name, value in case.state.items())


def test_unknown_names_of_tensors():
    with pytest.raises(plasticity.InvalidArgument, match="name: expected the name of a tensor"):
        Spec().shape("parameters.gain", 1, 1)
    with pytest.raises(plasticity.InvalidArgument, match="name: expected the name of a tensor"):
        Spec().shape("", 1, 1)
    assert Spec(neurons=3).shape("modulation", 2, 2) is None


def test_exceptions_have_their_standard_bases():
    for kind, base in ((plasticity.InvalidArgument, ValueError), (plasticity.OutOfMemory, MemoryError),
                       (plasticity.DeviceUnavailable, RuntimeError), (plasticity.Unsupported, RuntimeError),
                       (plasticity.IOFailure, RuntimeError), (plasticity.FormatError, ValueError),
                       (plasticity.CommunicationError, RuntimeError)):
        assert issubclass(kind, plasticity.Error) and issubclass(kind, base)
    with pytest.raises(MemoryError):
        raise plasticity._errors.error_of(5, "no room")
    for status in plasticity._c.STATUS[1:]:
        error = plasticity._errors.error_of(plasticity._c.STATUS.index(status), "text")
        assert error.status == status.lower()
