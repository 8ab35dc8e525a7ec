"""plastic() in JAX: parity, check_grads, jit, grad and vmap, and wrong arguments."""
import os
import pathlib
import shutil
import subprocess
import sys

import numpy
import pytest
from conftest import ROOT, all_specs, check_overloads, tolerance_of

jax = pytest.importorskip("jax")
pytest.importorskip("jax.ffi", reason="JAX is older than 0.5")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")
import jax.numpy as jnp  # noqa: E402
import plasticity  # noqa: E402
from jax.test_util import check_grads  # noqa: E402
from plasticity import Spec  # noqa: E402
from plasticity.jax import State, plastic  # noqa: E402


def cast(arrays, dtype):
    return {name: jnp.asarray(value, dtype) for name, value in arrays.items()}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parity(case, dtype):
    masks, upstream = cast(case.masks, dtype), cast(case.upstream, dtype)

    def loss(parameters, inputs, state):
        outputs = case.outputs(*plastic(case.spec, parameters, **inputs, **masks, state=state))
        return sum((value * outputs[name]).sum() for name, value in upstream.items()), outputs

    arguments = cast(case.parameters, dtype), cast(case.inputs, dtype), cast(case.state, dtype)
    gradients, outputs = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(*arguments)
    named = {**gradients[0], **gradients[1], **{f"{name}0": value for name, value in gradients[2].items()}}
    assert case.check(outputs, named, tolerance_of(case, dtype)) > 5


def draw(spec, steps=4, batch=2, dtype="float64", both=False):
    """Parameters, inputs and a state. A cell that takes x also has a current u if `both`."""
    random = numpy.random.default_rng(0)

    def make(shapes):
        return {name: jnp.asarray(.3 * random.standard_normal(shape), dtype) for name, shape in shapes.items()}

    inputs = spec.inputs_of(steps, batch)
    if "x" in inputs and not both:
        del inputs["u"]
    return make(spec.parameters), make(inputs), make(spec.state_of(batch))


@pytest.mark.parametrize("spec", all_specs()[::9], ids=lambda s: f"{s.cell}-{s.rule}-{s.rate}-{s.eligibility}")
def test_check_grads(spec):
    check_grads(lambda parameters, inputs, state: plastic(
        spec, parameters, **inputs, state=state, return_preactivation=True), draw(spec, both=True), order=1, modes=["rev"])


SPEC = Spec("rnn", "hard_clip", "modulated", inputs=3, neurons=5)


def test_vmap_over_the_batch():
    parameters, inputs, _ = draw(SPEC, batch=6)
    x = inputs["x"]

    def whole(parameters, x):
        return plastic(SPEC, parameters, x=x)[0]

    def one(parameters, x):
        return whole(parameters, x[:, None])[:, 0]

    assert jnp.array_equal(jax.vmap(one, (None, 1), 1)(parameters, x), whole(parameters, x))
    want = jax.grad(lambda p: jnp.square(whole(p, x)).sum())(parameters)
    through = jax.jit(jax.grad(lambda p: jnp.square(jax.vmap(one, (None, 1), 1)(p, x)).sum()))(parameters)
    each = jax.vmap(jax.grad(lambda p, x: jnp.square(one(p, x)).sum()), (None, 1))(parameters, x)
    for name, value in want.items():
        assert jnp.allclose(through[name], value) and jnp.allclose(each[name].sum(0), value)


def test_vmap_over_parameters_and_both():
    parameters, inputs, _ = draw(SPEC, batch=3)
    x = inputs["x"]
    two = jax.tree_util.tree_map(lambda value: jnp.stack([value, 2 * value]), parameters)

    def run(parameters, x):
        return plastic(SPEC, parameters, x=x)[0]

    got = jax.vmap(run, (0, None))(two, x)
    assert jnp.array_equal(got[1], run(jax.tree_util.tree_map(lambda value: 2 * value, parameters), x))
    both = jax.vmap(jax.vmap(lambda p, x: run(p, x[:, None])[:, 0], (None, 1), 1), (0, None))(two, x)
    assert jnp.array_equal(both, got)


def test_scan_over_windows():
    parameters, inputs, _ = draw(SPEC, steps=6)
    x = inputs["x"]

    def window(state, x):
        y, _, state = plastic(SPEC, parameters, x=x, state=state)
        return state, y

    zero = State(**{name: jnp.zeros(shape) for name, shape in SPEC.state_of(2).items()})
    _, y = jax.lax.scan(window, zero, x.reshape(3, 2, 2, 3))
    assert jnp.array_equal(y.reshape(6, 2, 5), plastic(SPEC, parameters, x=x)[0])


