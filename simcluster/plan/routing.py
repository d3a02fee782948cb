"""Which experts the tokens choose: popularity by a law, the luck of a draw, and what that makes of the ranks' loads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import fsum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = tuple[float, ...]
"""How popular each expert is, by index; only ratios matter."""

SEEDS = 100
"""How many other seeds a spread is taken over: 0 … 99."""

_HEAD = 0.8
"""The most popular expert of a power law before scaling: the part of all tokens that chooses it."""


def zipf(experts: int, exponent: float) -> Weights:
    """Zipf's law: the k-th most popular expert has the weight k^-exponent, k = 1 … experts; 0 is uniform."""
    return _mean_one(np.arange(1.0, experts + 1) ** -exponent)


def power_law(experts: int, exponent: float, tokens: float, top_k: int) -> Weights:
    """Loads spread with the density x^-exponent from 1 to 0.8 · tokens copies, most popular first.

    The k-th of n experts has the quantile u = 1 - (k - 1/2)/n of that density, by the inverse of its distribution:
    x(u) = (1 + u·(b^(1-a) - 1))^(1/(1-a)), and b^u where the exponent a is 1.  With fewer copies than experts the range
    is 0.01 to 2.  This is the law by which NVIDIA's aiconfigurator measures skewed expert layers (collector, function
    power_law_logits_v3), whose x are drawn at random; quantiles make every seed equally skewed.
    """
    low, high = (1.0, _HEAD * tokens) if tokens * top_k > experts else (0.01, 2.0)
    ratio = max(high, low) / low
    quantile = 1 - (np.arange(experts) + 0.5) / experts
    if exponent == 1:
        return _mean_one(ratio**quantile)
    rest = 1 - exponent
    return _mean_one((1 + quantile * (ratio**rest - 1)) ** (1 / rest))


def at_most_once(weights: Weights, top_k: int) -> Weights:
    """The weights with none above 1 / top_k of their sum, since a token sends an expert at most one copy.

    What is cut off goes to the other experts in proportion to their weights.
    """
    share = np.array(weights) / fsum(weights)
    full = np.zeros(len(share), dtype=np.bool_)
    while (share * top_k > 1 + 1e-12).any():
        full |= share * top_k > 1 + 1e-12
        share[full] = 1 / top_k
        share[~full] *= (1 - full.sum() / top_k) / share[~full].sum()
    return _mean_one(share)


def permuted(weights: Weights, seed: int) -> Weights:
    """The same weights handed to the experts in another order, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(weights))
    return tuple(np.array(weights)[order].tolist())


@lru_cache(maxsize=256)
def measured_law(experts: int, exponent: float, seed: int, tokens: int, top_k: int) -> Weights:
    """The weight of each expert by `power_law`, which one is popular being drawn by the seed."""
    return permuted(at_most_once(power_law(experts, exponent, tokens, top_k), top_k), seed)


@lru_cache(maxsize=256)
def drawn(weights: Weights, tokens: int, top_k: int, seed: int) -> Weights:
    """Copies that each expert gets when `tokens` tokens choose `top_k` experts each: a multinomial draw.

    An expert gets at most one copy of a token: what a draw gives it beyond `tokens` is drawn again among the others.
    At least `top_k` weights must be above 0.
    """
    random = np.random.default_rng([seed, tokens])
    counts = np.zeros(len(weights), dtype=np.int64)
    open_, left = np.array(weights) > 0, tokens * top_k
    while left:
        share = np.where(open_, weights, 0.0)
        counts += random.multinomial(left, share / share.sum())
        left = int(np.maximum(counts - tokens, 0).sum())
        counts = np.minimum(counts, tokens)
        open_ = open_ & (counts < tokens)
    return tuple(counts.astype(float).tolist())


def held(weights: Weights, places: Sequence[Sequence[int]]) -> Weights:
    """The part of all copies that each rank gets, where rank j holds the experts `places[j]`.

    P_j = sum of w_e / r_e over them / sum of all w_e, where r_e is how many ranks' places expert e has: its copies are
    split evenly over its replicas.
    """
    replicas = np.bincount([expert for place in places for expert in place], minlength=len(weights)).tolist()
    found = [fsum(weights[expert] / replicas[expert] for expert in place) for place in places]
    return tuple(part / fsum(found) for part in found)


def max_over_mean(loads: Sequence[float]) -> float:
    """The fullest rank's load over the mean."""
    return max(loads) * len(loads) / fsum(loads)


def in_order(experts: int, ranks: int) -> tuple[tuple[int, ...], ...]:
    """Rank j holds the experts j·n … (j+1)·n - 1, n = experts / ranks."""
    each = experts // ranks
    return tuple(tuple(range(rank * each, (rank + 1) * each)) for rank in range(ranks))


def _mean_one(values: Floats) -> Weights:
    return tuple((values / values.mean()).tolist())
