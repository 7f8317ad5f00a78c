"""The sections of the report, from the first screen to what was refused; `waykeep.demo.proofs` has the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo

from waykeep.demo import words
from waykeep.demo.figure import track_map, trip_class
from waykeep.demo.geojson import Journeys
from waykeep.demo.markup import Html, join, markup
from waykeep.demo.report_data import Mode, Owner, Refusal, ReportData, Step

_WAY = markup(
    '<svg class="logo" viewBox="0 0 48 48" aria-hidden="true"><path class="wall" d="M8 20V8h7v5h5V8h8v5h5V8h7v12'
    'c0 11-6 17-16 21C14 37 8 31 8 20Z"/><path class="way" d="M24 41c0-8-7-7-7-13s10-5 10-11"/></svg>'
)


def opening(data: ReportData) -> Html:
    """Title, the one sentence, and the figures that decide whether the run was good."""
    refused = sum(bool(refusal.error) for refusal in data.refusals)
    valid = sum(receipt.signature_valid for receipt in data.receipts)
    leaks = len(data.scan.findings)
    scanned = words.size(sum(place.bytes_scanned for place in data.scan.scanned))
    imported = sum(owner.entries_imported for owner in data.owners)
    left = sum(owner.entries_refused for owner in data.owners)
    tiles = (
        _tile(True, f"{imported:,}", "entries imported", f"{left:,} refused, each with its reason"),
        _tile(
            valid == len(data.receipts),
            f"{valid} of {len(data.receipts)}",
            "receipts valid",
            "signed by the user cloud",
        ),
        _tile(
            refused == len(data.refusals),
            f"{refused} of {len(data.refusals)}",
            "attacks refused",
            "by rules with names",
        ),
        _tile(leaks == 0, f"{leaks:,}", "values leaked", f"in {scanned} that the host holds or said"),
    )
    people = words.counted(len(data.owners), "person", "people")
    return markup(
        '<header class="opening">{logo}<p class="mark">Waykeep</p><h1>{people}, seven steps, '
        '<em class="{state}">{clear}</em></h1><p class="lede">{sentence}</p><p class="made">{made} · '
        'version {version} · platform <code>{platform}</code></p></header><div class="tiles">{tiles}</div>',
        logo=_WAY,
        people=people.capitalize(),
        state="bad" if leaks else "good",
        clear="nothing in clear" if leaks == 0 else "and something leaked",
        sentence="What their phones recorded went encrypted to a host that nobody has to trust; code that they had "
        "approved computed on it, and each got an answer and a receipt.",
        made=data.made,
        version=data.version,
        platform=data.platform,
        tiles=join(tiles),
    )


def _tile(good: bool, value: str, what: str, note: str) -> Html:
    return markup(
        '<div class="tile {}"><b>{}</b><span>{}</span><small>{}</small></div>',
        "good" if good else "bad",
        value,
        what,
        note,
    )


def insecure_banner(platform: str) -> Html:
    """What platform `insecure` means, in both cases; nothing on other platforms."""
    if platform != "insecure":
        return markup("")
    return markup(
        '<aside class="banner" aria-labelledby="insecure"><h2 id="insecure">Platform <code>insecure</code>: no hardware'
        " protected this run</h2><p>Processes, certificates, evidence and sandbox are the real ones. The root under"
        " them is software, made for this installation, and no default trusts it.</p>"
        '<div class="cases"><div><h3>On a machine of your own</h3><p>A fair choice. You run this machine: what protects'
        ' you is that nobody else does.</p></div><div class="loud"><h3>On a machine of somebody else</h3><p><strong>It'
        " protects from nobody.</strong> Whoever operates the machine could read everything: the data, the keys, the"
        " results.</p></div></div></aside>"
    )


def seven_steps(steps: Sequence[Step]) -> Html:
    """The steps as a timeline; bars on a logarithmic scale, as they span milliseconds to seconds."""
    longest = max((step.ms for step in steps), default=1.0)
    return markup(
        '<section aria-labelledby="steps"><h2 id="steps">The seven steps, and a study</h2>{}<ol class="steps">{}</ol>'
        '<p class="fine">Bars are logarithmic: each third of the width is about a factor of ten.</p></section>',
        _legend(),
        join(_step(step, longest) for step in steps),
    )


def _legend() -> Html:
    return markup(
        '<p class="legend"><span class="chip trusted">trusted</span> sees data or keys; a process has to prove what it'
        ' is before it gets any. <span class="chip untrusted">untrusted</span> sees ciphertext, sizes and times.</p>'
    )


def _step(step: Step, longest: float) -> Html:
    share = max(2.0, 100 * (1 + math.log10(max(step.ms, 1e-9) / max(longest, 1e-9)) / 3))
    side = "trusted" if step.trusted else "untrusted"
    return markup(
        '<li class="{side}"><span class="number" aria-hidden="true">{number}</span><div class="what"><h3>{title} '
        '<span class="chip {side}">{part}</span></h3><p>{detail}</p></div><div class="time"><b>{ms}</b>'
        '<span class="bar" style="inline-size:{share}%"></span></div></li>',
        side=side,
        number=step.number,
        title=step.title,
        part=step.part,
        detail=step.detail,
        ms=words.milliseconds(step.ms),
        share=f"{share:.1f}",
    )


_DAYS = 7
"""Days that are drawn per owner; of a longer recording the page says how many more there are."""


def person(owner: Owner, number: int) -> Html:
    """Maps, trips and mode share of one owner."""
    zone, zone_name = words.zone_of(owner.zone)
    days: dict[str, list[int]] = {}
    for index, trip in enumerate(owner.journeys.trips):
        days.setdefault(words.day(trip.start_ms, zone), []).append(index)
    drawn = [_day(owner.journeys, day, which, zone, f"map-{number}-{n}") for n, (day, which) in enumerate(days.items())]
    more = len(drawn) - _DAYS
    return markup(
        '<section class="person" aria-labelledby="owner-{number}"><h2 id="owner-{number}">{name}</h2><p class="about">'
        "{recording}: {imported} entries imported, {refused} refused, {segments} uploaded. Times are those of {zone}."
        '<br>Owner id <code class="digest">{id}</code></p>{days}{more}<p class="fine">{key}</p>{modes}</section>',
        number=number,
        name=owner.journeys.owner,
        recording=owner.recording,
        imported=f"{owner.entries_imported:,}",
        refused=f"{owner.entries_refused:,}",
        segments=words.counted(owner.segments, "segment"),
        zone=zone_name,
        id=owner.owner_id,
        days=join(drawn[:_DAYS]) or _day(owner.journeys, "No trips were found", [], zone, f"map-{number}"),
        more=markup(
            '<p class="fine">And {} more, in trips.geojson.</p>' if more > 0 else "", words.counted(more, "day")
        ),
        key=_MAP_KEY,
        modes=_mode_share(owner.modes, owner.journeys.owner),
    )


def _day(journeys: Journeys, day: str, which: Sequence[int], zone: tzinfo, identifier: str) -> Html:
    """The map of a day beside the table of its trips; with no trips, the map of the whole track."""
    trips = [(index + 1, journeys.trips[index]) for index in which]
    when = [f"{words.clock(trip.start_ms, zone)} to {words.clock(trip.end_ms, zone)}" for _, trip in trips]
    tips = [
        f"Trip {number}, {times}, {words.length(trip.distance_m)}"
        for (number, trip), times in zip(trips, when, strict=True)
    ]
    track = [point for point in journeys.track if not trips or words.day(point.ts_ms, zone) == day]
    rows = (
        markup(
            '<tr><td><span class="key {}">{}</span></td><td>{}{}</td><td class="n">{}</td><td class="n">{}</td></tr>',
            trip_class(place),
            number,
            when[place],
            markup(' <span class="gap" title="A part of this trip was not recorded">gap</span>' if trip.gap else ""),
            words.duration(trip.duration_s),
            words.length(trip.distance_m),
        )
        for place, (number, trip) in enumerate(trips)
    )
    return markup(
        '<div class="split"><figure>{map}</figure><div class="scroll" tabindex="0" role="region" aria-label="Trips, '
        '{day}"><table class="trips"><caption>{day}</caption><thead><tr><th>Trip</th><th>When</th><th class="n">Took'
        '</th><th class="n">Way</th></tr></thead><tbody>{rows}</tbody></table></div></div>',
        map=Html(track_map(f"{journeys.owner}, {day}", trips, tips, track, identifier)),
        day=day,
        rows=join(rows),
    )


_MAP_KEY = markup(
    '<svg class="mapkey" viewBox="0 0 16 16" aria-hidden="true"><circle class="start" cx="8" cy="8" r="5"/></svg> start'
    ' <svg class="mapkey" viewBox="0 0 16 16" aria-hidden="true"><rect class="end" x="3.5" y="3.5" width="9" '
    'height="9"/></svg> end <svg class="mapkey wide" viewBox="0 0 30 16" aria-hidden="true"><path class="track" '
    'd="M0 8h30"/></svg> all recorded positions. Drawn here, without tiles from anybody.'
)


def _mode_share(modes: Sequence[Mode], name: str) -> Html:
    used = [mode for mode in modes if mode.distance_m or mode.duration_s]
    if not used:
        return markup("")
    metres = sum(mode.distance_m for mode in used) or 1
    seconds = sum(mode.duration_s for mode in used) or 1
    rows = (
        markup(
            '<tr><th scope="row">{}</th><td class="bars"><span class="bar way" style="inline-size:{}%"></span>'
            '<span class="bar time" style="inline-size:{}%"></span></td><td class="n">{} <small>{}</small></td>'
            '<td class="n">{} <small>{}</small></td><td class="n">{}</td></tr>',
            mode.mode,
            f"{100 * mode.distance_m / metres:.1f}",
            f"{100 * mode.duration_s / seconds:.1f}",
            words.length(mode.distance_m),
            f"{100 * mode.distance_m / metres:.0f} %",
            words.duration(mode.duration_s),
            f"{100 * mode.duration_s / seconds:.0f} %",
            f"{mode.co2_g / 1000:.1f} kg" if mode.co2_g else "",
        )
        for mode in used
    )
    return markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Mode share of {}"><table class="modes"><caption>How'
        ' the trips were made</caption><thead><tr><th>Mode</th><th><span class="bar way" aria-hidden="true"></span> way'
        ' <span class="bar time" aria-hidden="true"></span> time</th><th class="n">Way</th><th class="n">Time</th>'
        '<th class="n">CO₂</th></tr>'
        "</thead><tbody>{}</tbody></table></div>",
        name,
        join(rows),
    )


def refusals(found: Sequence[Refusal]) -> Html:
    """What was tried and had to fail, a card each."""
    return markup(
        '<section aria-labelledby="refusals"><h2 id="refusals">What was refused</h2><p>Each was tried for real against '
        'the running processes.</p><div class="cards">{}</div></section>',
        join(map(_refusal, found)),
    )


def _refusal(refusal: Refusal) -> Html:
    if not refusal.error:
        return markup(
            '<article class="card bad"><p class="verdict">Not refused</p><h3>{}</h3><p>{}</p></article>',
            refusal.what,
            refusal.tried,
        )
    return markup(
        '<article class="card"><p class="verdict">Refused by the {by}</p><h3>{what}</h3><p>{tried}</p>'
        '<p class="answer"><code>{error}</code> {message}</p></article>',
        by=refusal.by,
        what=refusal.what,
        tried=refusal.tried,
        error=refusal.error,
        message=refusal.message,
    )
