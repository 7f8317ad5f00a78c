"""What a study asks for, in plain words: the questions, the data, what it may learn, and what leaving it does."""

from __future__ import annotations

from waykeep.authority import queries
from waykeep.authority.studies import Question, Signed, Study
from waykeep.device import telling
from waykeep.device.memberships import Shown
from waykeep.privacy import ledger, mechanisms

BAR = 30
_LEAVING = (
    "You can leave at any time. Before a query has gathered who takes part, that takes your answer out of it; once it "
    "has, and your answer was debited, it does not."
)


def consent(signed: Signed) -> str:
    """What whoever joins agrees to."""
    study = signed.study
    lines = [
        ("Study", f"{study.title}, by the key {signed.researcher[:16]}…"),
        ("Purpose", study.purpose),
        ("Ethics", study.ethics),
        ("Consent", f"version {study.consent_version}: {study.consent}"),
        ("When", _when(study)),
        ("With whom", f"at least {study.minimum:,} people at a time, or nothing is released"),
        ("May learn", learns(study)),
        (
            "Aggregator",
            f"adds up inside {', '.join(m[:19] + '…' for m in study.aggregator.aggregators)}, and sees only "
            "your bounded answer; released are sums with noise",
        ),
        ("Who sees", "the host: that you take part, and when you are asked, but neither data nor answer"),
        ("Leaving", _LEAVING),
    ]
    parts = ["\n".join(f"{name + ':':12}{words}" for name, words in lines)]
    parts += [question(each) for each in study.questions]
    return "\n\n".join(parts)


def question(asked: Question) -> str:
    """One question: what is read, and how much of it counts."""
    scope, bound, noise = asked.scope, asked.bounds, asked.mechanism
    epsilon = mechanisms.epsilon(noise, bound, ledger.DELTA)
    lines = [
        ("Question", asked.asks),
        ("Algorithm", f"{asked.bundle} ({asked.algorithm[:19]}…)"),
        ("Reads", telling.what(scope)),
        ("When", telling.when(scope)),
        ("Where", telling.where(scope)),
        ("How precise", telling.precision(scope)),
        ("Answer", _answer(asked)),
        (
            "Noise",
            f"19 times of 20 up to {_amount(asked, queries.interval(asked))} more or less ({noise.kind}, scale "
            f"{_amount(asked, noise.scale)}): epsilon {epsilon:.3g}",
        ),
    ]
    if scope.parameters:
        lines.append(("Settings", "; ".join(f"{n}: {v[0]}" for n, v in scope.parameters.items())))
    return "\n".join(f"  {name + ':':13}{words}" for name, words in lines)


def _answer(asked: Question) -> str:
    """What of one person counts, in the unit that is released."""
    bound = asked.bounds
    each = f"from {_amount(asked, bound.minimum)} to {_amount(asked, bound.maximum)}"
    default = f"{_amount(asked, bound.default)} if you have no data, or do not answer any more"
    if bound.cells == 1:
        return f"one number, {each}; {default}"
    by = ", ".join(axis.field for axis in asked.keys)
    most = f"at most {bound.most_cells} of {bound.cells:,} numbers (by {by})"
    return f"{most}, each {each}, together at most {_amount(asked, bound.total)}; {default}"


def _amount(asked: Question, value: float) -> str:
    return f"{value / asked.per:,.6g} {asked.unit}".rstrip()


def learns(study: Study) -> str:
    """What it costs, each time and in all."""
    each, whole = ledger.epsilon_at(study.cost), ledger.epsilon_at(study.span.units)
    times = f"epsilon {each:.3g} each time" if study.repetitions > 1 else ""
    total = f"epsilon {whole:.3g} in all, at delta {ledger.DELTA:g}"
    return f"{times}, at most {study.repetitions} times; {total}" if times else total


def bars(shown: Shown) -> list[tuple[str, str, str]]:
    """Per study its title, a bar of its part of the budget, and its epsilon; then what is left."""
    found = []
    for each, units in shown.lines:
        state = " (left)" if each.ended else ""
        found.append((each.signed.study.title + state, _bar(units, shown.total), _epsilon(units)))
    found.append(("left", _bar(max(shown.left, 0), shown.total), _epsilon(max(shown.left, 0))))
    return found


def _bar(units: int, total: int) -> str:
    filled = round(BAR * units / total) if total else 0
    return "█" * min(filled, BAR) + "░" * (BAR - min(filled, BAR))


def _epsilon(units: int) -> str:
    return f"{ledger.epsilon_at(units):.3g}"


def _when(study: Study) -> str:
    span = f"from {telling.day(study.starts_ms)} to {telling.day(study.ends_ms)} UTC"
    if study.repetitions == 1:
        return f"once, {span}"
    return f"at most {study.repetitions} times, {span}, at most once in {telling.duration(study.period_ms)}"
