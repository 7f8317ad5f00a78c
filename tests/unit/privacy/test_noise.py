"""Noise: of OpenDP, as much as is accounted for, in 64 bits, and other noise in each process."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest

from tests.unit.builders import refused
from waykeep.errors import PrivacyError
from waykeep.privacy import noise
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

ONE = Bounds(1, 0, 10)


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_each_cell_gets_its_own_and_sums_of_64_bits_stay(kind: Any) -> None:
    bound = Bounds(50, 0, 5, 3, 12)
    sums = [2**40 + number for number in range(50)]
    found = noise.release(sums, Mechanism(kind, 1000.0), bound)
    differences = [after - before for before, after in zip(sums, found, strict=True)]
    assert len(set(differences)) > 25
    assert all(abs(difference) < 100_000 for difference in differences)


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_opendp_accounts_for_no_more_than_we_do(kind: Any) -> None:
    for bound in (ONE, Bounds(24, 0, 5, 3, 12), Bounds(4096, 0, 10**6, 4096, 10**9)):
        for scale in (1.0, 3.3, 1e5):
            _, said = noise._made(Mechanism(kind, scale), bound)
            assert said <= float(noise._declared(Mechanism(kind, scale), bound)) * (1 + 1e-9)


def test_noise_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times less is accounted for than OpenDP says."""
    monkeypatch.setattr(noise, "_declared", lambda mechanism, bound: Fraction(1))
    with refused("noise-mismatch", PrivacyError):
        noise.release([1], Mechanism("laplace", 1.0), ONE)


@pytest.mark.parametrize("sums", [[], [1, 2], [1.0], [True], [None]])
def test_sums_malformed(sums: Any) -> None:
    """A sum more than the bounds have cells would be released without being accounted for."""
    with refused("sums-malformed", PrivacyError):
        noise.release(sums, Mechanism("laplace", 1.0), ONE)


def test_sum_too_large() -> None:
    with refused("sum-too-large", PrivacyError):
        noise.release([2**62 + 1], Mechanism("laplace", 1.0), ONE)


def test_scale_malformed() -> None:
    with refused("scale-malformed", PrivacyError):
        noise.release([1], Mechanism("laplace", 0.0), ONE)


def test_two_processes_of_one_parent_draw_other_noise() -> None:
    """The parent has drawn before: a generator that a fork copies would give both the same."""
    mechanism, zeros = Mechanism("laplace", 1e6), [0] * 64
    noise.release(zeros, mechanism, Bounds(64, 0, 1, 1, 1))
    found = []
    for _ in range(2):
        read, write = os.pipe()
        if os.fork() == 0:
            try:
                os.write(write, repr(noise.release(zeros, mechanism, Bounds(64, 0, 1, 1, 1))).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            found.append(pipe.read())
        os.wait()
    found.append(repr(noise.release(zeros, mechanism, Bounds(64, 0, 1, 1, 1))).encode())
    assert len(set(found)) == 3 and all(found)


def test_opendp_is_imported_by_those_who_draw_alone() -> None:
    """Everybody who checks a study imports this room; only an aggregator needs a quarter of a second more."""
    asked = "import sys; from waykeep.privacy import ledger, mechanisms, noise; print('opendp' in sys.modules)"
    drawn = f"{asked}; noise.release([0], mechanisms.Mechanism('laplace', 1.0), noise.Bounds(1, 0, 1)); {asked}"
    said = subprocess.run([sys.executable, "-c", drawn], capture_output=True, check=True, text=True, timeout=60)
    assert said.stdout.split() == ["False", "True"]
