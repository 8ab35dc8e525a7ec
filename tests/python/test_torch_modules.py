"""The modules: PyTorch's habits, files shared with C++, processes."""
import copy
import io
import os
import pathlib
import pickle
import shutil
import subprocess

import numpy
import pytest
from conftest import ROOT, all_specs

torch = pytest.importorskip("torch")
import plasticity  # noqa: E402
from plasticity.torch import PlasticLinear, PlasticLSTM, PlasticModule, PlasticRNN, plastic  # noqa: E402
import torch.nn.utils.prune  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence  # noqa: E402
from torch_cases import MAKERS, same  # noqa: E402


@pytest.fixture(params=MAKERS)
def make(request):
    torch.manual_seed(0)
    return MAKERS[request.param]


def test_a_module_has_the_outputs_of_plastic(make):
    module = make()
    x = torch.randn(5, 2, 3)
    output, state = module(x)
    name = "pre" if module.spec.cell == "feedforward" else "x"
    y, _, final, a = plastic(module.spec, module.library_parameters(), **{name: x}, return_preactivation=True)
    assert torch.equal(output, y) and same(state, final)
    assert torch.equal(module(x, return_preactivation=True)[-1], a)
    assert {name for name, _ in module.named_parameters()} == set(module.spec.parameters)
    assert (module.input_size, module.hidden_size) == (3, 4) and "rule=" in repr(module)


def test_the_text_of_a_module_has_options_that_are_no_defaults(make):
    assert not any(name in repr(make()) for name in ("modulator_source", "precision", "memory_budget", "checkpoint_interval"))
    text = repr(make(precision="bf16", memory_budget=1 << 20, checkpoint_interval=3))
    assert "precision=bf16, checkpoint_interval=3, memory_budget=1048576" in text
    assert "modulator_source=cell" in repr(PlasticLSTM(3, 4, modulator_source="cell"))


def test_batch_first(make):
    module = make(batch_first=True)
    x, reset = torch.randn(2, 5, 3), torch.zeros(2, 5, dtype=torch.bool)
    reset[1, 3] = True
    output, state = module(x, reset=reset)
    module.batch_first = False
    time_major, final = module(x.transpose(0, 1).contiguous(), reset=reset.T)
    assert torch.equal(output, time_major.transpose(0, 1)) and same(state, final)


def test_reset_and_state(make):
    module = make()
    x = torch.randn(6, 2, 3)
    reset = torch.zeros(6, 2, dtype=torch.bool)
    reset[3] = True
    output, _ = module(x, reset=reset)
    assert torch.equal(output[3:], module(x[3:])[0])
    first, state = module(x[:2])
    assert torch.equal(module(x)[0], torch.cat([first, module(x[2:], state)[0]]))
    assert not any(each is not None and each.requires_grad for each in state.detach())
    double = state.to(torch.float64)
    assert all(a is b is None or b.dtype == torch.float64 and torch.equal(a.double(), b) for a, b in zip(state, double))


def test_the_initial_state_is_zero_and_compiles(make):
    module, x = make(), torch.randn(5, 2, 3)
    want = module(x)[0]
    assert torch.equal(module(x, module.initial_state(2))[0], want)
    compiled = torch.compile(lambda x: module(x, module.initial_state(x.shape[1]))[0], fullgraph=True, backend="eager")
    assert torch.equal(compiled(x), want)
    for batch in (-1, 2.0):
        with pytest.raises(ValueError, match="batch: expected an integer, at least 0"):
            module.initial_state(batch)


