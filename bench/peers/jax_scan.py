#!/usr/bin/env python3
"""Times one configuration in JAX, forward and backward separately. Options and JSON are those of `plasticity time`.

Modes: scan, `jit` over `lax.scan`; package, plasticity.jax; sparx, the package sparxml (Python 3.12 or later). Forward is
compiled with the residuals for backward (`jax.vjp`), and backward is compiled separately. On the CPU XLA takes its threads
from the processors it may use, so --threads binds the process to that many. JAX 0.11 or later, on Python 3.12 or later: the
backward pass of 0.10 takes eight times as long. Exit code 3: JAX is older, or sees no GPU.
"""
import math
import os
import sys

import timing

MODES = ("scan", "package", "sparx")
OLDEST_JAX = (0, 11)


def limit_threads(threads):
    """Before JAX is imported, since XLA counts processors when it starts."""
    if threads > 0 and hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:threads])


def main():
    options, spec = timing.parse(__doc__.split("\n", maxsplit=1)[0], MODES)
    if options.device == "cpu":
        limit_threads(options.threads)
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import numpy

    import jax_model

    if jax.__version_info__[:2] < OLDEST_JAX:
        print(f"jax_scan.py: expected JAX 0.11 or later, got {jax.__version__}", file=sys.stderr)
        return 3
    if options.device == "cuda" and jax.default_backend() != "gpu":
        print(f"jax_scan.py: JAX sees no GPU, it has {jax.default_backend()}", file=sys.stderr)
        return 3
    jax.block_until_ready(jax.numpy.ones((64, 64)) @ jax.numpy.ones((64, 64)))
    idle = timing.memory_of_process("VmRSS")
    generator = numpy.random.default_rng(1)

    def random(shape, scale):
        return jax.numpy.asarray((generator.random(shape, dtype=numpy.float32) * 2 - 1) * numpy.float32(scale))

    def package():
        """The network of plasticity.jax as jax_model.forward."""
        try:
            from plasticity.jax import Spec, plastic
        except ImportError as error:
            raise timing.NotPossible(f"mode package: {error}") from error
        same = Spec(**vars(spec))
        return lambda _, parameters, inputs, state: plastic(same, parameters, **inputs, state=state)

    def sparx():
        """The network of sparxml as jax_model.forward."""
        try:
            import jax_sparx
        except ImportError as error:
            raise timing.NotPossible(f"mode sparx: {error}") from error
        why = jax_sparx.unsupported(spec)
        if why:
            raise timing.NotPossible(f"mode sparx: {why}")
        return jax_sparx.forward

    def time_mode(mode):
        network = {"scan": lambda: jax_model.forward, "package": package, "sparx": sparx}[mode]()
        parameters = {name: random(shape, 0.1 if name == "eta" else 1 / math.sqrt(spec.neurons))
                      for name, shape in spec.parameter_shapes().items()}
        inputs = {name: random(shape, 0.1 if name == "rate" else 1)
                  for name, shape in spec.input_shapes(options.steps, options.batch).items()}
        state = {name: jax.numpy.zeros(shape) for name, shape in spec.state_shapes(options.batch).items()}
        dy = random((options.steps, options.batch, spec.neurons), 1)
        forward = jax.jit(lambda *leaves: jax.vjp(lambda p, i, s: network(spec, p, i, s)[0], *leaves))
        backward = jax.jit(lambda pull, gradient: pull(gradient))

        def once():
            (_, pull), forth = timing.milliseconds(lambda: forward(parameters, inputs, state), jax.block_until_ready)
            _, back = timing.milliseconds(lambda: backward(pull, dy), jax.block_until_ready)
            return {"forward": forth, "backward": back}

        def more_results():
            device = jax.devices()[0]
            threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
            name = f"cpu ({timing.processor()})" if device.platform == "cpu" else device.device_kind
            peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
            return ({"peak_cuda_bytes": peak} if peak else {}) | {
                "idle_rss_bytes": idle, "peak_rss_bytes": timing.memory_of_process("VmHWM"),
                "configuration": timing.configuration(spec, options, mode, f"jax {jax.__version__}", name, threads)}

        return timing.rounds(options, once, more_results)

    return timing.run_modes("jax_scan.py", options, time_mode)


if __name__ == "__main__":
    sys.exit(main())
