"""Shared by the Python tests. Those of PyTorch and JAX are skipped if these are not installed."""
import inspect
import pathlib
import typing

import numpy
import pytest

import plasticity

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARITY = sorted((ROOT / "tests" / "data" / "parity").glob("*.safetensors"))


class Case:
    """A parity case: groups of arrays by the names of the file, and its spec."""

    def __init__(self, path):
        self.tensors, self.metadata = plasticity.load_file(path)
        self.spec = plasticity.Spec.from_metadata(self.metadata)
        self.steps, self.batch = int(self.metadata["T"]), int(self.metadata["B"])
        self.parameters, self.inputs = self.group("param."), self.group("input.")
        self.state = {name[:-1]: value for name, value in self.group("state.").items()}
        self.masks, self.upstream = self.group("mask."), self.group("upstream.")

    def group(self, prefix):
        return {name[len(prefix):]: value for name, value in self.tensors.items() if name.startswith(prefix)}

    @staticmethod
    def outputs(y, modulation, state):
        return {"y": y, "modulation": modulation, **{f"{name}_final": value for name, value in state._asdict().items()}}

    def check(self, outputs, gradients, tolerance):
        """Compares the answers with the file: ||got - want|| / max(||want||, 1). Returns how many were compared."""
        got = {**{"expect." + name: value for name, value in outputs.items()},
               **{"grad." + name: value for name, value in gradients.items()}}
        names = [name for name in self.tensors if name.startswith(("expect.", "grad."))]
        for name in names:
            want = self.tensors[name]
            error = numpy.linalg.norm(numpy.asarray(got[name], "f8") - want) / max(numpy.linalg.norm(want), 1)
            assert error <= tolerance, f"{name}: {error}"
        return len(names)


def tolerance_of(case, dtype):
    """As tests/data/parity and the C++ tests have it."""
    return 1e-10 if dtype == "float64" else 2e-5 if case.steps <= 50 else 1e-4


@pytest.fixture(params=PARITY, ids=lambda path: path.stem)
def case(request):
    return Case(request.param)


def all_specs(**fields):
    """Every mix of cell, rule, rate and eligibility that there is."""
    from plasticity import _c

    specs = []
    for cell in _c.CELL:
        for rule in _c.RULE:
            for rate in _c.RATE:
                for eligibility in _c.ELIGIBILITY:
                    try:
                        specs.append(plasticity.Spec(cell, rule, rate, eligibility, inputs=2, neurons=3, **fields))
                    except plasticity.InvalidSpec:
                        assert eligibility != "none" and rate == "fixed"
    return specs


def check_overloads(function):
    """Checks that the overloads of plastic() have its parameters, and a tuple of the right length as their result."""
    if not hasattr(typing, "get_overloads"):
        pytest.skip("typing.get_overloads is of Python 3.11")
    parameters = inspect.signature(function).parameters
    lengths = {}
    for overload in typing.get_overloads(function):
        flag = overload.__annotations__["return_preactivation"]
        lengths[str(flag)] = len(typing.get_args(overload.__annotations__["return"]))
        for name, parameter in inspect.signature(overload).parameters.items():
            got, want = ((each.kind, each.default, each.annotation) for each in (parameter, parameters[name]))
            assert name == "return_preactivation" or got == want, name
        assert [*inspect.signature(overload).parameters] == [*parameters]
    assert lengths == {"typing.Literal[False]": 3, "typing.Literal[True]": 4, "<class 'bool'>": 2}