@pytest.mark.filterwarnings("ignore")  # PyTorch deprecates torch.jit
@pytest.mark.parametrize("with_gradients", [False, True])
def test_a_trace_of_torch_jit_trains(with_gradients):
    class Output(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = MAKERS["rnn"]()

        def forward(self, x):
            return self.layer(x)[0]

    module, x = Output(), torch.randn(5, 2, 3)
    with torch.set_grad_enabled(with_gradients):
        traced = torch.jit.trace(module, torch.randn(5, 2, 3))
    traced(x).sum().backward()
    gradient = module.layer.w.grad.clone()
    module.zero_grad()
    module(x).sum().backward()
    assert torch.equal(gradient, module.layer.w.grad)


def test_steps_have_the_bits_of_the_sequence(make):
    module = make()
    x = torch.randn(5, 2, 3)
    output, final = module(x)
    state = module.initial_state(2)
    for t in range(5):
        y, state = module.step(x[t], state)
        assert torch.equal(y, output[t]) and not y.requires_grad
    assert same(state, final)
    with pytest.raises(ValueError, match=r"x.shape: expected two axes, \[B,I\]"):
        module.step(x)


def test_lengths_and_packed_sequences(make):
    module = make()
    sequences = [torch.randn(length, 3) for length in (2, 5, 3)]
    alone = [module(each.unsqueeze(1)) for each in sequences]
    output, state = module(pack_sequence(sequences, enforce_sorted=False))
    padded, lengths = pad_packed_sequence(output)
    assert lengths.tolist() == [2, 5, 3]
    for b, (y, final) in enumerate(alone):
        assert torch.allclose(padded[: lengths[b], b], y[:, 0], atol=1e-6)
        for mine, its in zip(state, final):
            assert mine is its is None or torch.allclose(mine[b], its[0], atol=1e-6)
    x = torch.nn.utils.rnn.pad_sequence(sequences)
    assert torch.equal(module(x, lengths=[2, 5, 3])[0], padded)
    packed = module(pack_sequence(sequences, enforce_sorted=False), return_preactivation=True)[-1]
    assert torch.equal(pad_packed_sequence(packed)[0], module(x, lengths=[2, 5, 3], return_preactivation=True)[-1])
    padded.sum().backward()
    assert all(each.grad is not None for each in module.parameters())


def test_lengths_of_an_array_that_is_refilled():
    torch.manual_seed(0)
    module, x, gradients = MAKERS["rnn"](), torch.randn(5, 2, 3), []
    for refill in (False, True):
        lengths = numpy.array([3, 5])
        output, _ = module(x, lengths=lengths)
        if refill:
            lengths[:] = 9
        module.zero_grad()
        output.square().sum().backward()
        gradients.append([each.grad.clone() for each in module.parameters()])
    assert same(*gradients)


def test_external_rate_and_modulation():
    torch.manual_seed(0)
    module = PlasticRNN(3, 4, rate="external", batch_first=True)
    rate = torch.rand(2, 5, 4, requires_grad=True)
    module(torch.randn(2, 5, 3), rate=rate)[0].sum().backward()
    assert rate.grad.abs().sum() > 0
    modulated = MAKERS["rnn"](batch_first=True)
    _, _, modulation = modulated(torch.randn(2, 5, 3), return_modulation=True)
    assert modulation.shape == (2, 5)
    both = modulated(torch.randn(2, 5, 3), return_modulation=True, return_preactivation=True)
    assert [tuple(both[k].shape) for k in (0, 2, 3)] == [(2, 5, 4), (2, 5), (2, 5, 4)]
    current = torch.randn(5, 2, 4)
    assert PlasticLinear(3, 4)(torch.randn(5, 2, 3), current=current)[0].shape == (5, 2, 4)
    assert PlasticRNN(0, 4)(current)[0].shape == (5, 2, 4)


@pytest.mark.parametrize("batch_first", [False, True])
def test_masks_of_packed_sequences(batch_first):
    torch.manual_seed(0)
    module = MAKERS["rnn"](batch_first=batch_first)
    x = torch.randn(4, 4, 3)
    reset = torch.zeros(4, 4, dtype=torch.bool)
    reset[0, 2] = True
    packed = pack_padded_sequence(x, [4, 2, 4, 3], batch_first=batch_first, enforce_sorted=False)
    output, state, modulation = module(packed, reset=reset, return_modulation=True)
    y, final, want = module(x, lengths=[4, 2, 4, 3], reset=reset, return_modulation=True)
    assert torch.equal(pad_packed_sequence(output, batch_first=batch_first)[0], y)
    assert torch.equal(state.hebb, final.hebb) and torch.equal(modulation, want)
    with pytest.raises(ValueError, match="lengths: expected none beside a PackedSequence"):
        module(packed, lengths=[1, 1, 1, 1])


def test_modulation_of_packed_sequences_that_are_not_square():
    module = MAKERS["rnn"](batch_first=True)
    packed = pack_padded_sequence(torch.randn(2, 5, 3), [5, 3], batch_first=True)
    assert module(packed, reset=torch.zeros(2, 5, dtype=torch.bool), return_modulation=True)[2].shape == (2, 5)


def test_states_are_loaded_as_weights_only(tmp_path):
    module = MAKERS["rnn"]()
    state = module(torch.randn(4, 2, 3))[1].detach()
    torch.save({"state": state, "spec": module.spec}, tmp_path / "state.pt")
    stored = torch.load(tmp_path / "state.pt", weights_only=True)
    assert same(stored["state"], state) and stored["spec"] == module.spec


def test_parametrized_weights(tmp_path):
    stored, module = PlasticRNN(3, 4), PlasticRNN(3, 4)
    stored.save_safetensors(tmp_path / "stored")
    torch.nn.utils.parametrizations.weight_norm(module, "w")
    module.load_safetensors(tmp_path / "stored")
    assert torch.allclose(module.w, stored.w) and torch.equal(module.alpha, stored.alpha)
    module.reset_parameters()
    assert not torch.allclose(module.w, stored.w)


def test_parameters_that_are_buffers(make, tmp_path):
    stored, module, x = make(), make(), torch.randn(5, 2, 3)
    stored.save_safetensors(tmp_path / "stored")
    for owner in module.modules():
        for name, value in list(owner.named_parameters(recurse=False)):
            delattr(owner, name)
            owner.register_buffer(name, torch.zeros_like(value))
    module.load_safetensors(tmp_path / "stored")
    assert not list(module.parameters()) and torch.equal(module(x, module.initial_state(2))[0], stored(x)[0])
    module.reset_parameters()
    assert not torch.equal(module.alpha, stored.alpha)


class Scaled(torch.nn.Module):
    """A parametrization without right_inverse()."""

    def forward(self, value):
        return 2 * value


@pytest.mark.parametrize("change", [
    lambda module: torch.nn.utils.prune.l1_unstructured(module, "alpha", .5),
    lambda module: torch.nn.utils.parametrize.register_parametrization(module, "alpha", Scaled()),
    lambda module: torch.nn.utils.parametrizations.orthogonal(module, "alpha", "cayley", use_trivialization=False),
], ids=["prune", "no inverse", "cayley"])
def test_weights_that_cannot_be_set(change, tmp_path):
    stored, module = PlasticRNN(3, 4), PlasticRNN(3, 4)
    stored.save_safetensors(tmp_path / "stored")
    change(module)
    before = copy.deepcopy(module.state_dict())
    for write in (lambda: module.load_safetensors(tmp_path / "stored"), module.reset_parameters):
        with pytest.raises(ValueError, match="parameters.alpha: expected a parameter, or one with torch.nn.utils.parametrize"):
            write()
    after = module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_files_of_rules_without_a_clip(tmp_path):
    PlasticRNN(3, 4, rule="decay", clip=2.0).save_safetensors(tmp_path / "decay")
    PlasticRNN(3, 4, rule="decay").load_safetensors(tmp_path / "decay")
    PlasticRNN(3, 4, rule="hard_clip", clip=2.0).save_safetensors(tmp_path / "hard_clip")
    with pytest.raises(plasticity.FormatError, match="expected a network of Spec"):
        PlasticRNN(3, 4, rule="hard_clip").load_safetensors(tmp_path / "hard_clip")


def test_copies_and_pickles_have_equal_outputs(make, tmp_path):
    module = make(memory_budget=1 << 20)
    x = torch.randn(4, 2, 3)
    want = module(x)[0]
    buffer = io.BytesIO()
    torch.save(module, buffer)
    torch.save(module.state_dict(), tmp_path / "state.pt")
    buffer.seek(0)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(buffer, weights_only=False)):
        assert torch.equal(other(x)[0], want) and other.memory_budget == 1 << 20
    other = make()
    other.reset_parameters()
    assert not torch.equal(other(x)[0], want)
    other.load_state_dict(torch.load(tmp_path / "state.pt"))
    assert torch.equal(other(x)[0], want)
    assert module.double()(x.double())[0].dtype == torch.float64


