"""The results of sparxml's network for a parity case."""
import jax_sparx
import numpy
from parity_jax import answers_of, sees_gpu  # noqa: F401

FORMS = ("sparx",)


def answers(case, device, form):
    """name -> array, for every `expect.` and `grad.` tensor. Raises NotImplementedError for a network that sparxml lacks."""
    why = jax_sparx.unsupported(case.spec, case.masks)
    if why is None and (numpy.abs(case.state["hebb"]) == case.spec.clip).any():
        why = "a trace begins at its clip: there jnp.clip passes half of the gradient, and the equations all of it"
    if why:
        raise NotImplementedError(why)
    return answers_of(case, device, jax_sparx.forward)
