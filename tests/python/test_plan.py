"""Plan on NumPy arrays and DLPack: parity, single steps, arrays that are refused."""
import copy
import dataclasses
import pickle
import threading

import numpy
import pytest
from conftest import tolerance_of

import plasticity
from plasticity import Plan, Spec, _calls


def masks_of(case):
    kinds = {"reset": "?", "length": "i8", "clamp": "?"}
    return {name: value.astype(kinds.get(name, value.dtype)) for name, value in case.masks.items()}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parity(case, dtype):
    spec = case.spec
    if spec.cell == "rnn" and "w_in" not in case.parameters:
        spec = dataclasses.replace(spec, inputs=0)
    plan = Plan(spec, steps=case.steps, batch=case.batch, precision="f64" if dtype == "float64" else "f32")

    def cast(arrays):
        return {name: value.astype(dtype) for name, value in arrays.items()}

    masks = masks_of(case)
    if "clamp_value" in masks:
        masks["clamp_value"] = masks["clamp_value"].astype(dtype)
    tape = plan.make_tape()
    parameters, inputs = cast(case.parameters), cast(case.inputs)
    result = plan.forward(parameters, **inputs, **masks, state=cast(case.state), tape=tape)
    final = {name[:-6]: value for name, value in cast(case.upstream).items() if name.endswith("_final")}
    gradients = plan.backward(parameters, tape, **inputs, **masks, dy=cast(case.upstream).get("y"), dfinal_state=final)
    named = {**gradients.parameters, **gradients.inputs, **{f"{k}0": v for k, v in gradients.state._asdict().items()}}
    assert case.check(case.outputs(*result), named, tolerance_of(case, dtype)) > 5


def small(dtype="f4", **fields):
    spec = Spec(neurons=4, inputs=3, **fields)
    random = numpy.random.default_rng(0)
    parameters = {name: (.3 * random.standard_normal(shape)).astype(dtype) for name, shape in spec.parameters.items()}
    return spec, parameters, random.standard_normal((5, 2, 3)).astype(dtype)


def test_steps_have_the_bits_of_the_sequence():
    spec, parameters, x = small(rule="hard_clip", rate="modulated")
    whole = Plan(spec, steps=5, batch=2).forward(parameters, x=x)
    plan = Plan(spec, batch=2)
    step_state = plan.load()
    for t in range(5):
        y, modulation = plan.step(parameters, step_state, x=x[t : t + 1])
        assert numpy.array_equal(y[0], whole.y[t]) and numpy.array_equal(modulation[0], whole.modulation[t])
    for name, value in plan.store(step_state)._asdict().items():
        assert value is None or numpy.array_equal(value, getattr(whole.state, name))


def test_a_copied_step_state_branches_a_simulation():
    spec, parameters, x = small(rule="hard_clip", rate="modulated", eligibility="before")
    plan = Plan(spec, batch=2)
    step_state = plan.load()
    plan.step(parameters, step_state, x=x[:1])
    branches = [unaligned_copy(step_state), step_state]
    for branch in branches:
        plan.step(parameters, branch, x=x[1:2])
    assert numpy.array_equal(*branches)
    ys = [plan.step(parameters, branch, x=x[2:3])[0] for branch in branches]
    assert numpy.array_equal(*ys)
    states = [plan.store(branch) for branch in branches]
    assert all(a is b is None or numpy.array_equal(a, b) for a, b in zip(*states))
    loaded = plan.load(states[0], step_state=unaligned_copy(step_state))
    assert numpy.array_equal(plan.store(loaded).hebb, states[0].hebb)


def unaligned_copy(memory):
    room = numpy.zeros(memory.size + 128, "u1")
    start = -room.ctypes.data % 64 + 16
    copied = room[start : start + memory.size]
    copied[:] = memory
    return copied


