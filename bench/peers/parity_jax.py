"""The results of the JAX network for a parity case, compiled as in jax_scan.py."""
import jax

jax.config.update("jax_enable_x64", True)

import jax_model  # noqa: E402


def sees_gpu():
    return jax.default_backend() == "gpu"


FORMS = ("scan",)


def answers(case, device, form):
    """name -> array, for every `expect.` and `grad.` tensor."""
    return answers_of(case, device, lambda *arguments: jax_model.forward(*arguments, case.masks))


def answers_of(case, device, forward):
    """The same for another network with the arguments of jax_model.forward."""
    where = jax.devices("gpu" if device == "cuda" else "cpu")[0]

    def loss(parameters, inputs, state):
        outputs = case.outputs(*forward(case.spec, parameters, inputs, state))
        return sum((array * outputs[name]).sum() for name, array in case.upstream.items()), outputs

    with jax.default_device(where):
        gradients, outputs = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(
            case.parameters, case.inputs, case.state)
    return {**{"expect." + name: value for name, value in outputs.items()}, **case.named_gradients(*gradients)}
