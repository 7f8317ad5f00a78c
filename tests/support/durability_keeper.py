"""An owner with a witness, who grants runs to a holder; and what must be true of it after any fault.

As `tests.support.durability_life`: each verb is the command line's, and what is there is read from files, with the
owner's keys and from the witness, past user cloud and host.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.support.durability_life import Amiss, Commands, Held, Life, Recordings
from tests.support.stages import Watched
from tests.support.witness import Witness
from waykeep.authority import witnessing
from waykeep.authority.permissions import Granted
from waykeep.channel.witness import WitnessClient
from waykeep.device import holder, keystore
from waykeep.device.keystore import KeyFile
from waykeep.device.profile import Folder
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId

RUNS = 2
"""Of each grant."""
USED_UP = ("runs-used-up", "grant-used-up", "holder-unlisted")
"""How one run more than was granted is refused: by the user cloud, or by a host that was told who may ask."""
ROOMS = ("journal", "snapshots", "sealed")
"""What of the store a rewinding host shows an old copy of."""


class Keeper(Life):
    """One owner, their devices one after the other, and one holder. All use one algorithm.

    A verb may be named with more behind a comma, such as ``spend, asleep``. The device that is revoked is the one
    that was enrolled last.

    Attributes:
        delivered: Request ids whose result the holder got, by grant.
        asked: Ids of all requests that the holder made, by grant.
        grants: Numbers of the grants that were acknowledged.
        ended: Grants that a resume or a recovery used up.
        gone: Grants whose debits may be among the records that were lost.
    """

    def __init__(
        self, stage: Watched, witness: Witness, commands: Commands, recordings: Recordings, number: int
    ) -> None:
        super().__init__(stage, commands, recordings, number)
        self.witness, self._number = witness, number
        self._token = witness.tokens.pop()
        self._holder = stage.devices / f"{number}.holder"
        self._ticket = self._holder.with_suffix(".ticket")
        self._key = holder.make(self._holder)
        self._machines = [(self.folder, self.key_file)]
        self._papers: list[dict[str, str]] = []
        self.delivered: defaultdict[int, set[str]] = defaultdict(set)
        self.asked: defaultdict[int, set[str]] = defaultdict(set)
        self.grants: list[int] = []
        self.ended: set[int] = set()
        self.gone: set[int] = set()
        self._granting = False
        self._rewound = False
        self._others: list[tuple[Folder, Path]] = []
        self._request, self._revoked = "", False

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def arguments(self, verb: str) -> list[str]:
        name = verb.partition(",")[0]
        who = ["--home", str(self.folder.path), "--key-file", str(self.key_file)]
        host, root = self.stage.host_url, f"--trust-insecure-root={self.stage.root}"
        match name:
            case "witness":
                named = (self.witness.url, f"--token={self._token}", f"--key={self.witness.key}")
                return ["witness", "use", *named, *who, "--json"]
            case "grant":
                to = (f"--holder={self._key.signer.public}", "--recipient", self._key.recipient)
                # Each ends in another year, so that a repetition is told from another grant.
                runs = ("--runs", str(RUNS), "--until", f"{2050 + len(self.grants)}-01-01")
                kept = ("--deadline", "2s", "--output", str(self._ticket))
                return ["grant", "give", self.bundle.digest, *to, *runs, *kept, *who, "--json"]
            case "spend":
                return ["grant", "use", str(self._ticket), "--file", str(self._holder), "--host", host, root, "--json"]
            case "enroll":
                other, key_file = self._others[-1]
                new = ["--home", str(other.path), "--key-file", str(key_file), "--json"]
                if verb != name:
                    return ["keys", "enroll", "--finish", *new]
                return ["keys", "enroll", "--host", host, "--owner", self.owner, root, "--name", other.path.name, *new]
            case "add":
                return ["keys", "add", self._request, "--yes", *who, "--json"]
            case "revoke":
                return ["keys", "revoke", self._others[-1][0].path.name, *who, "--json"]
            case "suspend" | "resume":
                return [name, *who, "--json"]
            case "forget":
                return ["suspend", "--forget", *who, "--json"]
            case "recover":
                folder, key_file = self._machines[-1]
                new = ["--home", str(folder.path), "--key-file", str(key_file)]
                paper = ["--secrets-file", str(self._paper_file)]
                return ["keys", "recover", "--host", host, "--owner", self.owner, root, *paper, *new, "--json"]
        return super().arguments(name)

    def start(self, verb: str, *, held: bool = False) -> int:
        match verb.partition(",")[0]:
            case "grant":
                self._granting = True
            case "enroll" if verb == "enroll":
                name = f"{self._number}-other-{len(self._others)}"
                self._others.append((Folder(self.stage.devices / name), self.stage.devices / f"{name}.key"))
                self._revoked = False
            case "recover":
                if self._machines[-1][0].path == self.folder.path:
                    self.another_machine()
                self._paper_file.write_text("\n".join(self._papers[-1].values()))
        return super().start(verb, held=held)

    def end(self, verb: str) -> bool:
        done = super().end(verb)
        name = verb.partition(",")[0]
        if name == "spend":
            self._see_request()
            # Cut off after its result was seen and its request forgotten: nobody asks again.
            done = done or ("receipt" in self._shown() and not self._waiting_requests())
        if name == "recover" and (paper := self._paper()) and paper not in self._papers:
            self._papers.append(paper)  # also where it was cut off then: it was shown
        return done

    def _take(self, verb: str) -> None:
        name = verb.partition(",")[0]
        self.acknowledged.add(name)
        match name:
            case "init":
                self._papers = [self._paper()]
            case "grant":
                number = self.answer()["number"]
                assert number not in self.grants
                self.grants.append(number)
                self._granting = False
            case "spend":
                assert "receipt" in self._shown()
            case "enroll" if verb == "enroll":
                self._request = self.answer()["request"]
            case "resume":
                self._rewound = False
            case "revoke":
                self._revoked = True
                self.ended |= set(self.grants)
            case "recover":
                self.folder, self.key_file = self._machines[-1]
                self.ended |= set(self.grants)
            case _:
                super()._take(name)

    def _shown(self) -> dict[str, Any]:
        """The answer that the last verb showed, also where it was cut off then."""
        try:
            found: dict[str, Any] = self.answer()
        except (StopIteration, json.JSONDecodeError):
            return {}
        return found

    def _paper(self) -> dict[str, str]:
        answer = self._shown()
        return {name: answer[name] for name in ("opening_secret", "rotating_secret") if name in answer}

    def _see_request(self) -> None:
        """What the holder asked, and what they got."""
        for path in self._waiting_requests():
            self.asked[self.grants[-1]].add(json.loads(path.read_bytes()))
        shown = self._shown()
        if "receipt" in shown:
            assert shown["rows"] == [{"rows": 10}]
            receipt = json.loads(base64.b64decode(shown["receipt"]["payload"]))
            for ids in (self.asked, self.delivered):
                ids[receipt["approval"]].add(receipt["run_id"])

    def _waiting_requests(self) -> list[Path]:
        """Where the holder keeps the id of a request whose answer they wait for: the next one is the same."""
        return list(self.stage.devices.glob(f"{self._holder.name}.*.asked"))

    @property
    def _paper_file(self) -> Path:
        return self._recordings.folder / f"{self._number}.paper"

    def another_machine(self) -> None:
        """The next recovery is on an empty one. The one on which it was cut off is lost."""
        lost, key_file = self._machines[-1]
        if lost.path != self.folder.path:
            shutil.rmtree(lost.path, ignore_errors=True)
            for path in key_file.parent.glob(f"{key_file.name}*"):
                path.unlink()
        name = f"{self._number}-{len(self._machines)}"
        self._machines.append((Folder(self.stage.devices / name), self.stage.devices / f"{name}.key"))

    def made_up_for(self, verb: str) -> None:
        """A verb was cut off, and another command did the rest of it."""
        self._take(verb)

    @property
    def papers(self) -> list[dict[str, str]]:
        """All papers that were shown, the newest first."""
        return self._papers[::-1]

    def use_paper(self, paper: dict[str, str]) -> None:
        """With this one the next recovery is tried."""
        self._papers.remove(paper)
        self._papers.append(paper)

    @property
    def left(self) -> bool:
        """Whether the newest grant is in force and has a run left."""
        return self.grants[-1] not in self.ended and len(self.asked[self.grants[-1]]) < RUNS

    # -- what a host can do --------------------------------------------------------------------------------------------

    def copied(self) -> Path:
        """A copy of this owner's journal and of what it sleeps on, kept by a host."""
        copy = self._recordings.folder / f"{self._number}.copy"
        for room in ROOMS:
            shutil.copytree(self.home / room, copy / room)
        return copy

    def rewind(self, copy: Path) -> None:
        """Show the copy instead of what lies there. The user cloud sleeps."""
        for room in ROOMS:
            for path in (self.home / room).iterdir():
                path.unlink()
            for path in (copy / room).iterdir():
                shutil.copy(path, self.home / room / path.name)
        shutil.rmtree(copy)
        self._rewound = True
        self.gone |= set(self.grants)
        self.ended |= self.gone

    # -- what there is -------------------------------------------------------------------------------------------------

    @property
    def owner(self) -> OwnerId:
        return self._machines[0][0].profile().owner

    def _opening(self) -> tuple[tuple[str, ...], dict[str, str]]:
        logs, epochs = dict[str, None](), dict[str, str]()
        for folder, key_file in self._machines:
            if folder.keystore.exists():
                secrets = keystore.load(folder.keystore, KeyFile(key_file))
                logs |= dict.fromkeys(secrets.logs)
                epochs |= secrets.epochs
        return tuple(logs), epochs

    def at_witness(self, held: Held) -> witnessing.Held:
        """What the witness holds."""
        with WitnessClient(self.witness.url, self.witness.key, held.log.pseudonym()) as client:
            return client.read().held

    # -- what must be --------------------------------------------------------------------------------------------------

    def check(self) -> Amiss:
        amiss = super().check()
        if "init" not in self.acknowledged:
            return amiss
        held = self.held()
        given = {entry.number for _, entry, _ in held.log.entries if isinstance(entry.body, Granted)}
        amiss.lost += len(set(self.grants) - given)
        amiss.doubled += max(0, len(given) - len(self.grants) - self._granting)
        for grant in given:
            debits = {i for i, debit in held.journal.debits.items() if debit.grant == grant}
            delivered = self.delivered[grant]
            if grant not in self.gone:
                amiss.lost += len(delivered - debits) + len(delivered - held.journal.outcomes.keys())
                used = held.journal.used.get(held.log.digest_at(grant))
                amiss.lost += (used.runs if used else 0) != len(debits)
            amiss.doubled += len(debits - self.asked[grant])
            amiss.beyond += max(0, len(debits) - RUNS) + max(0, len(delivered) - RUNS)
        if self._revoked:
            amiss.lost += self._of_others(held)
        if "witness" in self.acknowledged and not self._rewound:
            witnessed = self.at_witness(held)
            if witnessed.journal is not None:
                amiss.lost += held.journal.digest_at(witnessed.journal.number) != witnessed.journal.digest
            amiss.lost += not held.log.holds(witnessed.owner)
        return amiss

    def _of_others(self, held: Held) -> int:
        """What devices still have, or are told, that were added and then revoked."""
        found, log = 0, held.log
        for folder, key_file in self._others:
            kept = keystore.load(folder.keystore, KeyFile(key_file))
            found += kept.device_key.public in log.devices
            found += log.log_recipients()[0] in {agefile.recipient_of(secret) for secret in kept.logs}
            found += log.epochs[max(log.epochs)].recipient in {agefile.recipient_of(s) for s in kept.epochs.values()}
        return found

    def finish(self) -> Amiss:
        """Check an owner at the end: what was granted is used up and no more, and they can grant and be asked anew."""
        self.do("status")
        amiss = Amiss()
        if self._waiting_requests() and not self._done("spend"):
            amiss.stuck += 1
        while self.left and not amiss.stuck:
            amiss.stuck += not self._done("spend")
        amiss.beyond += self._done("spend")
        assert any(rule in self.said for rule in USED_UP), self.said
        self._give_up()
        amiss.stuck += not all(self._done(verb) for verb in ("grant", "spend", "status", "audit"))
        found, held = self.check(), self.held()
        amiss.lost, amiss.doubled, amiss.beyond = found.lost, found.doubled, amiss.beyond + found.beyond
        assert {s: held.rows[s] for s in self._recordings.rows} == self._recordings.rows
        witnessed = self.at_witness(held)
        assert (witnessed.owner, witnessed.resumes) == (held.log.head, len(held.log.resumed))
        self._check_device(held)
        amiss.staging += self.rests(held)
        return amiss

    def _done(self, verb: str) -> bool:
        self.start(verb)
        return self.end(verb)

    def _give_up(self) -> None:
        """The holder asks no more for what was refused."""
        for path in self._waiting_requests():
            self.asked[self.grants[-1]].discard(json.loads(path.read_bytes()))
            path.unlink()

    def rests(self, held: Held) -> list[str]:
        found = super().rests(held)
        for name in ("unfinished", "recovering.age", "pending"):
            path = self.folder.path / name
            if path.is_file() or (path.is_dir() and any(path.iterdir())):
                found.append(str(path.relative_to(self.stage.folder)))
        return found