def test_tapes_and_scratch_that_are_not_aligned():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    answers = []
    for memory in (lambda size: unaligned_copy(numpy.zeros(size, "u1")), lambda size: None):
        tape = plan.make_tape() if memory(1) is None else memory(plan.tape_bytes)
        y = plan.forward(parameters, x=x, tape=tape, scratch=memory(plan.scratch_bytes)).y
        answers.append([y, *plan.backward(parameters, tape, x=x, dy=y, scratch=memory(plan.scratch_bytes)).parameters.values()])
    assert all(numpy.array_equal(a, b) for a, b in zip(*answers))
    with pytest.raises(ValueError, match="step_state"):
        plan.step(parameters, unaligned_copy(numpy.zeros(64, "u1")), x=x[:1])


def test_results_are_written_to_out():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    y = numpy.full((5, 2, 4), numpy.nan, "f4")
    result = plan.forward(parameters, x=x, out={"y": y})
    assert result.y is y and numpy.isfinite(y).all()
    tape = plan.make_tape()
    plan.forward(parameters, x=x, tape=tape)
    once = plan.backward(parameters, tape, x=x, dy=y).parameters["w"]
    total = once.copy()
    plan.backward(parameters, tape, x=x, dy=y, out={"dparameters.w": total})
    assert numpy.allclose(total, 2 * once)
    with pytest.raises(ValueError, match="out: expected tensors that this call computes, got 'z'"):
        plan.forward(parameters, x=x, out={"z": y})


def test_the_preactivation_and_its_gradient():
    spec, parameters, x = small("f8", cell="feedforward", rule="oja", activation="softmax")
    plan = Plan(spec, steps=5, batch=2, precision="f64")
    a, first, tape = numpy.empty((5, 2, 4)), numpy.empty((1, 2, 4)), plan.make_tape()
    y = plan.forward(parameters, pre=x, tape=tape, out={"a": a}).y
    numpy.testing.assert_allclose(y, numpy.exp(a) / numpy.exp(a).sum(-1, keepdims=True), rtol=1e-12)
    one = Plan(spec, batch=2, precision="f64")
    one.step(parameters, one.load(), pre=x[:1], out={"a": first})
    assert numpy.array_equal(first, a[:1])
    # Only the last step's y has a gradient, so none reaches it through the trace: da is the softmax's adjoint of dy.
    dy, da = numpy.zeros_like(y), numpy.zeros_like(y)
    dy[-1] = x[0, :, :1] + numpy.arange(4)
    da[-1] = y[-1] * (dy[-1] - (y[-1] * dy[-1]).sum(-1, keepdims=True))
    through_y, through_a = plan.backward(parameters, tape, pre=x, dy=dy), plan.backward(parameters, tape, pre=x, da=da)
    for name, value in through_y.parameters.items():
        assert numpy.abs(value).max() > 0
        numpy.testing.assert_allclose(through_a.parameters[name], value, rtol=1e-10, atol=1e-14)


def test_arrays_that_would_be_copied_are_refused():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    wide = numpy.zeros((5, 2, 6), "f4")
    for wrong, text in (
        (x.astype("f8"), r"inputs.x.dtype: expected float32, got float64; astype\('float32'\) .*, and precision='f64' makes a plan"),
        (wide[:, :, ::2], r"inputs.x: expected a dense row-major array, got strides .*ascontiguousarray"),
        (numpy.zeros((2, 5, 3), "f4"), r"inputs.x.shape: expected \[5,2,3\], got \[2,5,3\]"),
        (x.tolist(), "inputs.x: expected a NumPy array or an object with __dlpack__, got list"),
    ):
        with pytest.raises(plasticity.InvalidArgument, match=text):
            plan.forward(parameters, x=wrong)
    frozen = numpy.zeros((5, 2, 4), "f4")
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="y: expected an array that may be written"):
        plan.forward(parameters, x=x, out={"y": frozen})
    with pytest.raises(ValueError, match="parameters: expected names of w_in, b, w, alpha, eta, got 'gain'"):
        plan.forward({**parameters, "gain": x}, x=x)
    with pytest.raises(ValueError, match="parameters.w"):
        plan.forward({name: value for name, value in parameters.items() if name != "w"}, x=x)


