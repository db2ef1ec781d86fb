"""Another loader of resampled JPEGs, in a process and an environment of its own.

    python loader.py torch|grain PLAN

PLAN is a JSON file of `bench_loaders`: paths and labels of the images, the factor of
each label, samples of an epoch, batch size, workers and (height, width). For each line
of the standard input one epoch is read, and its samples, seconds and the share of the
rarest label are printed as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image

# Batches of (pixels, labels) of an epoch.
Epoch = Callable[[int], Iterable[tuple[Any, Any]]]


def torch_epochs(given: dict) -> Epoch:
    """PyTorch's DataLoader with a WeightedRandomSampler, and torchvision."""
    import torch
    import torchvision.transforms as T
    from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

    class Files(Dataset):
        pixels = T.Compose([T.Resize(given["size"]), T.ToTensor()])

        def __len__(self):
            return len(given["paths"])

        def __getitem__(self, index):
            with Image.open(given["paths"][index]) as image:
                return self.pixels(image.convert("RGB")), given["labels"][index]

    weights = np.array(given["factors"])[given["labels"]].tolist()
    generator = torch.Generator().manual_seed(0)
    sampler = WeightedRandomSampler(weights, given["samples"], generator=generator)
    loader = DataLoader(
        Files(),
        batch_size=given["batch"],
        sampler=sampler,
        num_workers=given["workers"],
        persistent_workers=True,
    )
    return lambda number: loader


def grain_epochs(given: dict) -> Epoch:
    """Grain's `MapDataset.mix` of one data set per label, and Pillow."""
    import grain

    labels = np.array(given["labels"])
    counts = np.bincount(labels, minlength=len(given["factors"]))
    weights = counts * given["factors"]

    def load(index):
        with Image.open(given["paths"][index]) as image:
            image = image.convert("RGB").resize(
                given["size"][::-1], Image.Resampling.BILINEAR
            )
        return np.asarray(image, np.float32) / 255, labels[index]

    def epoch(number: int):
        parts = [
            grain.MapDataset.source(np.flatnonzero(labels == label))
            .seed(1000 * number + label)
            .shuffle()
            .repeat()
            for label in range(len(weights))
        ]
        mixed = grain.MapDataset.mix(parts, (weights / weights.sum()).tolist())
        batches = mixed[: given["samples"]].map(load).to_iter_dataset()
        batches = batches.batch(given["batch"])
        return batches.mp_prefetch(
            grain.multiprocessing.MultiprocessingOptions(num_workers=given["workers"])
        )

    return epoch


def main() -> None:
    with open(sys.argv[2]) as file:
        given = json.load(file)
    epoch = {"torch": torch_epochs, "grain": grain_epochs}[sys.argv[1]](given)
    rarest = len(given["factors"]) - 1
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for number, _ in enumerate(sys.stdin):
        start = time.perf_counter()
        samples = rare = 0
        for pixels, labels in epoch(number):
            samples += len(pixels)
            rare += int((np.asarray(labels) == rarest).sum())
        seconds = time.perf_counter() - start
        print(json.dumps([samples, seconds, rare / samples]), file=answers, flush=True)


if __name__ == "__main__":
    main()
