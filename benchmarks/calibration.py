"""The rate at which tests call equal methods different, by the number of seeds: the table of docs/statistics.md.

A seed's difference of two methods is what its trainings change, the same for all segments, and the mean over segments
of what each of them changes, with every seed alike or with this one. Their standard deviations are those measured in
the translations of `small`, in BLEU: medians over 80 pairs of methods at K = 24 and 16. Tests across seeds see the
means; the bootstrap of seeds and segments sees all of it.

    python benchmarks/calibration.py [--experiments 2000]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

from headprune.statistics.base import Array
from headprune.statistics.best import least_p_of_best, p_of_being_best
from headprune.statistics.seeds import ALPHA, floor

SEEDS = (3, 5, 6, 8, 10, 12)
SEGMENTS, RESAMPLES, METHODS = 200, 400, 10
TRAINING, SHARED, OWN = 1.0, 0.13, 0.4  # standard deviations: of trainings, of segments with all seeds and with one
TAIL = 3  # degrees of freedom of trainings that go far off now and then
Outputs = Array  # (…, seeds, segments)


@dataclass(frozen=True)
class World:
    """The sources of differences between two equal methods."""

    name: str
    others: bool  # whether other sentences could be drawn, too
    heavy: bool = False  # whether trainings have heavy tails

    def outputs(self, rng: np.random.Generator, seeds: int) -> Outputs:
        """The differences of two equal methods, segment by segment."""
        trainings = rng.standard_t(TAIL, seeds) if self.heavy else rng.normal(0, TRAINING, seeds)
        root = np.sqrt(SEGMENTS)
        shared = rng.normal(0, SHARED * root, SEGMENTS) if self.others else np.zeros(SEGMENTS)
        return trainings[:, None] + shared + rng.normal(0, OWN * root, (seeds, SEGMENTS))


WORLDS = (
    World("other trainings", others=False),
    World("other trainings, heavy tails", others=False, heavy=True),
    World("other trainings on other sentences", others=True),
)


def p_values(tables: Outputs, rng: np.random.Generator) -> dict[str, Array]:
    """The two-sided p of every test in every experiment, (experiments,); those of `headprune.statistics.seeds`.

    :param tables: (experiments, seeds, segments)
    """
    means = tables.mean(axis=2)
    student = stats.ttest_1samp(means, 0, axis=1).pvalue
    flips = np.array(list(product([1, -1], repeat=means.shape[1])))
    flipped = np.abs(means @ flips.T)
    flip = (flipped >= flipped[:, :1] - 1e-9).mean(axis=1)
    return {
        "Student's t": student,
        "sign flip": flip,
        "the larger p of both": np.maximum(student, flip),
        "t of seeds and segments": crossed(tables, np.maximum(student, flip)),
        "bootstrap of seeds and segments": hierarchical(tables, rng),
    }


def crossed(tables: Outputs, least: Array) -> Array:
    """The two-sided p of seeds crossed with segments; segments drawn again would vary as their means over seeds do."""
    _, seeds, segments = tables.shape
    means = tables.mean(axis=2)
    parts = np.stack([means.var(axis=1, ddof=1) / seeds, tables.mean(axis=1).var(axis=1) / segments])
    freedom = parts.sum(0) ** 2 / (parts**2 / np.array([[seeds - 1], [segments - 1]])).sum(0)
    t = np.abs(means.mean(axis=1)) / np.sqrt(parts.sum(0))
    return np.maximum(least, 2 * stats.t.sf(t, freedom))


def hierarchical(tables: Outputs, rng: np.random.Generator) -> Array:
    """The two-sided p of a bootstrap of seeds, and of segments for all of them; all experiments have the same draws."""
    _, seeds, segments = tables.shape
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    counts = rng.multinomial(segments, np.full(segments, 1 / segments), RESAMPLES) / segments
    means = np.array([((weights @ table) * counts).sum(axis=1) for table in tables])
    return 2 * np.minimum((means <= 0).mean(axis=1), (means >= 0).mean(axis=1))


FREE = ("Student's t", "bootstrap of seeds and segments")  # have no floor of flipped signs


def rejected(world: World, seeds: int, experiments: int, seed: int = 1) -> dict[str, float]:
    """The share of experiments in which each test has p ≤ α."""
    rng = np.random.default_rng([seed, seeds, WORLDS.index(world)])
    tables = np.array([world.outputs(rng, seeds) for _ in range(experiments)])
    return {name: float((found <= ALPHA).mean()) for name, found in p_values(tables, rng).items()}


def best_left_out(seeds: int, experiments: int, seed: int = 1) -> float:
    """The share of experiments in which the best of METHODS, the others a little worse, is left out of the set."""
    rng = np.random.default_rng([seed, seeds])
    levels = np.r_[0.0, np.full(METHODS - 1, -0.1)]
    wrong = 0
    for _ in range(experiments):
        values = levels + rng.normal(0, TRAINING, (seeds, 1)) + rng.normal(0, TRAINING, (seeds, METHODS))
        wrong += p_of_being_best(values)[0] <= ALPHA
    return wrong / experiments


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2000)
    experiments = parser.parse_args().experiments
    error = np.sqrt(ALPHA * (1 - ALPHA) / experiments)
    print(f"{experiments} experiments; α + 2.6 standard errors = {ALPHA + 2.6 * error:.3f}")
    print("| n | " + " | ".join(map(str, SEEDS)) + " |\n| --- |" + " ---: |" * len(SEEDS))
    for world in WORLDS:
        found = {n: rejected(world, n, experiments) for n in SEEDS}
        for name in found[SEEDS[0]]:
            cells = [f"{found[n][name]:.3f}" if name in FREE or floor(n) <= ALPHA else "–" for n in SEEDS]
            print(f"| {world.name}: {name} | " + " | ".join(cells) + " |")
    left = [f"{best_left_out(n, experiments // 4):.3f}" if least_p_of_best(n) <= ALPHA else "–" for n in SEEDS]
    print("| the best of ten left out | " + " | ".join(left) + " |")


if __name__ == "__main__":
    main()