def test_values_that_memory_alone_does_not_hold_are_refused():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    with pytest.raises(ValueError, match=r"inputs.x: expected an array without a mask, got a masked array; its filled\(\)"):
        plan.forward(parameters, x=numpy.ma.array(x, mask=x > 0))
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"inputs.x: expected a tensor without the negative bit, .*resolve_neg\(\)"):
        plan.forward(parameters, x=torch._neg_view(torch.from_numpy(x)))


def test_memory_that_the_system_lacks():
    plan = Plan(Spec(neurons=200000), batch=5000)  # more bytes than an address space has
    with pytest.raises(plasticity.OutOfMemory, match="^tape: expected [0-9]* bytes of memory, got none; memory_budget= bounds") as caught:
        plan.make_tape()
    assert isinstance(caught.value, MemoryError)
    with pytest.raises(plasticity.OutOfMemory, match="^step_state: expected [0-9]* bytes of memory, got none$"):
        plan.load()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "feedforward"])
def test_initial_parameters_and_states(cell):
    spec = Spec(cell, "hard_clip", "fan_out", inputs=4, neurons=100)
    drawn, again, other = (plasticity.initial_parameters(spec, seed) for seed in (1, 1, 2))
    assert {name: value.shape for name, value in drawn.items()} == spec.parameters
    assert all(value.dtype == numpy.float32 and numpy.array_equal(value, again[name]) for name, value in drawn.items())
    assert not numpy.array_equal(drawn["w"], other["w"])
    assert .09 < numpy.abs(drawn["modulator.weight"]).max() <= .1 and .9 < numpy.abs(drawn["fan_out.weight"]).max() <= 1
    assert drawn["alpha"].std() == pytest.approx(.01, rel=.1)
    if cell == "lstm":
        assert .09 < numpy.abs(drawn["w"]).max() <= .1
    else:
        assert drawn["w"].std() == pytest.approx(.01, rel=.1)
    if cell == "rnn":
        assert .45 < numpy.abs(drawn["w_in"]).max() <= .5
    plan = Plan(spec, steps=3, batch=2, precision="f64")
    x = {"pre" if cell == "feedforward" else "x": numpy.ones((3, 2, 4))}
    parameters = plasticity.initial_parameters(spec, 1, dtype="f8")
    state = plasticity.initial_state(spec, 2, dtype="f8")
    assert numpy.array_equal(plan.forward(parameters, **x, state=state).y, plan.forward(parameters, **x).y)
    for call, text in ((lambda: plasticity.initial_state(spec, -1), "batch: expected an integer"),
                       (lambda: plasticity.initial_parameters(spec, dtype="f2"), "dtype: expected float32 or float64, got f2"),
                       (lambda: plasticity.initial_parameters("rnn"), "spec: expected a plasticity.Spec, got str")):
        with pytest.raises(plasticity.InvalidArgument, match=text):
            call()


def test_overlap_is_refused():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    room = numpy.zeros(5 * 2 * 4 + 8, "f4")
    state = {"y": room[:8].reshape(2, 4)}
    with pytest.raises(ValueError, match="y"):
        plan.forward(parameters, x=x, state=state, out={"y": room[4:44].reshape(5, 2, 4)})


class Exported:
    """An array that shows only its __dlpack__, and counts its exports."""

    def __init__(self, array):
        self.array, self.exports = array, 0

    def __dlpack__(self, **arguments):
        exported = self.array.__dlpack__(**arguments)  # raises for arguments that this NumPy does not have
        self.exports += 1
        return exported

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_dlpack_without_a_copy():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    want = plan.forward(parameters, x=x)
    into = numpy.zeros((5, 2, 4), "f4")
    exported = Exported(x)
    plan.forward({name: Exported(value) for name, value in parameters.items()}, x=exported, out={"y": Exported(into)})
    assert exported.exports == 1 and numpy.array_equal(into, want.y)


