"""The refusals of Waykeep: one family per room, and in it a *rule* with a stable name.

A rule's name is what a test, a problem document (RFC 9457) and the command line show; it never changes meaning.
A message says what was found, what was expected, and the hint what to do. Neither holds a key, a token or a place.
"""

from __future__ import annotations

import re

_RULE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class WaykeepError(Exception):
    """A typed refusal.

    Args:
        rule: Stable kebab-case name of the rule that refused.
        message: What was found and what was expected, one sentence.
        hint: What the reader can do about it; may be empty.
        status: The HTTP status that a server answers with (400 to 599).
    """

    family = "waykeep"
    exit_code = 1

    def __init__(self, rule: str, message: str, *, hint: str = "", status: int = 400) -> None:
        if _RULE.fullmatch(rule) is None:
            raise ValueError("a rule's name is kebab-case")
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.hint = hint
        self.status = status

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


def rule_of(error: Exception) -> str:
    """The rule of a refusal; of any other error its type alone: a message could hold what was computed on."""
    return error.rule if isinstance(error, WaykeepError) else f"unexpected-{type(error).__name__.lower()}"


class FormatError(WaykeepError):
    """Bytes that are not what they should be."""

    family, exit_code = "format", 10


class AttestationError(WaykeepError):
    """Evidence that does not verify, or that the policy refuses."""

    family, exit_code = "attestation", 11


class AuthorityError(WaykeepError):
    """A statement, log or request that its signer may not make."""

    family, exit_code = "authority", 12


class VaultError(WaykeepError):
    """The store does not hold what it should, or refuses a write."""

    family, exit_code = "vault", 13


class ChannelError(WaykeepError):
    """A connection that cannot be trusted, or not be made."""

    family, exit_code = "channel", 14


class SupervisorError(WaykeepError):
    """A process that cannot be started, bound or isolated."""

    family, exit_code = "supervisor", 15


class UserCloudError(WaykeepError):
    """The user cloud does not serve this."""

    family, exit_code = "user-cloud", 16


class AlgorithmError(WaykeepError):
    """A bundle, a run or a result that is not what it declares."""

    family, exit_code = "algorithm", 17


class DeviceError(WaykeepError):
    """The owner's device cannot do this."""

    family, exit_code = "device", 18


class HostError(WaykeepError):
    """The host refuses, or cannot be reached."""

    family, exit_code = "host", 19


class WitnessError(WaykeepError):
    """The witness does not sign this."""

    family, exit_code = "witness", 20


class PrivacyError(WaykeepError):
    """Bounds, noise or a budget that is none."""

    family, exit_code = "privacy", 21


class AggregatorError(WaykeepError):
    """The aggregator does not take this, or has nothing to release."""

    family, exit_code = "aggregator", 22
