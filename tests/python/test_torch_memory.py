"""The memory of plastic() in PyTorch: blocks are freed and used again, and nothing leaks."""
import gc
import types
import weakref

import pytest
from conftest import all_specs

torch = pytest.importorskip("torch")
import plasticity  # noqa: E402
from plasticity import Spec  # noqa: E402
from plasticity.torch import plastic, release_memory  # noqa: E402
from torch_cases import SPEC, draw, loss_of_a_trace  # noqa: E402


def test_initial_states_are_freed():
    hebb, loss = loss_of_a_trace()
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

    release_memory()
    size = 3 << 20
    tensor = _memory.take(size, "tape")
    assert tensor.data_ptr() % 64 == 0 and tensor.numel() == size and not _memory._free
    address, alias = tensor.data_ptr(), tensor.view(-1, 64)
    del tensor
    assert not _memory._free  # the storage is in use
    del alias
    assert _memory.take(size - 64, "tape").data_ptr() == address
    tensors = [_memory.take(size, "tape") for _ in range(2 * _memory.MAX_BLOCKS)]
    assert len({each.data_ptr() for each in tensors}) == len(tensors)
    del tensors
    assert len(_memory._free) == _memory.MAX_BLOCKS
    release_memory()


def test_free_blocks_are_limited(monkeypatch):
    from plasticity.torch import _memory

    def kept():
        return [each.size for _, each in _memory._free]

    release_memory()
    size = 1 << 20
    monkeypatch.setattr(_memory, "MAX_BYTES", 5 * size)
    _memory.take(6 * size, "tape")
    assert kept() == []
    tensors = [_memory.take(each * size, "tape") for each in (1, 3, 2)]
    while tensors:
        del tensors[0]
    assert kept() == [3 * size, 2 * size]
    for _ in range(_memory.MAX_AGE + 1):
        _memory.take(size, "tape")
    assert kept() == [2 * size]
    release_memory()
    assert kept() == []


def test_a_tape_without_memory(monkeypatch):
    from plasticity import _tensors
    from plasticity.torch import _memory

    def empty(*_):
        raise MemoryError

    release_memory()
    monkeypatch.setattr(_tensors, "numpy", types.SimpleNamespace(empty=empty, uint8=None))
    parameters, inputs, _ = draw(Spec(neurons=64), steps=40, batch=8, dtype=torch.float32)
    with pytest.raises(plasticity.OutOfMemory, match="^tape: expected [0-9]* bytes of memory, got none; memory_budget= bounds"):
        plastic(Spec(neurons=64), parameters, **inputs, checkpoint_interval=1)


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


def resident_bytes():
    """The memory of this process."""
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
        return resident_bytes(), len(gc.get_objects())

    # A leak grows in every window. The process's other memory (thread stacks, allocator) grows in some.
    windows = [train(250) for _ in range(5)]
    bytes_grown, objects_grown = (min(b - a for a, b in zip(at, at[1:])) for at in zip(*windows))
    assert bytes_grown < 250 * 512
    assert objects_grown < 50