@pytest.mark.parametrize("x64", [True, False])
def test_lengths_with_and_without_64_bits(x64):
    parameters, inputs, _ = draw(SPEC, dtype="float32")
    with jax.enable_x64(x64) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64(x64):
        def loss(parameters):
            y, modulation, _ = plastic(SPEC, parameters, x=inputs["x"], length=jnp.array([4, 2]))
            return y.sum() + modulation.sum(), y

        gradients, y = jax.grad(loss, has_aux=True)(parameters)
    assert not y[2:, 1].any() and y[:, 0].all() and y[1, 1].all()
    cut = jax.grad(lambda p: sum(each.sum() for each in plastic(SPEC, p, x=inputs["x"][:2, 1:])[:2])
                   + sum(each.sum() for each in plastic(SPEC, p, x=inputs["x"][:, :1])[:2]))(parameters)
    assert all(jnp.allclose(gradients[name], value, atol=1e-5) for name, value in cut.items())


@pytest.mark.parametrize("x64", [True, False])
def test_negative_lengths_are_named(x64):
    parameters, inputs, _ = draw(SPEC, dtype="float32")
    with jax.enable_x64(x64) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64(x64):
        with pytest.raises(Exception, match="length.*got -1"):
            jax.block_until_ready(plastic(SPEC, parameters, x=inputs["x"], length=jnp.array([4, -1]))[0])


@pytest.mark.parametrize("wrap", [lambda function: function, jax.jit])
def test_lengths_that_are_not_whole(wrap):
    parameters, inputs, _ = draw(SPEC, dtype="float32")
    length = jnp.array([4, 1.5])
    with pytest.raises(ValueError, match="masks.length: expected whole numbers, got 1.5"):
        wrap(lambda x: plastic(SPEC, parameters, x=x, length=length)[0])(inputs["x"])


SHARDED = """
import jax, jax.numpy as jnp, numpy
from jax.sharding import Mesh, PartitionSpec
from plasticity.jax import Spec, plastic

spec = Spec("rnn", "hard_clip", "modulated", inputs=3, neurons=5)
random = numpy.random.default_rng(0)
weights = {name: jnp.asarray(.3 * random.standard_normal(shape), "f4") for name, shape in spec.parameters.items()}
x, hebb = (jnp.asarray(.3 * random.standard_normal(shape), "f4") for shape in ((6, 4, 3), (4, 5, 5)))
length = jnp.array([6, 5, 4, 6])

def loss(*arguments):
    weights, x, hebb, length = arguments
    y, modulation, state = plastic(spec, weights, x=x, state={"hebb": hebb}, length=length)
    return jnp.square(y).sum() + modulation.sum() + state.hebb.sum()

batch = PartitionSpec("devices")
sharded = jax.shard_map(
    lambda *arguments: jax.lax.psum(loss(*arguments), "devices"), mesh=Mesh(numpy.array(jax.devices()), ("devices",)),
    in_specs=(PartitionSpec(), PartitionSpec(None, "devices"), batch, batch), out_specs=PartitionSpec())
def is_near(got, want):
    return jax.tree.all(jax.tree.map(lambda a, b: jnp.allclose(a, b, rtol=1e-4, atol=1e-5), got, want))

assert len(jax.devices()) == 2
arguments = weights, x, hebb, length
want = jax.value_and_grad(loss, (0, 1, 2))(*arguments)
assert is_near(jax.jit(jax.value_and_grad(sharded, (0, 1, 2)))(*arguments), want)
assert is_near(jax.value_and_grad(sharded, (0, 1, 2))(*arguments), want)
assert is_near(sharded(*arguments), want[0])
whole = jax.shard_map(loss, mesh=Mesh(numpy.array(jax.devices()), ("devices",)), in_specs=PartitionSpec(),
                      out_specs=PartitionSpec(), check_vma=False)  # every device has the whole batch
assert is_near(whole(*arguments), want[0])
"""


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="JAX has no jax.shard_map")
def test_shard_map_over_the_batch():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu",
                   "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    subprocess.run([sys.executable, "-c", SHARDED], env=environment, timeout=300, check=True)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": jnp.zeros((4, 2, 4))}, r"inputs.x.shape: expected \[4, 2, 3\], got \[4, 2, 4\]"),
        ({"x": jnp.zeros((4, 2, 3), "float32")}, "inputs.x.dtype: expected float64 as of parameters.w_in, got float32"),
        ({"x": jnp.zeros((4, 2))}, "inputs.x.shape: expected three axes"),
        ({"x": None}, "inputs: expected one of x, u and pre"),
        ({"pre": jnp.zeros((4, 2, 3))}, "inputs.pre: expected none for a cell without it"),
        ({"state": {"c": jnp.zeros((2, 5))}}, "initial_state.c: expected none"),
        ({"state": {"memory": jnp.zeros((2, 5))}}, "state: expected names of"),
        ({"state": {"hebb00": jnp.zeros((2, 5, 5))}}, "state: expected names of"),
        ({"state": [jnp.zeros((2, 5))]}, "state: expected a State or a mapping, got list"),
        ({"state": (jnp.zeros((2, 5)),)}, "state: expected a State or a mapping, got a tuple of 1"),
        ({"precision": "f16"}, "precision: expected"),
        ({"precision": "f32"}, "precision: expected f64 for float64 arrays, got f32"),
        ({"precision": "bf16"}, "precision: expected f64 for float64 arrays, got bf16"),
        ({"execution": "fast"}, "execution: expected one of automatic, step"),
        ({"memory_budget": 1e9}, "memory_budget: expected an integer, at least 0"),
        ({"checkpoint_interval": True}, "checkpoint_interval: expected an integer"),
    ],
)
def test_wrong_arguments(changes, text):
    parameters, inputs, state = draw(SPEC)
    with pytest.raises(plasticity.InvalidArgument, match=text):
        plastic(SPEC, parameters, **{**inputs, "state": state, **changes})


