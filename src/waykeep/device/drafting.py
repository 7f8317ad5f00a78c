"""From a researcher's ``study.toml`` to a study: bundles, scopes, bounds, noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec

from waykeep.attestation.appraisal import ReferenceValues
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import dsse, questions, studies
from waykeep.authority.keys import SigningKey
from waykeep.authority.studies import STUDY_TYPE, VERSION, Parts, Question, Study
from waykeep.device import approvals, scoping
from waykeep.device.hostclient import HostClient
from waykeep.device.scoping import Terms
from waykeep.errors import DeviceError
from waykeep.formats import bundle as bundles
from waykeep.formats import results
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import parse_digest
from waykeep.formats.manifest import Integer
from waykeep.formats.study_file import AggregatorFile, QuestionFile, StudyFile
from waykeep.formats.wire import encode_json
from waykeep.privacy import bounds, ledger, mechanisms
from waykeep.privacy.bounds import MAX_VALUE, Bounds
from waykeep.privacy.mechanisms import Mechanism


def draft(file: StudyFile, bundle_of: Callable[[str], Bundle], references: ReferenceValues) -> Study:
    """The study that a file describes.

    Args:
        bundle_of: The bundle of what a question calls its algorithm.
        references: Of this installation, for a file that names no aggregator.

    Raises:
        DeviceError: ``study-question`` for a field that a bundle does not have, ``study-noise`` unless there is one way
            to tell the noise; and as `scoping.scope_of`. AlgorithmError for parameters. PrivacyError for bounds,
            epsilon, offset, alpha. AuthorityError: As `studies.check`.
    """
    named = file.aggregator or AggregatorFile(references.supervisor, references.workloads[AGGREGATOR])
    study = Study(
        version=VERSION,
        title=file.title,
        purpose=file.purpose,
        ethics=file.ethics,
        consent=file.consent,
        consent_version=file.consent_version,
        questions=tuple(_question(name, q, bundle_of(q.algorithm)) for name, q in file.questions.items()),
        minimum=file.minimum,
        target=file.target,
        starts_ms=round(file.starts.timestamp() * 1000),
        period_ms=scoping.duration_ms(file.period),
        periods=file.periods,
        repetitions=file.repetitions,
        gather_ms=scoping.duration_ms(file.gather),
        answer_ms=scoping.duration_ms(file.answer),
        deadline_ms=scoping.duration_ms(file.deadline),
        aggregator=Parts(named.supervisors, named.aggregators),
    )
    studies.check(study)
    return study


def bundles_beside(folder: Path, host_url: str, pack: Callable[[Path], bytes]) -> Callable[[str], Bundle]:
    """Where `draft` finds bundles: by digest at a host, or packed from a folder beside the study's file.

    Args:
        pack: Packs a folder.

    Raises: DeviceError: ``host-missing``; as `bundle.load` and the host.
    """

    def bundle_of(name: str) -> Bundle:
        if not name.startswith("sha256:"):
            return bundles.load(pack(folder / name))
        digest = parse_digest(name)
        if not host_url:
            raise DeviceError("host-missing", "found an algorithm by its digest", hint="say where it lies with --host")
        client = HostClient(host_url)
        try:
            found = bundles.load(client.bundle(digest))
        finally:
            client.close()
        approvals.require(found, digest)
        return found

    return bundle_of


def sign(study: Study, key: SigningKey) -> bytes:
    """The envelope. Raises: as `studies.open_`, where its researcher would be told what everybody would."""
    envelope = dsse.sign(STUDY_TYPE, encode_json(study), key)
    studies.open_(envelope)
    return envelope


def _question(name: str, given: QuestionFile, bundle: Bundle) -> Question:
    manifest = bundle.manifest
    fields = {field.name: field.domain for field in manifest.output.fields}
    if not isinstance(fields.get(given.value), Integer) or not set(given.keys) <= fields.keys() - {given.value}:
        raise DeviceError(
            "study-question",
            f"found a value or key of {name} that is no field of {manifest.name}",
            hint=f"its fields: {', '.join(fields)}; the value is a number",
        )
    axes = tuple(questions.axis_of(key, fields[key]) for key in given.keys)
    cells = math.prod(axis.size for axis in axes)
    bound = Bounds(
        cells=cells,
        minimum=given.minimum,
        maximum=given.maximum,
        most_cells=given.most_cells,
        total=_total(given, cells),
        default=given.default,
    )
    bounds.check(bound)
    parameters = results.check_parameters(manifest, given.parameters)
    terms = Terms(
        first=given.from_,
        after=given.to,
        last=given.last,
        areas=given.areas,
        precision=given.precision,
        times=given.times,
    )
    inputs = {wanted.stream: wanted.columns for wanted in manifest.inputs}
    scope = scoping.scope_of(terms, inputs, {key: (value,) for key, value in parameters.items()})
    return Question(
        name=name,
        asks=given.asks,
        algorithm=bundle.digest,
        bundle=f"{manifest.name} {manifest.version}",
        scope=msgspec.structs.replace(scope, stores=False),
        value=given.value,
        keys=axes,
        bounds=bound,
        mechanism=_mechanism(name, given, bound),
        unit=given.unit,
        per=given.per,
        threshold=given.threshold,
    )


def _total(given: QuestionFile, cells: int) -> int:
    """As it is given; else all that the other bounds allow."""
    if given.total is not None:
        return given.total
    return MAX_VALUE if cells == 1 else given.maximum * given.most_cells


def _mechanism(name: str, given: QuestionFile, bound: Bounds) -> Mechanism:
    accuracy = (given.offset, given.alpha)
    if (given.epsilon is None) == (accuracy == (None, None)) or (None in accuracy and accuracy != (None, None)):
        raise DeviceError(
            "study-noise",
            f"found no one way in {name} to tell how much noise there is",
            hint="give epsilon; or offset and alpha, for a result within offset with probability 1 - alpha",
        )
    if given.epsilon is not None:
        return mechanisms.from_epsilon(given.mechanism, given.epsilon, bound, ledger.DELTA)
    offset, alpha = given.offset or 0.0, given.alpha or 0.0
    return mechanisms.from_accuracy(given.mechanism, offset, alpha, bound, together=given.together)