def test_initial_parameters_have_their_distributions():
    torch.manual_seed(0)
    module = PlasticRNN(0, 200)
    assert module.eta.item() == pytest.approx(.01)
    assert module.w.std().item() == pytest.approx(.01, rel=.02) and module.alpha.std().item() == pytest.approx(.01, rel=.02)
    lstm = PlasticLSTM(5, 100)
    for value in (lstm.w, lstm.w_gates, lstm.w_in, lstm.b, lstm.modulator.weight):
        assert .05 < value.abs().max() <= .1
    assert .9 < lstm.fan_out.weight.abs().max() <= 1 and lstm.alpha.std() < .02


def test_files_are_written_and_loaded(make, tmp_path):
    module, other = make(), make()
    path = tmp_path / "network.safetensors"
    module.save_safetensors(path, {"note": "mine"})
    other.reset_parameters()
    assert other.load_safetensors(path)["note"] == "mine"
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters()))
    with pytest.raises(plasticity.FormatError, match="expected a network of Spec"):
        PlasticRNN(3, 5).load_safetensors(path)
    tensors, metadata = plasticity.load_file(path)
    del tensors["param.w"]
    plasticity.save_file(path, tensors, metadata)
    with pytest.raises(plasticity.FormatError, match="param.w': expected shape .*, got none"):
        module.load_safetensors(path)


