"""What likeness of source and target says about the gain: mean gain by likeness, on every matrix at hand.

    python benchmarks/likeness.py --transfer FOLDER

FOLDER as for `predictor_settings.py`. Prints a row of a Markdown table per setting, and the mean over settings with its
standard error. Likeness is in deviations over the pairs of the matrix (`LikenessScale.deviations`), gains in spreads of
their target, over the mean of its sources.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from predictor_settings import settings

from traitcast.predictor.model.features import FeatureSettings, ProfileSet
from traitcast.predictor.model.likeness import FAR_OUT
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.pair_data import pair_data
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import Cells

EDGES = (-np.inf, -1.0, 0.0, 1.0, 2.0, np.inf)
HEADS = ("below -1", "-1 to 0", "0 to 1", "1 to 2", "above 2")
# Of fewer targets no bin says anything.
LEAST_TARGETS = 5


def by_likeness(cells: Cells, profiles: ProfileSet) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Mean gain and number of cells by bin of likeness, (bins,) each, the slope far out, and the number of targets."""
    data = pair_data(observe(cells, profiles), profiles, FeatureSettings())
    o, like = data.observations, data.asked.of_target
    deviation = data.scale.deviations(like)[o.source, o.target]
    column = o.target * len(o.models) + o.model
    beyond = np.clip(deviation, *FAR_OUT)
    gain = np.full(len(o), np.nan)
    for k in np.unique(column):
        mine = column == k
        if (spread := o.gain[mine].std()) > 0:
            gain[mine] = (o.gain[mine] - o.gain[mine].mean()) / spread
            beyond[mine] -= beyond[mine].mean()
    known = ~np.isnan(gain)
    number = np.digitize(deviation[known], EDGES[1:-1])
    counts = np.bincount(number, minlength=len(HEADS))
    sums = np.bincount(number, gain[known], minlength=len(HEADS))
    means = np.divide(sums, counts, out=np.full(len(HEADS), np.nan), where=counts > 0)
    slope = float(beyond[known] @ gain[known] / (beyond[known] @ beyond[known]))
    return means, counts, slope, len(np.unique(o.target))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfer", type=Path)
    profiles, found = settings(parser.parse_args().transfer, None)
    print(
        f"| setting | {' | '.join(HEADS)} | slope from {FAR_OUT[0]:g} to {FAR_OUT[1]:g} |\n|{'---|' * (2 + len(HEADS))}"
    )
    rows = []
    for name, cells in found.items():
        try:
            means, counts, slope, targets = by_likeness(cells, profiles)
        except UserError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        if targets < LEAST_TARGETS:
            print(f"{name}: {targets} targets, left out", file=sys.stderr)
            continue
        rows.append([*means, slope])
        each = [f"{mean:+.2f} ({n})" if n else "" for mean, n in zip(means, counts, strict=True)]
        print(f"| {name} | {' | '.join(each)} | {slope:+.2f} |")
    every = np.array(rows)
    error = np.nanstd(every, axis=0, ddof=1) / np.sqrt((~np.isnan(every)).sum(axis=0))
    means = [f"{mean:+.2f} ± {e:.2f}" for mean, e in zip(np.nanmean(every, axis=0), error, strict=True)]
    print(f"| mean of {len(rows)} | {' | '.join(means)} |")


if __name__ == "__main__":
    main()
