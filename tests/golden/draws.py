"""What the decision rule draws: the numbers that no later version may change."""

import hashlib
import json
import pathlib

import numpy as np
from tfx_resampling.core import draws
from tfx_resampling.core.schedule import Schedule

FOLDER = pathlib.Path(__file__).parent / "draws"
SEEDS = (0, 1, 7, 2**32, 2**63 - 1)
FACTORS = (0.0, 1e-3, 0.1, 1 / 3, 0.999, 1.0, 1.5, 2.0, np.pi, 99.9)
SCHEDULES = ("constant", "linear:5", "step:3")
EPOCHS = 8
_RECORDS = 64


def of(seed: int) -> dict:
    """Returns the numbers of a seed: some as they are, of the others a digest."""
    keys = np.arange(_RECORDS, dtype=np.uint64) ** np.uint64(5)
    hashes, uniforms = draws.seeded_hash(seed, keys), draws.uniforms(seed, keys)
    copies = {}
    for name in SCHEDULES:
        sums = [Schedule.parse(name).cumulative(epoch) for epoch in range(EPOCHS + 1)]
        rows = []
        for factor in FACTORS:
            factors = draws.quantize(np.full(_RECORDS, factor))
            emitted = [
                draws.cumulative_factors(factors, sums[epoch], epoch)
                for epoch in range(EPOCHS + 1)
            ]
            found = [
                draws.copies(uniforms, *pair) for pair in zip(emitted, emitted[1:])
            ]
            rows.append([int(each.sum()) for each in found])
            digest = _digest(np.stack(found))
            rows[-1].append(digest)
        copies[name] = rows
    seeds = draws.sample_seeds(hashes, 3, np.arange(_RECORDS) % 4)
    return {
        "hashes": [str(value) for value in hashes[:8]],
        "uniforms": uniforms[:8].tolist(),
        "all_hashes": _digest(hashes),
        "copies": copies,
        "sample_seeds": _digest(seeds),
    }


def _digest(values: np.ndarray) -> str:
    values = np.ascontiguousarray(values)
    return hashlib.sha256(values.astype(values.dtype.newbyteorder("<"))).hexdigest()[
        :16
    ]


def made() -> dict:
    """Returns the numbers of all seeds, as a file of FOLDER has them."""
    return {str(seed): of(seed) for seed in SEEDS}


def write(version: str) -> None:
    """Writes the file of a version, when it is released."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{version}.json"
    path.write_text(json.dumps(made(), indent=1) + "\n")
