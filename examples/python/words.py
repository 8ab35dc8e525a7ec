"""A language model of words [Backpropamine 2019, section 4.3], on the user's copy of the Penn Treebank.

python words.py --data FOLDER [--only NAME] [--epochs N] [--seed S] [--out FOLDER]

The paper's basic model: two LSTM layers of 200, read in windows of 20 steps with 20 stretches of the text side by side, SGD
from a rate of 1, 13 epochs. The plastic networks have Hebbian traces in the candidate gate of both layers: with a fixed
rate, with a rate that the network sets itself (modulated), and with an eligibility trace as well (retroactive). Embedding,
dropout and the readout are PyTorch's.

FOLDER holds ptb.train.txt, ptb.valid.txt and ptb.test.txt: words between spaces, one sentence on each line. Any text in
this form will do. Words that the training text lacks are read as <unk>.
"""
import argparse
import math
import pathlib
import time
from collections import Counter

import outcome
import torch
from arguments import positive_integer
from plasticity.torch import PlasticLSTM
from torch import nn
from torch.nn import functional

LAYERS, BATCH, STEPS = 2, 20, 20
FIRST_EPOCHS, DECAY = 4, 0.5  # the rate is 1 in the first epochs, then falls by half in each
GRADIENT_NORM = 5.0
# Of eta, in rates of the others: with equal rates eta leaves 0..1, and an eligibility trace then grows without bound.
ETA_RATE = 1e-3
PLASTIC = {"rule": "read_clip", "alpha": "post", "clip": 2.0}  # one alpha per neuron, as published
LEARNERS = {
    "LSTM": {"rule": "decay", "alpha": "none", "rate": "fixed"},
    "plastic": {**PLASTIC, "rate": "fixed"},
    "modulated": {**PLASTIC, "rate": "fan_out"},
    "retroactive": {**PLASTIC, "rate": "fan_out", "eligibility": "before"},
}


def read_words(path):
    """The words of a text, with <eos> at the end of each line."""
    return path.read_text(encoding="utf-8").replace("\n", " <eos> ").split()


class Texts:
    """The three texts as numbers of words, [BATCH, length] each: BATCH stretches side by side."""

    def __init__(self, folder):
        words = {part: read_words(folder / f"ptb.{part}.txt") for part in ("train", "valid", "test")}
        self.count = Counter(words["train"])
        self.count.setdefault("<unk>", 0)
        self.index = {word: index for index, word in enumerate(self.count)}
        unknown = self.index["<unk>"]
        for part, text in words.items():
            numbers = torch.tensor([self.index.get(word, unknown) for word in text])
            length = len(numbers) // BATCH
            if length <= STEPS:
                raise ValueError(f"{folder / f'ptb.{part}.txt'}: expected more than {BATCH * (STEPS + 1)} words, got {len(text)}")
            setattr(self, part, numbers[: BATCH * length].view(BATCH, length))

    def windows(self, part):
        """Words and the words that follow, [STEPS,BATCH] each (the last window may be shorter)."""
        text = getattr(self, part)
        for start in range(0, text.shape[1] - 1, STEPS):
            end = min(start + STEPS, text.shape[1] - 1)
            yield text[:, start:end].T.contiguous(), text[:, start + 1 : end + 1].T.contiguous()

    def perplexity_without_context(self):
        """The perplexity of the test text by the shares of the words in the training text."""
        share = torch.tensor([count + 1.0 for count in self.count.values()])
        return (share / share.sum()).log()[self.test].mean().neg().exp().item()


class LanguageModel(nn.Module):
    def __init__(self, words, hidden, dropout, layer_options):
        super().__init__()
        self.embedding = nn.Embedding(words, hidden)
        self.layers = nn.ModuleList(PlasticLSTM(hidden, hidden, **layer_options) for _ in range(LAYERS))
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, words)
        for weight in (self.embedding.weight, self.readout.weight):
            nn.init.uniform_(weight, -0.1, 0.1)
        nn.init.zeros_(self.readout.bias)

    def forward(self, words, states):
        """The logits of the next words, and the states of the layers."""
        y, after = self.dropout(self.embedding(words)), []
        for layer, state in zip(self.layers, states):
            y, state = layer(y, state)
            y = self.dropout(y)
            after.append(state)
        return self.readout(y), after


@torch.no_grad()
def perplexity(model, texts, part):
    model.eval()
    states, loss, count = [None] * LAYERS, 0.0, 0
    for words, following in texts.windows(part):
        logits, states = model(words, states)
        loss += functional.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="sum").item()
        count += following.numel()
    model.train()
    return math.exp(loss / count)


def train(name, texts, options):
    """Trains one network. Returns its perplexity on the test text and, after each epoch, on the validation text."""
    torch.manual_seed(options.seed)
    # As published, the plain LSTM has one neuron more, which has more parameters than the plasticity.
    hidden = options.hidden + (1 if name == "LSTM" else 0)
    model = LanguageModel(len(texts.index), hidden, options.dropout, LEARNERS[name])
    eta = [parameter for key, parameter in model.named_parameters() if key.endswith("eta")]
    others = [parameter for key, parameter in model.named_parameters() if not key.endswith("eta")]
    optimizer = torch.optim.SGD([{"params": others, "rate": 1.0}, {"params": eta, "rate": ETA_RATE}], lr=1.0)
    curve, start = [], time.perf_counter()
    for epoch in range(options.epochs):
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * DECAY ** max(0, epoch + 1 - FIRST_EPOCHS)
        states = [None] * LAYERS
        for words, following in texts.windows("train"):
            logits, states = model(words, states)
            # The sum over the steps and the mean over the stretches, for which the rate of 1 is meant.
            loss = functional.cross_entropy(logits.flatten(0, 1), following.flatten()) * len(words)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
            optimizer.step()
            states = [state.detach() for state in states]  # the gradient stays within the window
        curve.append((epoch + 1, perplexity(model, texts, "valid")))
        print(f"{name}, epoch {epoch + 1}, {(time.perf_counter() - start) / 60:.1f} min: "
              f"validation perplexity {curve[-1][1]:.2f}", flush=True)
    result = perplexity(model, texts, "test")
    print(f"{name}: test perplexity {result:.2f}", flush=True)
    if options.out:
        torch.save(model.state_dict(), options.out / f"words.{name}.pt")
    return result, curve


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the folder of the three texts")
    parser.add_argument("--only", choices=LEARNERS, help="train this network only")
    parser.add_argument("--epochs", type=positive_integer, default=13, help="(default: %(default)s)")
    parser.add_argument("--hidden", type=positive_integer, default=200, help="neurons of a layer (default: %(default)s)")
    parser.add_argument("--dropout", type=float, default=0.0, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, help="folder for the outcome")
    options = parser.parse_args()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    texts, start = Texts(options.data), time.perf_counter()
    chance = texts.perplexity_without_context()
    learners = []
    for name in [options.only] if options.only else LEARNERS:
        result, curve = train(name, texts, options)
        learners.append((name, result, f"below {chance:.4g}", curve))
    if options.out:
        outcome.save(options.out, metric="perplexity of words", chance=chance, iteration="epochs", iterations=options.epochs,
                     seed=options.seed, seconds=time.perf_counter() - start,
                     processor_seconds=time.process_time(), learners=learners, log_y=True)


if __name__ == "__main__":
    main()
