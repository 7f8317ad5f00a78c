"""The demo's report: one page that needs nothing from the network and runs no script.

    page = render(ReportData(...))

It works from `file://`, in light and dark, on paper, on a phone and for screen readers. A content security policy in
the page itself forbids it to load anything.
"""

from __future__ import annotations

from importlib import resources

from waykeep.demo.markup import Html, join, markup
from waykeep.demo.proofs import audit_log, by_hand, leak_scan, receipts, timings
from waykeep.demo.report_data import (
    AuditEntry,
    HandCheck,
    LeakScan,
    Mode,
    Owner,
    Receipt,
    Refusal,
    ReportData,
    ScannedPlace,
    Step,
    Timing,
)
from waykeep.demo.sections import insecure_banner, opening, person, refusals, seven_steps

__all__ = [
    "AuditEntry",
    "HandCheck",
    "LeakScan",
    "Mode",
    "Owner",
    "Receipt",
    "Refusal",
    "ReportData",
    "ScannedPlace",
    "Step",
    "Timing",
    "render",
]


def render(data: ReportData) -> str:
    """The page as HTML text, to be written as UTF-8."""
    sections = (
        insecure_banner(data.platform),
        seven_steps(data.steps),
        *(person(owner, number) for number, owner in enumerate(data.owners, 1)),
        refusals(data.refusals),
        receipts(data.receipts),
        leak_scan(data.scan),
        timings(data.timings),
        audit_log(data.audit),
        by_hand(data.hand_checks),
    )
    return markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta '
        'name="referrer" content="no-referrer"><meta http-equiv="Content-Security-Policy" content="default-src '
        "'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\"><title>Waykeep demo: {title}</title>"
        '<style>{style}</style></head><body><a class="skip" href="#content">To the content</a>{opening}'
        '<main id="content">{sections}</main><footer><p>This page shows places in clear. It belongs to those whose '
        "places they are.</p></footer></body></html>\n",
        title=", ".join(owner.journeys.owner for owner in data.owners),
        style=Html(resources.files("waykeep.demo").joinpath("report.css").read_text("utf-8")),
        opening=opening(data),
        sections=join(sections),
    )
