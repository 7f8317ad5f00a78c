"""Verbs of the budget: how much all studies together may learn of one person."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from waykeep.cli import output
from waykeep.cli.options import Owner
from waykeep.device import memberships, scoping, studywords, telling
from waykeep.device.making import now_ms
from waykeep.privacy import ledger

app = App(name="budget", help="How much all studies together may learn of you.")


@app.default
def show(*, owner: Owner = Owner()) -> None:
    """A bar per study: what it may learn of you, and what is left in this period."""
    with owner.account() as device:
        found = memberships.budget(device, now_ms())
    if owner.json:
        output.show_json(None if found is None else _said(found))
        return
    if found is None:
        output.console.print("No budget was set: no study can be joined. Say it with 'waykeep budget set'.")
        return
    span = f"{telling.day(found.from_ms)} to {telling.day(found.to_ms)} UTC"
    total = ledger.epsilon_at(found.total)
    output.console.print(f"From {span} studies may learn epsilon {total:.3g} in all, at delta {ledger.DELTA:g}.")
    shown = output.table("study", "", "epsilon")
    for line in studywords.bars(found):
        shown.add_row(*line)
    output.console.print(shown)
    output.console.print("Parts add up as rho of zCDP, so their epsilons do not.")


@app.command(name="set")
def set_(
    epsilon: float,
    *,
    per: Annotated[str, Parameter(help="Length of a period, such as 30d or 365d.")] = "365d",
    owner: Owner = Owner(),
) -> None:
    """Say how much all studies together may learn in each period. Periods follow each other from now on.

    Example: waykeep budget set 3 --per 365d
    """
    with owner.account() as device:
        made = memberships.set_budget(device, epsilon, scoping.duration_ms(per), now_ms())
    if owner.json:
        output.show_json(made)
        return
    output.console.print(
        f"Studies may learn epsilon {ledger.epsilon_at(made.total):.3g} in each {telling.duration(made.period_ms)}, "
        f"at delta {ledger.DELTA:g}."
    )


def _said(found: memberships.Shown) -> dict[str, object]:
    return {
        "from_ms": found.from_ms,
        "to_ms": found.to_ms,
        "delta": ledger.DELTA,
        "total": found.total,
        "total_epsilon": ledger.epsilon_at(found.total),
        "left": found.left,
        "left_epsilon": ledger.epsilon_at(max(found.left, 0)),
        "studies": [
            {
                "study": each.signed.digest,
                "title": each.signed.study.title,
                "ended": each.ended,
                "units": units,
                "epsilon": ledger.epsilon_at(units),
            }
            for each, units in found.lines
        ],
    }