def test_missing_and_unknown_parameters():
    parameters, inputs, _ = draw(SPEC)
    with pytest.raises(ValueError, match="spec: expected a plasticity.Spec, got str"):
        plastic("rnn", parameters, **inputs)
    with pytest.raises(plasticity.InvalidArgument, match="parameters: expected a mapping of names, got list"):
        plastic(SPEC, [parameters["w"]], **inputs)
    with pytest.raises(ValueError, match="parameters: expected names of .*, got 'gain'"):
        plastic(SPEC, {**parameters, "gain": parameters["w"]}, **inputs)
    del parameters["w"]
    with pytest.raises(ValueError, match=r"parameters.w: expected an array of shape \[5, 5\], got none"):
        plastic(SPEC, parameters, **inputs)


def test_errors_of_the_library_arrive():
    parameters, inputs, _ = draw(SPEC)
    with pytest.raises(Exception, match="clamp_value"):
        plastic(SPEC, parameters, **inputs, clamp=jnp.ones((4, 2, 5)))[0].block_until_ready()


def test_second_derivative_is_refused():
    parameters, inputs, _ = draw(SPEC)
    gradient = jax.grad(lambda x: plastic(SPEC, parameters, x=x)[0].sum())
    for wrap in (lambda function: function, jax.jit):
        with pytest.raises(NotImplementedError, match="expected a first derivative"):
            wrap(jax.grad(lambda x: gradient(x).sum()))(inputs["x"])
    for derivative in (jax.jacfwd, jax.hessian):
        with pytest.raises(TypeError, match="forward-mode"):  # JAX's own text
            derivative(lambda x: plastic(SPEC, parameters, x=x)[0].sum())(inputs["x"])


@pytest.mark.parametrize("wrap", [lambda function: function, jax.jit])
def test_gradients_of_a_loss_with_a_constant_gradient(wrap):
    parameters, inputs, _ = draw(SPEC)
    x = inputs["x"]

    def loss(parameters, x):
        return jnp.square(plastic(SPEC, parameters, x=x)[0]).sum()

    def after_a_step(parameters, gradients):
        return loss(jax.tree_util.tree_map(lambda p, g: p - .1 * g, parameters, gradients), x)

    constant, x_gradient = jax.grad(loss, (0, 1))(parameters, x)
    first_order = jax.grad(lambda p: after_a_step(p, jax.lax.stop_gradient(jax.grad(loss)(p, x))))
    adversarial = jax.grad(lambda p: loss(p, x + .1 * jax.lax.stop_gradient(jax.grad(loss, 1)(p, x))))
    with_norm = jax.grad(lambda p: (loss(p, x), jnp.square(jax.grad(loss)(p, x)["w"]).sum()), has_aux=True)
    for got, want in ((wrap(first_order)(parameters), jax.grad(after_a_step)(parameters, constant)),
                      (wrap(adversarial)(parameters), jax.grad(loss)(parameters, x + .1 * x_gradient)),
                      (wrap(with_norm)(parameters), (constant, jnp.square(constant["w"]).sum()))):
        assert jax.tree_util.tree_all(jax.tree_util.tree_map(jnp.allclose, got, want))


def test_modulation_of_a_cell_state_has_no_gradient():
    spec = Spec("lstm", "hard_clip", "modulated", modulator_source="cell", inputs=3, neurons=5)
    parameters, inputs, _ = draw(spec)
    jax.grad(lambda p: plastic(spec, p, **inputs)[0].sum())(parameters)
    with pytest.raises(ValueError, match="modulation: expected no gradient if modulator_source is cell"):
        jax.grad(lambda p: plastic(spec, p, **inputs)[1].sum())(parameters)


def test_structs_have_the_layout_of_xla(tmp_path):
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    header = pathlib.Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h").read_text()
    if "XLA_FFI_InternalExtension" not in header or "XLA_FFI_DeviceOrdinal_Get" not in header:
        pytest.skip("the headers of this JAX lack some of the structs")
    command = [compiler, "-std=c++20", "-fsyntax-only", "-I", jax.ffi.include_dir(), "-I", ROOT / "python" / "xla",
               ROOT / "tests" / "python" / "xla_layout.cpp"]
    subprocess.run(command, check=True)


def test_types_of_the_results_are_known():
    check_overloads(plastic)


def test_initial_parameters_are_arguments():
    parameters, state = plasticity.initial_parameters(SPEC, 0), plasticity.initial_state(SPEC, 2)
    x = jnp.ones((4, 2, 3), "float32")
    gradients = jax.grad(lambda p: plastic(SPEC, p, x=x, state=state)[0].sum())(parameters)
    assert all(gradients[name].shape == value.shape for name, value in parameters.items())
