"""One-shot classification of Omniglot [Differentiable plasticity 2018, section 4.3].

python omniglot.py [--images N] [--seed S] [--out FOLDER]

With --out, a run that was interrupted continues from its last report.

An episode shows one drawing of each of five characters with its label, then a new drawing of one of them. The network is
the paper's: four convolutions (64 channels, 3 x 3, stride 2, tanh) on 31 x 31 pixels, and a plastic softmax layer with
Oja's rule. 100 characters in all four rotations are held out as test classes, and 50 others for validation.

Three things differ from the paper. A training step embeds two drawings of each of 64 characters once, and draws 128 episodes
with five questions each from them, so that most of the work, the convolutions, serves many episodes. An episode of training
has characters that the network confuses: one of the 64 and four of the 12 whose features are nearest to it. And alpha starts
at 3, which makes the softmax sharper.
"""
import argparse
import copy
import ctypes
import gzip
import math
import pathlib
import time

import numpy
import outcome
import torch
from arguments import positive_integer
from plasticity.torch import PlasticLinear, State
from torch import nn
from torch.nn import functional

DATA = pathlib.Path(__file__).resolve().parents[1] / "data/omniglot-35x35-idx3-ubyte.gz"
SIDE, FEATURES, WAYS = 31, 64, 5
DRAWINGS = 20  # of each character
POOL, EPISODES = 64, 128  # characters and episodes of a training step
NEAREST = 12  # characters of the pool from which an episode of training takes the others
TEST, VALIDATION = 100, 50  # characters held out
LABEL = 1000.0  # the input current of a label
PLASTIC, FIXED, PIXELS, EMBEDDING = "plastic", "α = 0", "nearest picture", "nearest embedding"


