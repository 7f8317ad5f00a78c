"""Exact tails of the binomial and chi-square distributions, for verdicts whose false alarms are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def binomial_tail(n: int, p: float, at_least: int) -> float:
    """P(X >= at_least) of Binomial(n, p): the regularised incomplete beta function I_p(at_least, n - at_least + 1).

    By Lentz's continued fraction on the side where it converges (Abramowitz and Stegun 26.5.8, 26.5.24).
    """
    if at_least <= 0:
        return 1.0
    if at_least > n or p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    a, b = float(at_least), float(n - at_least + 1)
    if p > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - p)
    return _beta(a, b, p)


def _beta(a: float, b: float, x: float) -> float:
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    h = d
    for m in range(1, 100_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            h *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * h


def at_least(n: int, hits: int, alarm: float) -> float:
    """The probability that is lower than the true one but for once in ``1 / alarm`` (Clopper and Pearson 1934)."""
    if hits == 0:
        return 0.0
    return _bisect(lambda p: binomial_tail(n, p, hits) < alarm)


def at_most(n: int, hits: int, alarm: float) -> float:
    """The same, higher than the true one."""
    return 1 - at_least(n, n - hits, alarm)


def _bisect(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low


def chi_square_tail(value: float, freedom: int) -> float:
    """P(chi-square > value): the regularised upper incomplete gamma function Q(freedom / 2, value / 2).

    By its series below, and by Lentz's continued fraction above ``a + 1`` (Abramowitz and Stegun 6.5.29, 6.5.31).
    """
    a, x = freedom / 2, value / 2
    if x <= 0:
        return 1.0
    scale = math.exp(-x + a * math.log(x) - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-16:
            n += 1
            term *= x / n
            total += term
        return 1 - total * scale
    b, c = x + 1 - a, 1e300
    d = 1 / b
    h = d
    for n in range(1, 10_000):
        an = -n * (n - a)
        b += 2
        d = 1 / (an * d + b)
        c = b + an / c
        h *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return scale * h


def chi_square(observed: Sequence[int], expected: Sequence[float]) -> float:
    """The probability of a deviation at least as large, for counts of which each is expected at least five times."""
    assert min(expected) >= 5
    value = math.fsum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return chi_square_tail(value, len(observed) - 1)