def test_files_are_loaded_as_modules(make, tmp_path):
    module, path = make(), tmp_path / "network.safetensors"
    module.save_safetensors(path)
    other = plasticity.torch.load(path, batch_first=True, dtype=torch.float64)
    assert type(other) is type(module) and other.spec == module.spec and other.batch_first
    assert all(torch.equal(a.double(), b) for a, b in zip(module.parameters(), other.parameters()))
    plasticity.save_file(path, {})
    with pytest.raises(plasticity.FormatError, match="metadata 'cell': expected a value, got none"):
        plasticity.torch.load(path)


def test_modules_of_a_spec():
    for spec in all_specs():
        module = PlasticModule.from_spec(spec, memory_budget=1 << 20)
        assert module.spec == spec and module.memory_budget == 1 << 20
    source = plasticity.Spec("lstm", "hard_clip", "modulated", modulator_source="cell", inputs=2, neurons=3)
    assert PlasticLSTM.from_spec(source).spec == source
    with pytest.raises(ValueError, match="spec: expected one of a PlasticRNN, got one of a PlasticLSTM"):
        PlasticRNN.from_spec(source)
    with pytest.raises(ValueError, match="spec: expected a plasticity.Spec, got str"):
        PlasticModule.from_spec("rnn")


def test_files_of_half_precision(tmp_path):
    module, other = MAKERS["lstm"]().bfloat16(), MAKERS["lstm"]()
    module.save_safetensors(tmp_path / "network.safetensors")
    other.load_safetensors(tmp_path / "network.safetensors")
    assert all(torch.equal(a.float(), b) for a, b in zip(module.parameters(), other.parameters()))


def test_parameters_without_values_are_neither_saved_nor_loaded(make, tmp_path):
    make().save_safetensors(tmp_path / "network.safetensors")
    module = make(device="meta")
    for call in (module.save_safetensors, module.load_safetensors):
        with pytest.raises(ValueError, match=r"parameters.*: expected a tensor with values, got one on the device meta"):
            call(tmp_path / "network.safetensors")
    module.to_empty(device="cpu").load_safetensors(tmp_path / "network.safetensors")


CPP = r"""
#include <plasticity/io/safetensors.hpp>
#include <plasticity/network.hpp>
#include <cstdio>
using namespace plasticity;
int main(int, char** arguments) {
  io::TensorFile file = io::load(arguments[1]);
  Network network(load_spec(file), {.batch = 1, .device = Device::cpu(1), .seed = 5});
  network.load(file);
  for (const ParameterView& each : network.parameters())
    for (float& value : each.value) value *= 2;
  io::TensorFile doubled;
  network.save(doubled);
  io::save(arguments[2], doubled);
}
"""


