"""The sections of the report that let a reader check: receipts, leak scan, timings, audit log, commands."""

from __future__ import annotations

from collections.abc import Sequence

from waykeep.demo import words
from waykeep.demo.markup import Html, join, markup
from waykeep.demo.report_data import AuditEntry, HandCheck, LeakScan, Receipt, Timing


def receipts(found: Sequence[Receipt]) -> Html:
    """Each run's receipt."""
    return markup(
        '<section aria-labelledby="receipts"><h2 id="receipts">Runs and their receipts</h2><p>A receipt is signed by '
        "the user cloud and checked on the owner's device. It says which code read what, and commits to the answer."
        '</p><div class="receipts">{}</div></section>',
        join(map(_receipt, found)),
    )


def _receipt(receipt: Receipt) -> Html:
    lines = [
        ("Code", _digest(receipt.digest)),
        ("Parameters", join(markup("<span>{} {}</span> ", name, value) for name, value in receipt.parameters)),
        ("Data", markup("{}", receipt.scope)),
        ("Rows", markup("{} read, {} in the answer", f"{receipt.rows_read:,}", f"{receipt.result_rows:,}")),
        ("Stored", markup("as <code>{}</code>", receipt.stored_as) if receipt.stored_as else markup("not stored")),
        *((part, _digest(measurement)) for part, measurement in receipt.measurements),
        ("Answer", _digest(receipt.commitment)),
        ("Signed by", _digest(receipt.signer)),
    ]
    return markup(
        '<article class="receipt {state}"><header><h3>{algorithm}</h3><p>for {owner}</p><b>{ms}</b></header><dl>{lines}'
        '</dl><p class="stamp">{verdict}</p></article>',
        state="good" if receipt.signature_valid else "bad",
        algorithm=receipt.algorithm,
        owner=receipt.owner,
        ms=words.milliseconds(receipt.ms),
        lines=join(markup("<dt>{}</dt><dd>{}</dd>", name, value) for name, value in lines),
        verdict="Signature valid" if receipt.signature_valid else "Signature NOT valid",
    )


def leak_scan(scan: LeakScan) -> Html:
    """What was looked for, where, and what was found."""
    leaks = len(scan.findings)
    verdict = f"{words.counted(leaks, 'finding').capitalize()}: something leaked." if leaks else "Nothing was found."
    rows = (
        markup(
            '<tr><th scope="row">{}</th><td class="n">{}</td><td class="n">{}</td><td class="n {}">{}</td></tr>',
            place.what,
            f"{place.places:,}",
            words.size(place.bytes_scanned),
            "bad" if place.findings else "good",
            f"{place.findings:,}",
        )
        for place in scan.scanned
    )
    return markup(
        '<section aria-labelledby="leaks"><h2 id="leaks">The search for leaks</h2><p class="verdict {state}">{verdict}'
        "</p><p>{canaries} real values of the owners were looked for in {patterns} forms, also inside of what is "
        'compressed or encoded.</p><ul class="forms">{forms}</ul><div class="scroll" tabindex="0" role="region" '
        'aria-label="Places scanned"><table><caption>Where</caption><thead><tr><th>Place</th><th class="n">Parts</th>'
        '<th class="n">Size</th><th class="n">Found</th></tr></thead><tbody>{rows}</tbody></table></div>'
        "{found}{skipped}</section>",
        state="bad" if leaks else "good",
        verdict=verdict,
        canaries=f"{scan.canaries:,}",
        patterns=f"{scan.patterns:,}",
        forms=join(markup("<li>{}</li>", form) for form in scan.forms),
        rows=join(rows),
        found=_findings(scan),
        skipped=_skipped(scan),
    )


_SHOWN = 50


def _findings(scan: LeakScan) -> Html:
    if not scan.findings:
        return markup("")
    rows = join(
        markup("<tr><td>{}</td><td>{}</td><td>{}</td></tr>", finding.kind, finding.label, finding.place)
        for finding in scan.findings[:_SHOWN]
    )
    more = max(0, len(scan.findings) - _SHOWN)
    return markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Findings"><table><caption>What leaked{}</caption>'
        "<thead><tr><th>Form</th><th>Value</th><th>Place</th></tr></thead><tbody>{}</tbody></table></div>",
        f", and {more:,} more" if more else "",
        rows,
    )


def _skipped(scan: LeakScan) -> Html:
    if not scan.skipped:
        return markup('<p class="fine">Everything there could be read.</p>')
    return markup(
        '<p class="fine">Not looked at: {}.</p>',
        "; ".join(f"{entry.count:,} {entry.reason}, such as {entry.example}" for entry in scan.skipped),
    )


def timings(found: Sequence[Timing]) -> Html:
    """What was measured."""
    return markup(
        '<section aria-labelledby="timings"><h2 id="timings">Timings</h2><dl class="timings">{}</dl></section>',
        join(
            markup(
                '<div><dt>{}</dt><dd><b>{}</b> {}</dd><dd class="fine">{}</dd></div>',
                timing.what,
                f"{timing.value:,.0f}" if timing.value >= 100 else f"{timing.value:.3g}",
                timing.unit,
                timing.note,
            )
            for timing in found
        ),
    )


def audit_log(entries: Sequence[AuditEntry]) -> Html:
    """Both logs of each owner."""
    groups: dict[tuple[str, str], list[AuditEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.owner, entry.log), []).append(entry)
    return markup(
        '<section aria-labelledby="audit"><h2 id="audit">The audit log</h2><p>What each owner wanted is the owner log, '
        "signed on their device; what their user cloud did is the journal. Each record names the digest of the one "
        "before, so none can be taken out or put in between.</p>{}</section>",
        join(_log(owner, log, group) for (owner, log), group in groups.items()),
    )


def _log(owner: str, log: str, entries: Sequence[AuditEntry]) -> Html:
    rows = join(
        markup(
            '<tr><td class="n">{}</td><th scope="row">{}</th><td>{}</td><td>{}</td></tr>',
            entry.number,
            entry.what,
            entry.detail,
            _digest(entry.digest),
        )
        for entry in entries
    )
    return markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table class="log"><caption>{name}'
        '</caption><thead><tr><th class="n">No.</th><th>What</th><th>Detail</th><th>Digest</th></tr></thead><tbody>'
        "{rows}</tbody></table></div>",
        name=f"{owner}, {log}",
        rows=rows,
    )


def by_hand(checks: Sequence[HandCheck]) -> Html:
    """Commands with which the reader checks without trusting this page."""
    return markup(
        '<section aria-labelledby="hand"><h2 id="hand">Check it by hand</h2><p>This page was written by the program '
        'that it praises. These commands ask others.</p><ol class="hand">{}</ol></section>',
        join(markup("<li><p>{}</p><pre><code>{}</code></pre></li>", check.what, check.command) for check in checks),
    )


def _digest(text: str) -> Html:
    """A digest or key, cut in the middle to stay on a line; the whole is its tooltip."""
    short = text if len(text) <= 26 else f"{text[:16]}…{text[-8:]}"
    return markup('<code class="digest" title="{}">{}</code>', text, short)