def read_drawings(path):
    """[characters,20,35,35] in 0..1."""
    with gzip.open(path) as file:
        magic, count, rows, columns = numpy.frombuffer(file.read(16), ">i4")
        pixels = numpy.frombuffer(file.read(), numpy.uint8)
    if magic != 0x803 or pixels.size != count * rows * columns or count % DRAWINGS:
        raise ValueError(f"{path}: expected an IDX file with 20 drawings of each character")
    return torch.tensor(pixels.reshape(count // DRAWINGS, DRAWINGS, rows, columns)).float() / 255


class Characters:
    """The classes of a split: characters in four rotations."""

    def __init__(self, drawings):
        self.drawings = drawings

    def __len__(self):
        return 4 * len(self.drawings)

    def draw(self, classes, count, generator):
        """`count` different drawings of each class: [count,classes,35,35]."""
        chosen = torch.rand(len(classes), DRAWINGS, generator=generator).argsort(1)[:, :count].T
        pictures = self.drawings[classes // 4, chosen]
        for turns in (1, 2, 3):
            turned = classes % 4 == turns
            pictures[:, turned] = torch.rot90(pictures[:, turned], turns, (-2, -1))
        return pictures


def split(drawings):
    """The same split for every seed: test, validation and training characters."""
    order = torch.randperm(len(drawings), generator=torch.Generator().manual_seed(2018))
    held_out = TEST + VALIDATION
    return [Characters(drawings[part]) for part in (order[:TEST], order[TEST:held_out], order[held_out:])]


def warp(pictures, generator=None, spread=0.08):
    """Pictures [n,35,35] as [n,1,31,31], with a random affine map each if there is a generator."""
    maps = torch.eye(2, 3).repeat(len(pictures), 1, 1)
    if generator is not None:
        maps = maps + spread * torch.randn(maps.shape, generator=generator)
    grid = functional.affine_grid(maps, [len(pictures), 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(pictures.unsqueeze(1), grid, align_corners=False)


class OneShot(nn.Module):
    def __init__(self):
        super().__init__()
        layers, channels = [], 1
        for _ in range(4):
            layers += [nn.Conv2d(channels, FEATURES, 3, stride=2), nn.Tanh()]
            channels = FEATURES
        # On a CPU, convolutions take three quarters of the time in this memory format.
        self.embed = nn.Sequential(*layers, nn.Flatten()).to(memory_format=torch.channels_last)
        self.layer = PlasticLinear(FEATURES, WAYS, rule="oja", activation="softmax")
        with torch.no_grad():
            self.layer.alpha.fill_(3)
            self.layer.eta.fill_(0.5)

    def learn(self, features, labels):
        """Shows features [WAYS,B,F] with labels [WAYS,B]. Returns the traces, the only memory of them."""
        current = LABEL * functional.one_hot(labels, WAYS).to(features.dtype)
        return self.layer(features, current=current)[1]

    def ask(self, features, state):
        """The probabilities [Q,B,WAYS] of questions [Q,B,F]. No question changes the memory of another."""
        questions, batch, _ = features.shape
        asked = State(hebb=state.hebb.repeat(questions, 1, 1))
        return self.layer(features.reshape(1, questions * batch, -1), asked)[0].reshape(questions, batch, WAYS)


@torch.no_grad()
def confusable(embedded, count, generator):
    """The classes [WAYS,count] of episodes: a class of embedded drawings [2,C,F], and others from those nearest to it."""
    shown, questions = functional.normalize(embedded, dim=-1)
    likeness = (shown @ questions.T).fill_diagonal_(-math.inf)
    first = torch.randint(len(likeness), [count], generator=generator)
    places = torch.rand(count, NEAREST, generator=generator).argsort(1)[:, : WAYS - 1]
    others = likeness.topk(NEAREST).indices[first].gather(1, places)
    return torch.cat([first.unsqueeze(1), others], 1).T


def episodes(embedded, classes, generator):
    """Episodes of classes [WAYS,B] from embedded drawings [2,C,F]: the first of a class is shown, the second is the question.

    Returns shown [WAYS,B,F], labels [WAYS,B] and questions [WAYS,B,F], with the same class in the same place.
    """
    labels = torch.rand(classes.shape[1], WAYS, generator=generator).argsort(1).T
    return embedded[0][classes], labels, embedded[1][classes]


def accuracy(score, labels):
    return (score.argmax(-1) == labels).float().mean().item()


@torch.no_grad()
def evaluate(network, characters, count, seed):
    """Shares of right answers over `count` episodes of five questions each: the network, without plasticity, neighbours."""
    generator = torch.Generator().manual_seed(seed)
    fixed = copy.deepcopy(network)
    fixed.layer.alpha.zero_()
    sums = dict.fromkeys((PLASTIC, FIXED, PIXELS, EMBEDDING), 0.0)
    right = torch.arange(WAYS)
    for _ in range(count):
        classes = torch.randperm(len(characters), generator=generator)[:WAYS]
        pictures = warp(characters.draw(classes, 2, generator).flatten(0, 1))
        features = network.embed(pictures)
        shown, labels, questions = episodes(features.view(2, WAYS, -1), right.unsqueeze(1), generator)
        sums[PLASTIC] += accuracy(network.ask(questions, network.learn(shown, labels)), labels)
        sums[FIXED] += accuracy(fixed.ask(questions, fixed.learn(shown, labels)), labels)
        for name, vectors in ((EMBEDDING, features), (PIXELS, pictures.flatten(1))):
            unit = functional.normalize(vectors, dim=1)
            sums[name] += accuracy(unit[WAYS:] @ unit[:WAYS].T, right)
    return {name: value / count for name, value in sums.items()}


class Checkpoint:
    """The training so far, in the folder of the outcome: a run that was interrupted continues from its last report."""

    def __init__(self, options, generator, *trained):
        self.path = options.out / "omniglot.checkpoint.pt" if options.out else None
        self.run = {"seed": options.seed, "images": options.images, "reports": options.reports}
        self.generator, self.trained = generator, trained
        self.start, self.before = time.perf_counter(), (0.0, 0.0)

    def times(self):
        """Seconds, and processor seconds, of all parts of the run."""
        return self.before[0] + time.perf_counter() - self.start, self.before[1] + time.process_time()

    def save(self, step, curve):
        if self.path is None:
            return
        fresh = self.path.with_suffix(".new")
        torch.save({"run": self.run, "step": step, "curve": curve, "times": self.times(),
                    "generator": self.generator.get_state(), "trained": [each.state_dict() for each in self.trained]}, fresh)
        fresh.replace(self.path)

    def load(self):
        """The number of steps done and the curve; (0, []) without a checkpoint of the same run."""
        if self.path is None or not self.path.exists():
            return 0, []
        saved = torch.load(self.path)
        if saved["run"] != self.run:
            return 0, []
        for each, state in zip(self.trained, saved["trained"]):
            each.load_state_dict(state)
        self.generator.set_state(saved["generator"])
        self.before = saved["times"]
        return saved["step"], saved["curve"]

    def remove(self):
        self.path.unlink(missing_ok=True)


def train_step(network, optimizer, characters, generator):
    """One step on EPISODES episodes of POOL characters. Returns the loss: -log of the right answers' probabilities."""
    classes = torch.randperm(len(characters), generator=generator)[:POOL]
    pictures = warp(characters.draw(classes, 2, generator).flatten(0, 1), generator)
    embedded = network.embed(pictures).view(2, POOL, -1)
    shown, labels, questions = episodes(embedded, confusable(embedded, EPISODES, generator), generator)
    probabilities = network.ask(questions, network.learn(shown, labels))
    loss = functional.nll_loss((probabilities + 1e-9).log().flatten(0, 1), labels.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def update_average(averaged, network, step):
    """A moving average of the parameters, over all steps at first and over a thousand later."""
    decay = min(0.999, step / (step + 10))
    for mean, value in zip(averaged.parameters(), network.parameters()):
        mean.lerp_(value, 1 - decay)


def keep_freed_memory():
    """Makes glibc keep freed memory. By default the system maps and clears the memory of every activation anew."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of glibc
            mallopt(option, 1 << 30)


def train(options):
    keep_freed_memory()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    test, validation, training = split(read_drawings(options.data))
    network = OneShot()
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    steps = max(1, options.images // (2 * POOL))
    checkpoint = Checkpoint(options, generator, network, averaged, optimizer)
    first, curve = checkpoint.load()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = 5e-5 + (1e-3 - 5e-5) * (1 + math.cos(math.pi * step / steps)) / 2
        loss = train_step(network, optimizer, training, generator)
        update_average(averaged, network, step)
        if (step + 1) % max(1, steps // options.reports) == 0:
            seen, minutes = (step + 1) * 2 * POOL, checkpoint.times()[0] / 60
            right = evaluate(averaged, validation, options.validation, 1)[PLASTIC]
            curve.append((seen, right))
            checkpoint.save(step + 1, curve)
            print(f"{seen:9,d} images, {minutes:5.1f} min: loss {loss:.4f}, validation {100 * right:.2f} %", flush=True)
    shares = evaluate(averaged, test, options.episodes, 2)
    print(", ".join(f"{name} {100 * value:.2f} %" for name, value in shares.items()))
    if options.out:
        save_outcome(options, averaged, shares, curve, checkpoint.times())
        checkpoint.remove()


def save_outcome(options, network, shares, curve, times):
    """Writes the network and omniglot.json into the folder of the outcome."""
    network.layer.save_safetensors(options.out / "omniglot.layer.safetensors")
    torch.save(network.state_dict(), options.out / "omniglot.pt")
    learners = [(name, share, "above 0.6" if name == PLASTIC else "", curve if name == PLASTIC else [])
                for name, share in shares.items()]
    outcome.save(options.out, metric="share of right answers", chance=1 / WAYS, iteration="drawings embedded",
                 iterations=options.images, seed=options.seed, seconds=times[0], processor_seconds=times[1],
                 learners=learners, test_episodes=options.episodes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA, help="the IDX file of the drawings")
    parser.add_argument("--images", type=positive_integer, default=5_000_000, help="drawings to embed (default: %(default)s)")
    parser.add_argument("--episodes", type=positive_integer, default=2000, help="of the test (default: %(default)s)")
    parser.add_argument("--validation", type=positive_integer, default=200, help="episodes per report (default: %(default)s)")
    parser.add_argument("--reports", type=positive_integer, default=20, help="of a run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, help="folder for the outcome and the network")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