def test_a_network_of_cpp_reads_and_writes_our_files(tmp_path):
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    source, program = tmp_path / "double.cpp", tmp_path / "double"
    source.write_text(CPP)
    library = plasticity._library.folder() / "libplasticity.so"
    here = tmp_path / "libplasticity.so.0.1"
    here.symlink_to(library.resolve())
    (tmp_path / "libplasticity.so").symlink_to(library.resolve())
    subprocess.run([compiler, "-std=c++20", "-O0", f"-I{ROOT / 'include'}", source, here, f"-Wl,-rpath,{tmp_path}", "-o", program], check=True)
    module = MAKERS["lstm"]()
    module.save_safetensors(tmp_path / "ours.safetensors")
    subprocess.run([program, tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"], check=True)
    before = [value.clone() for value in module.parameters()]
    module.load_safetensors(tmp_path / "theirs.safetensors")
    assert all(torch.equal(2 * a, b) for a, b in zip(before, module.parameters()))


def test_gradients_reach_what_is_around():
    torch.manual_seed(0)
    module = torch.nn.ModuleDict({"embed": torch.nn.Linear(5, 3), "plastic": MAKERS["lstm"](), "head": torch.nn.Linear(4, 2)})
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    x, target = torch.randn(6, 4, 5), torch.randn(6, 4, 2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        y, _ = module["plastic"](module["embed"](x))
        loss = (module["head"](y) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < .8 * losses[0]


def _train(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.manual_seed(0)
    module = torch.nn.parallel.DistributedDataParallel(MAKERS["rnn"]())
    torch.manual_seed(1)
    x = torch.randn(5, 4, 3)
    output, _ = module(x[:, 2 * rank : 2 * rank + 2].contiguous())
    output.square().mean().backward()
    torch.save([each.grad for each in module.parameters()], pathlib.Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_distributed_data_parallel(tmp_path):
    """Two processes with half of the batch each have the gradients of one with all of it."""
    torch.multiprocessing.spawn(_train, (str(tmp_path),), nprocs=2)
    torch.manual_seed(0)
    module = MAKERS["rnn"]()
    torch.manual_seed(1)
    module(torch.randn(5, 4, 3))[0].square().mean().backward()
    for rank in range(2):
        for mine, want in zip(torch.load(tmp_path / f"{rank}.pt"), module.parameters()):
            assert torch.allclose(mine, want.grad, rtol=1e-4, atol=1e-6)


class _Outputs(torch.utils.data.Dataset):
    """Examples that a plastic network makes, in a worker."""

    def __init__(self, module, threads):
        self.module, self.threads = module, threads

    def __len__(self):
        return 4

    def __getitem__(self, index):
        torch.set_num_threads(self.threads)
        with torch.no_grad():
            return self.module(torch.full((3, 8, 3), float(index)))[0]


def test_forked_data_loader_workers():
    torch.manual_seed(0)
    module = MAKERS["rnn"]()
    data = _Outputs(module, 2)
    want = [data[k] for k in range(4)]  # the parent has threads before it forks
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60)
    assert all(torch.equal(a, b) for a, b in zip(loader, want))


def test_a_forked_child_that_exits_in_the_usual_way():
    """The pool of the parent must not be waited for when the child's destructors run."""
    program = """
import os, sys, numpy, plasticity
spec = plasticity.Spec(neurons=64)
weights = {name: numpy.full(shape, .01, "f4") for name, shape in spec.parameters.items()}
plan = plasticity.Plan(spec, steps=20, batch=16, threads=2)
u = numpy.ones((20, 16, 64), "f4")
want = plan.forward(weights, u=u).y
child = os.fork()
same = numpy.array_equal(plan.forward(weights, u=u).y, want)
if child:
    same = same and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
sys.exit(0 if same else 1)
"""
    import sys

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=60, check=False).returncode == 0