def test_wrong_plans():
    spec = Spec(neurons=2)
    for arguments, text in (({"steps": -1}, "steps"), ({"device": "tpu"}, "device: expected cpu, cuda or cuda:INDEX"),
                            ({"device": "cuda:²"}, "device: expected cpu, cuda or cuda:INDEX"),
                            ({"precision": "f16"}, "precision"), ({"threads": 5000}, "threads"), ({"threads": 2**32}, "threads"),
                            ({"threads": 1.0}, "threads"), ({"steps": True}, "steps"),
                            ({"memory_budget": 1e9}, "memory_budget: expected an integer"),
                            ({"memory_budget": 2**64}, "memory_budget: expected an integer"),
                            ({"checkpoint_interval": -1}, "checkpoint_interval: expected an integer, at least 0")):
        with pytest.raises(ValueError, match=text):
            Plan(spec, **arguments)


def test_wrong_states():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    y = numpy.zeros((2, 4), "f4")
    for state, text in (([y], "initial_state: expected a State or a mapping, got list"),
                        ((y,), "initial_state: expected a State or a mapping, got a tuple of 1"),
                        ({"hebb00": y}, "initial_state: expected names of y, c, hebb, eligibility, got 'hebb00'"),
                        ({"y": y, "y0": y}, "initial_state: expected one of y and y0, got both")):
        with pytest.raises(plasticity.InvalidArgument, match=text):
            plan.forward(parameters, x=x, state=state)
    assert Plan(spec, steps=numpy.int64(5)).steps == 5


@pytest.mark.parametrize("spec", [None, "rnn"])
def test_specs_of_another_type(spec):
    with pytest.raises(plasticity.InvalidArgument, match=f"spec: expected a plasticity.Spec, got {type(spec).__name__}"):
        Plan(spec)


def test_cuda_names_the_reason_without_a_device():
    reason = plasticity.cuda_unavailable_reason()
    if reason is None:
        pytest.skip("there is a CUDA device")
    with pytest.raises(plasticity.DeviceUnavailable, match="CUDA"):
        Plan(Spec(neurons=2), device="cuda")


def test_empty_sizes_have_empty_outputs():
    spec, parameters, x = small()
    for steps, batch in ((0, 2), (5, 0)):
        result = Plan(spec, steps=steps, batch=batch).forward(parameters, x=numpy.zeros((steps, batch, 3), "f4"))
        assert result.y.shape == (steps, batch, 4)


def test_copies_and_pickles_are_plans_of_their_own():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2, checkpoint_interval=2)
    want = plan.forward(parameters, x=x).y
    others = [copy.copy(plan), copy.deepcopy(plan), pickle.loads(pickle.dumps(plan))]
    assert others[1]._plan.handle != plan._plan.handle and others[2]._plan.handle != plan._plan.handle
    del plan
    for other in others:
        assert other.checkpoint_interval == 2 and numpy.array_equal(other.forward(parameters, x=x).y, want)


def test_threads_share_a_plan():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    want = plan.forward(parameters, x=x).y
    wrong = []

    def work():
        for _ in range(50):
            if not numpy.array_equal(plan.forward(parameters, x=x).y, want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_calls_with_arguments_of_another_type():
    spec, parameters, x = small()
    plan = Plan(spec, steps=5, batch=2)
    for arguments, text in (({"parameters": [x]}, "parameters: expected a mapping of names, got list"),
                            ({"parameters": None}, "parameters: expected a mapping of names, got NoneType"),
                            ({"out": [x]}, "out: expected a mapping of names, got list"),
                            ({"stream": "0"}, "stream: expected an integer")):
        with pytest.raises(plasticity.InvalidArgument, match=text):
            plan.forward(**{"parameters": parameters, "x": x, **arguments})


def test_the_example_in_the_documentation():
    import doctest

    from plasticity import _plan

    assert doctest.testmod(_plan).attempted > 3 and doctest.testmod(_plan).failed == 0


def test_a_plan_is_destroyed_after_the_names_of_its_module(monkeypatch):
    # At the end of a program Python sets the names of modules to None.
    handle = _calls.PlanHandle(Spec("rnn", inputs=2, neurons=3), _calls.Options(2, 1))
    monkeypatch.setattr(_calls, "lib", None)
    handle.__del__()
    handle.handle = None
