"""How often do 95 % intervals hold the true mean, for few clusters and skewed values?

`ours` is `emojibench.protocol.statistics.clustered_bootstrap`; beside it plain percentiles, Student's t on the
clusters' means, and a studentised bootstrap. One value a cluster: more of them change nothing for balanced clusters.
Prints coverage, and the median length relative to Student's t.

    python benchmarks/interval_coverage.py --trials 4000
"""

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from emojibench.protocol.statistics import clustered_bootstrap

Values = NDArray[np.float64]
LEVEL = 0.95
DISTRIBUTIONS: dict[str, tuple[Callable[[np.random.Generator, int], Values], float]] = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "log-normal (sigma 1)": (lambda rng, n: rng.lognormal(size=n), float(np.exp(0.5))),
}


def ours(values: Values, seed: int) -> tuple[float, float]:
    """As in summaries."""
    found = clustered_bootstrap(values, range(len(values)), seed=seed, resamples=1000, level=LEVEL)
    return found.low, found.high


def percentile(values: Values, seed: int) -> tuple[float, float]:
    """Quantiles of resampled means."""
    low, high = np.quantile(_drawn(values, seed).mean(1), _tails())
    return float(low), float(high)


def student(values: Values, seed: int) -> tuple[float, float]:
    """Mean and standard error."""
    half = stdtrit(len(values) - 1, _tails()[1]) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() - half), float(values.mean() + half)


def studentised(values: Values, seed: int) -> tuple[float, float]:
    """Bootstrap-t; draws of a single cluster have no spread and are left out."""
    drawn, mean = _drawn(values, seed), values.mean()
    errors = drawn.std(1, ddof=1) / len(values) ** 0.5
    spread = errors > 1e-12
    low, high = np.quantile((drawn[spread].mean(1) - mean) / errors[spread], _tails())
    error = values.std(ddof=1) / len(values) ** 0.5
    return float(mean - high * error), float(mean - low * error)


METHODS = (ours, percentile, student, studentised)


def _drawn(values: Values, seed: int, resamples: int = 1000) -> Values:
    return values[np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))]


def _tails() -> Values:
    return np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])


def main() -> None:
    """Print one table for each distribution."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000, help="data sets for each number of clusters")
    parser.add_argument("--clusters", type=int, nargs="+", default=[4, 5, 6, 8, 10, 20])
    given = parser.parse_args()
    for name, (draw, truth) in DISTRIBUTIONS.items():
        print(f"{name}, {given.trials} trials: coverage (median length / Student's)")
        print("clusters" + "".join(f"{method.__name__:>20}" for method in METHODS))
        for count in given.clusters:
            rng = np.random.default_rng(count)
            found = np.array(
                [[method(values, trial) for method in METHODS]
                 for trial in range(given.trials) for values in [draw(rng, count)]]
            )  # fmt: skip
            held = ((found[..., 0] <= truth) & (truth <= found[..., 1])).mean(0)
            lengths = np.median(found[..., 1] - found[..., 0], 0)
            cells = (f"{h:.3f} ({length:.2f})" for h, length in zip(held, lengths / lengths[2], strict=True))
            print(f"{count:8}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
