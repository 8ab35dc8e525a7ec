"""One-shot classification [Differentiable plasticity 2018] with a convolutional front end, on glyphs drawn here.

python one_shot.py [--episodes N]

An episode shows one picture of each of five classes with its label, then a new picture of one of them. The convolutions
and the plastic layer are trained together; the layer keeps the labels in its traces. Omniglot is the paper's data;
here every class is a random stroke drawing, and its pictures are jittered copies.
"""
import argparse

import torch
from arguments import positive_integer
from plasticity.torch import PlasticLinear
from torch import nn

CLASSES, SIZE, FEATURES = 5, 16, 32


class OneShot(nn.Module):
    """Convolutions, then a plastic softmax layer with the label as an input current."""

    def __init__(self):
        super().__init__()
        layers = []
        for inputs, outputs in ((1, 16), (16, 16), (16, FEATURES)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        self.front = nn.Sequential(*layers, nn.Flatten(), nn.Linear(FEATURES * 4, FEATURES), nn.LayerNorm(FEATURES))
        self.layer = PlasticLinear(FEATURES, CLASSES, rule="oja", activation="softmax")
        with torch.no_grad():  # the traces count from the start, so that a minute is enough; the paper starts at .01
            self.layer.alpha.fill_(0.3)
            self.layer.eta.fill_(0.3)

    def forward(self, pictures, labels):
        """pictures [T,B,SIZE,SIZE], labels [T,B,CLASSES] zero for the query picture. Returns probabilities."""
        steps, batch = pictures.shape[:2]
        features = self.front(pictures.reshape(-1, 1, SIZE, SIZE)).reshape(steps, batch, FEATURES)
        output, _ = self.layer(features, current=1000 * labels)
        return output


def draw(batch, generator):
    """Glyphs [B,CLASSES,SIZE,SIZE]: random walks, blurred."""
    glyphs = torch.zeros(batch, CLASSES, SIZE, SIZE)
    place = torch.randint(3, SIZE - 3, (batch, CLASSES, 2), generator=generator)
    for _ in range(24):
        place = (place + torch.randint(-1, 2, place.shape, generator=generator)).clamp(2, SIZE - 3)
        flat = glyphs.view(batch, CLASSES, -1)
        flat.scatter_(2, (place[..., 0] * SIZE + place[..., 1]).unsqueeze(-1), 1)
    return nn.functional.avg_pool2d(glyphs, 3, 1, 1) * 3


def jitter(pictures, generator):
    """Copies moved by up to a pixel, with noise."""
    moves = torch.randint(-1, 2, (2,), generator=generator).tolist()
    return pictures.roll(moves, (-2, -1)) + .1 * torch.randn(pictures.shape, generator=generator)


def episode(batch, generator):
    glyphs = draw(batch, generator)
    pictures, labels = [], torch.zeros(CLASSES + 1, batch, CLASSES)
    order = torch.stack([torch.randperm(CLASSES, generator=generator) for _ in range(batch)], 1)
    rows = torch.arange(batch)
    for t in range(CLASSES):
        pictures.append(jitter(glyphs[rows, order[t]], generator))
        labels[t, rows, order[t]] = 1
    asked = torch.randint(0, CLASSES, (batch,), generator=generator)
    pictures.append(jitter(glyphs[rows, asked], generator))
    return torch.stack(pictures), labels, asked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=positive_integer, default=300)
    parser.add_argument("--batch", type=positive_integer, default=16)
    options = parser.parse_args()
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network = OneShot()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    right = []
    for number in range(options.episodes):
        pictures, labels, asked = episode(options.batch, generator)
        probabilities = network(pictures, labels)[-1]
        loss = nn.functional.nll_loss((probabilities + 1e-9).log(), asked)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right.append((probabilities.argmax(-1) == asked).float().mean().item())
        if (number + 1) % 50 == 0:
            print(f"episode {number + 1}: {100 * sum(right[-50:]) / 50:.0f} % right; chance is {100 / CLASSES:.0f} %")


if __name__ == "__main__":
    main()
