"""Acting one step at a time: a trained network in a loop with its environment, from a file that C++ reads too.

python acting.py [--steps N]
"""
import argparse
import pathlib
import tempfile
import time

import torch
from arguments import positive_integer
from plasticity.torch import PlasticRNN

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=positive_integer, default=1000)
options = parser.parse_args()

torch.manual_seed(0)
network = PlasticRNN(16, 100, rule="hard_clip", rate="modulated")
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "network.safetensors"
    network.save_safetensors(path)  # plasticity::Network::load reads it in C++
    actor = PlasticRNN(16, 100, rule="hard_clip", rate="modulated")
    actor.load_safetensors(path)

state, observation = actor.initial_state(1), torch.zeros(1, 16)
began = time.perf_counter()
for step in range(options.steps):
    y, state = actor.step(observation, state)  # no tape, no gradient
    observation = y[:, :16].roll(1, dims=1)  # an environment that echoes the action
per_step = (time.perf_counter() - began) / options.steps
print(f"{options.steps} steps, {1e6 * per_step:.0f} us per step, |H| {state.hebb.abs().mean():.4f}")

# The same steps as one sequence have the same bits: a recorded episode can be replayed to learn from it.
observations = torch.randn(20, 1, 16)
whole, _ = actor(observations)
state = actor.initial_state(1)
for t in range(20):
    y, state = actor.step(observations[t], state)
    assert torch.equal(y, whole[t])
print("step() and the sequence agree to the last bit")
