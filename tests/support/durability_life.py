"""An owner's life on a stage, verb by verb, and what must be true of it after any fault.

Every verb is the command line's. What the store holds is read from its files with the owner's keys, past all
processes, so that looking changes nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import pyarrow as pa

from tests.support import algorithms, durability_runner
from tests.support.stages import Watched
from waykeep.authority import journalstate
from waykeep.authority.journalstate import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.device import keystore
from waykeep.device.importers import emission
from waykeep.device.keystore import KeyFile, Secrets
from waykeep.device.outbox import Queued
from waykeep.device.profile import Folder
from waykeep.errors import FormatError
from waykeep.formats import agefile, streams, table
from waykeep.formats.ids import OwnerId, numbered, parse_object, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB
from waykeep.vault import catalogue, segments
from waykeep.vault.objects import Reader
from waykeep.vault.segments import EpochKey
from waykeep.vault.store import DirectoryStore

VERBS = ("init", "publish", "approve", "import", "upload", "import again", "upload again", "run")
ALWAYS = (streams.MIN_TS_MS, streams.MAX_TS_MS)
DERIVED = "derived/counts"
_RECORDING = Path(__file__).parents[1] / "vectors" / "emission" / "shankari_2016-06-20.json"
Rows = dict[str, list[dict[str, Any]]]


@dataclass
class Recordings:
    """Two small recordings, the second of them a part of the first, and the rows that they are."""

    folder: Path
    first: Path = field(init=False)
    again: Path = field(init=False)
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        entries: dict[str, list[object]] = {}
        for entry in json.loads(_RECORDING.read_bytes()):
            entries.setdefault(entry["metadata"]["key"], []).append(entry)
        places, motion = entries["background/location"][:10], entries["background/motion_activity"][:10]
        self.first, self.again = self.folder / "first.json", self.folder / "again.json"
        self.first.write_text(json.dumps([*places, *motion]))
        self.again.write_text(json.dumps(places))
        self.rows = {s: _sorted(t) for s, t in emission.read(self.first.read_bytes()).tables.items() if t.num_rows}


class Commands:
    """The command line, see `tests.support.durability_runner`.

    Args:
        source: A folder with another copy of the package, which it runs.
    """

    def __init__(self, source: Path | None = None) -> None:
        program = [sys.executable, "-I", durability_runner.__file__, *([str(source)] if source else [])]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def start(self, arguments: list[str], output: Path, *, held: bool = False) -> int:
        """Start a verb; its pid. Where ``held``, it begins with `go`."""
        self._say(json.dumps({"arguments": arguments, "output": str(output), "held": held}))
        return int(self._hear()["pid"])

    def go(self) -> None:
        self._say("go")

    def wait(self) -> int:
        """The exit code of the verb that was started last; negative for a signal."""
        return int(self._hear()["code"])

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@dataclass(frozen=True)
class Held:
    """What the store holds of an owner."""

    log: OwnerState
    journal: JournalState
    rows: Rows
    recorded: Counter[str]
    """Rows per stream as the journal counts them."""


@dataclass
class Amiss:
    """Counts of what must not be: acknowledged and not there, there twice, a rest of writing; spends beyond a grant, an
    owner whom nothing helps."""

    lost: int = 0
    doubled: int = 0
    staging: list[str] = field(default_factory=list)
    beyond: int = 0
    stuck: int = 0


class Life:
    """One owner.

    Args:
        number: Of this life on its stage.
        bundle: Name of the algorithm; of its own where putting it must be new to the host.
    """

    def __init__(
        self, stage: Watched, commands: Commands, recordings: Recordings, number: int, bundle: str = "slow"
    ) -> None:
        self.stage, self._commands, self._recordings = stage, commands, recordings
        self.folder, self.key_file = Folder(stage.devices / f"{number}"), stage.devices / f"{number}.key"
        self.bundle, archive = algorithms.slow(bundle)
        self._packed = recordings.folder / f"{bundle}.tar"
        self._packed.write_bytes(archive)
        self._output = recordings.folder / "output"
        self.acknowledged: set[str] = set()
        self.tries: Counter[str] = Counter()
        self._receipts: list[str] = []

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def arguments(self, verb: str) -> list[str]:
        who = ["--home", str(self.folder.path), "--key-file", str(self.key_file)]
        host, root = self.stage.host_url, f"--trust-insecure-root={self.stage.root}"
        return {
            "init": ["init", "--host", host, root, *who],
            "publish": ["algo", "publish", str(self._packed), "--host", host],
            "approve": ["approve", self.bundle.digest, "--store", "counts", "--set", "rounds=0", *who],
            "import": ["import", str(self._recordings.first), *who],
            "upload": ["upload", *who],
            "import again": ["import", str(self._recordings.again), *who],
            "upload again": ["upload", *who],
            "run": ["run", self.bundle.digest, *who],
            "status": ["status", *who],
            "audit": ["audit", *who],
        }[verb] + ["--json"]

    def start(self, verb: str, *, held: bool = False) -> int:
        """Start a verb; the pid of its process."""
        self.tries[verb] += 1
        return self._commands.start(self.arguments(verb), self._output, held=held)

    def go(self) -> None:
        self._commands.go()

    def end(self, verb: str) -> bool:
        """Whether the verb that was started last ended well; its answer is then acknowledged."""
        code = self._commands.wait()
        assert "Traceback" not in self.said, f"{verb} ended by an error that nobody typed:\n{self.said}"
        if code == 0 or (verb == "init" and self._made()):
            self.acknowledged.add(verb)
            self._take(verb)
        return code == 0

    def _take(self, verb: str) -> None:
        """Keep what was answered."""
        if verb == "run":
            answer = self.answer()
            assert answer["rows"] == [{"rows": 10}]
            self._receipts.append(json.dumps(answer["receipt"], sort_keys=True))

    def _made(self) -> bool:
        """Whether an `init` that did not end well made an owner: only one whose paper was shown."""
        if not self.folder.keystore.exists():
            return False
        assert {"opening_secret", "rotating_secret"} <= self.answer().keys(), "an owner whose paper nobody saw"
        return True

    def do(self, verb: str) -> None:
        """A verb that must end well."""
        self.start(verb)
        assert self.end(verb), f"{verb} was refused: {self.said}"

    @property
    def said(self) -> str:
        return self._output.read_text()

    def answer(self) -> Any:
        """The JSON document that the verb printed, after what it said beside it; an error may follow it."""
        lines = self.said.splitlines(keepends=True)
        begin = next(n for n, line in enumerate(lines) if line[0] in "{[")
        # A warning before it is a document of one line.
        documents = [line for line in lines[begin:] if not line.startswith('{"warning"')]
        return json.JSONDecoder().raw_decode("".join(documents))[0]

    # -- what there is -------------------------------------------------------------------------------------------------

    @property
    def owner(self) -> OwnerId:
        return self.folder.profile().owner

    @property
    def home(self) -> Path:
        return self.stage.store / "owners" / self.owner

    def _secrets(self) -> Secrets:
        return keystore.load(self.folder.keystore, KeyFile(self.key_file))

    def _opening(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """Secrets of the logs, oldest first, and of epochs."""
        secrets = self._secrets()
        return secrets.logs, secrets.epochs

    def held(self) -> Held:
        """What the store holds, from its files and the owner's keys alone."""
        (logs, secrets), store = self._opening(), DirectoryStore(self.stage.store)
        reader = Reader(store, self.owner, logs)
        inception = (self.home / "owner-log" / numbered(0)).read_bytes()
        first = Head(0, sha256(agefile.open_(inception, list(logs), limit=MIB, what="an inception")))
        log = reader.owner_log(None, first)
        happened = reader.journal(journalstate.EMPTY, log)
        epochs = {n: EpochKey(n, secrets[str(n)], e.recipient) for n, e in reader.epochs(log).items()}
        rows, recorded = dict[str, list[dict[str, Any]]](), Counter[str]()
        for stream in {line.stream for line in happened.segments.values()}:
            lines = catalogue.select(happened, stream, *ALWAYS)
            parts = [(e, segments.open_((self.home / "segments" / e.name).read_bytes(), log, epochs)) for e in lines]
            rows[stream] = _sorted(segments.read(parts, self.owner, stream, (), *ALWAYS))
            recorded[stream] = sum(line.rows_new for line in lines)
        return Held(log, happened, rows, recorded)

    def _waiting(self) -> Rows:
        """Rows that the device has queued."""
        secret, found = self._secrets().queue, dict[str, list[dict[str, Any]]]()
        for path in self.folder.outbox.glob("*.queued"):
            plain = agefile.open_(path.read_bytes(), [secret], limit=MIB, what="a queued segment")
            item = msgspec.msgpack.decode(plain, type=Queued)
            found.setdefault(item.stream, []).extend(table.from_parquet(item.parquet).to_pylist())
        return found

    # -- what must be --------------------------------------------------------------------------------------------------

    def check(self) -> Amiss:
        """Count what was acknowledged and is not there, and what is there twice. Changes nothing."""
        amiss = Amiss()
        if "init" not in self.acknowledged:
            return amiss
        held = self.held()
        approvals = sum(a.algorithm == self.bundle.digest for a in held.log.approvals.values())
        amiss.lost += "approve" in self.acknowledged and not approvals
        amiss.doubled += max(0, approvals - 1)
        waiting = self._waiting()
        for stream, rows in self._recordings.rows.items():
            there = held.rows.get(stream, [])
            kept = there if "upload" in self.acknowledged else there + waiting.get(stream, [])
            if {"import", "upload"} & self.acknowledged:
                amiss.lost += sum(row not in kept for row in rows)
            amiss.doubled += len(there) - len({(row["write_ms"], row["ts_ms"]) for row in there})
            amiss.doubled += abs(held.recorded[stream] - len(there))
        receipts = Counter(_text(run.receipt) for run in held.journal.runs.values())
        amiss.lost += sum(receipts[receipt] == 0 for receipt in self._receipts)
        amiss.doubled += sum(count - 1 for count in receipts.values())
        amiss.doubled += max(0, receipts.total() - self.tries["run"])
        if self._receipts:
            amiss.lost += held.rows.get(DERIVED) != [{"rows": 10}]
        return amiss

    def finish(self) -> Amiss:
        """Check an owner who has done all verbs: everything is there, once, and everybody says so."""
        assert set(VERBS) <= self.acknowledged, f"not done: {set(VERBS) - self.acknowledged}"
        self.do("status")
        status = self.answer()
        self.do("audit")
        audit, amiss, held = self.answer(), self.check(), self.held()
        expected = {stream: len(rows) for stream, rows in self._recordings.rows.items()} | {DERIVED: 1}
        streams_ = {line["stream"]: line["rows"] for line in status["cloud"]["streams"]}
        streams_[DERIVED] = len(held.rows[DERIVED])  # a run whose answer nobody got was kept as well
        assert streams_ == expected and status["waiting"] == 0, status
        assert {s: held.rows[s] for s in self._recordings.rows} == self._recordings.rows
        assert held.journal.head is not None
        assert sum(line["chain"] == "journal" for line in audit) == held.journal.head.number + 1
        self._check_device(held)
        amiss.staging += self.rests(held)
        return amiss

    def _check_device(self, held: Held) -> None:
        """What the device remembers is what the store holds."""
        heads = self.folder.heads()
        assert heads.owner == held.log.head
        assert heads.journal is not None and held.journal.head is not None
        assert heads.journal.number <= held.journal.head.number
        assert list(self.folder.outbox.iterdir()) == []
        copies = {path.name: path.read_bytes() for path in self.folder.log.iterdir()}
        assert copies == {path.name: path.read_bytes() for path in (self.home / "owner-log").iterdir()}

    def rests(self, held: Held) -> list[str]:
        """Files of device and store that are rests of writing: half-written, or an object that nothing names."""
        found = [path for path in self.folder.path.parent.rglob("*") if path.name.endswith(".new") or "#" in path.name]
        for path in self.home.rglob("*"):
            if path.is_file():
                known = path.parent.name != "segments" or path.name in held.journal.segments
                with suppress(FormatError):
                    known = known and bool(parse_object(path.parent.name, path.name))
                    if known:
                        continue
                found.append(path)
        return [str(path.relative_to(self.stage.folder)) for path in found]


def _sorted(rows: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows.to_pylist()
    return sorted(found, key=lambda row: (row.get("write_ms", 0), row.get("ts_ms", 0)))


def _text(envelope: str) -> str:
    return json.dumps(json.loads(envelope), sort_keys=True)
