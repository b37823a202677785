"""Trains a small segmentation network on simulated sweeps with PyTorch on the CPU; prints a rising mIoU.

    python examples/python/train_tiny.py [--steps N]
"""
import argparse
import time

import torch

from lattice import SparseTensor, ops
from lattice.torch import nn

CLASSES = ("ground", "wall", "pole", "ball")


def sweep(generator, n=1200):
    """Points of one simulated place and the class of each."""

    def draw(rows, low, high):
        return low + (high - low) * torch.rand(rows, len(low), generator=generator)

    def low_high(*pairs):
        return torch.tensor([p[0] for p in pairs]), torch.tensor([p[1] for p in pairs])

    parts = [draw(n // 2, *low_high((-6.0, 6.0), (-6.0, 6.0), (-0.1, 0.1)))]
    side = 5.0 + torch.rand(1, generator=generator).item()
    wall = draw(n // 4, *low_high((-6.0, 6.0), (side - 0.05, side + 0.05), (0.0, 3.0)))
    parts.append(wall)
    places = draw(4, *low_high((-4.0, 4.0), (-4.0, 4.0)))
    poles = [torch.cat([p + 0.05 * torch.randn(n // 32, 2, generator=generator), draw(n // 32, *low_high((0.0, 3.0)))], 1) for p in places]
    parts.append(torch.cat(poles))
    centres = draw(4, *low_high((-4.0, 4.0), (-4.0, 4.0), (0.6, 0.8)))
    balls = []
    for centre in centres:
        direction = torch.randn(n // 32, 3, generator=generator)
        balls.append(centre + 0.6 * direction / direction.norm(dim=1, keepdim=True))
    parts.append(torch.cat(balls))
    labels = torch.cat([torch.full((len(part),), label) for label, part in enumerate(parts)])
    return torch.cat(parts), labels


def batch(generator, size=2, voxel=0.25):
    points, labels, items = [], [], []
    for item in range(size):
        p, l = sweep(generator)
        points.append(p), labels.append(l), items.append(torch.full((len(p),), item, dtype=torch.int32))
    points, labels, items = torch.cat(points), torch.cat(labels), torch.cat(items)
    feats = torch.cat([torch.ones(len(points), 1), points[:, 2:]], 1)
    x = ops.voxelize(points, feats, voxel, batch_indices=items)
    votes = ops.voxelize(points, torch.nn.functional.one_hot(labels, len(CLASSES)).float(), voxel, batch_indices=items)
    return x, votes.feats.argmax(1)


class Net(torch.nn.Module):
    """One step down and one up, with a skip."""

    def __init__(self, width=16):
        super().__init__()
        self.stem = torch.nn.Sequential(nn.SubmConv3d(2, width), nn.BatchNorm(width), nn.ReLU())
        self.down = torch.nn.Sequential(nn.Conv3d(width, 2 * width, kernel_size=2, stride=2), nn.BatchNorm(2 * width), nn.ReLU())
        self.deep = torch.nn.Sequential(nn.SubmConv3d(2 * width, 2 * width), nn.BatchNorm(2 * width), nn.ReLU())
        self.up = nn.ConvTranspose3d(2 * width, width)
        self.head = nn.Linear(2 * width, len(CLASSES))

    def forward(self, x: SparseTensor):
        fine = self.stem(x)
        coarse = self.deep(self.down(fine))
        return self.head(ops.cat([fine, ops.relu(self.up(coarse, fine))])).feats


def miou(predicted, wanted):
    found = []
    for label in range(len(CLASSES)):
        both = ((predicted == label) & (wanted == label)).sum().item()
        either = ((predicted == label) | (wanted == label)).sum().item()
        found.append(both / max(either, 1))
    return sum(found) / len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=80)
    steps = parser.parse_args().steps
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    held_x, held_labels = batch(torch.Generator().manual_seed(99), 4)
    start, scores = time.time(), []
    for step in range(steps + 1):
        if step % max(steps // 4, 1) == 0:
            net.eval()
            with torch.no_grad():
                scores.append(miou(net(held_x).argmax(1), held_labels))
            net.train()
            print(f"step {step:4}  mIoU {scores[-1]:.3f}  {time.time() - start:5.1f} s")
        x, labels = batch(generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()
    assert scores[-1] > scores[0] + 0.2, "the network did not learn"


if __name__ == "__main__":
    main()
