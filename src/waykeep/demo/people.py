"""The demo's owners: real recordings, each imported on a device of its own."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path

import waykeep
from waykeep.channel.trust import Trust
from waykeep.demo.canaries import Canary, Place, age_identity_canary, secret_canary, track_canaries, user_id_canary
from waykeep.demo.stage import Stage
from waykeep.device import account
from waykeep.device.account import Account
from waykeep.device.importers import Refusal, emission
from waykeep.device.keystore import KeyFile, load
from waykeep.device.owner import Paper
from waykeep.device.profile import Folder, Profile
from waykeep.device.trusting import default_policy
from waykeep.errors import DeviceError
from waykeep.supervisor.measure import reference_values


@dataclass
class Person:
    """An owner of the demo."""

    name: str
    home: Path
    files: list[Path]
    device: Account
    paper: Paper
    entries: int = 0
    refused: int = 0
    segments: int = 0
    zone: str = "UTC"

    @property
    def recording(self) -> str:
        return ", ".join(path.name for path in self.files)


def shipped(name: str) -> Path:
    """A folder that ships beside the package: in an installation inside it, in a checkout at its place there.

    Raises:
        DeviceError: ``shipped-missing``.
    """
    package = Path(waykeep.__file__).parent
    places = {"recordings": "tests/vectors/emission", "algorithms": "algorithms"}
    for folder in (package / "shipped" / name, package.parents[1] / places[name]):
        if folder.is_dir():
            return folder
    raise DeviceError("shipped-missing", f"found no shipped {name}", hint="run from a checkout, or give --recordings")


def group(folder: Path) -> list[list[Path]]:
    """Recordings of a folder by the person who made them, most files first; two groups at least, one for each owner.

    Raises:
        DeviceError: ``recordings-missing``.
    """
    by_user: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.json")):
        by_user.setdefault(str(_user(path)), []).append(path)
    groups = sorted(by_user.values(), key=lambda files: (-len(files), files[0].name))
    if not groups:
        raise DeviceError("recordings-missing", "found no recordings (*.json) in the folder")
    if len(groups) == 1:  # one person's dumps: the second owner gets the later ones, or the same
        files = groups[0]
        groups = [files[: (len(files) + 1) // 2], files[(len(files) + 1) // 2 :] or files]
    return groups[:2]


def _user(path: Path) -> uuid.UUID | None:
    try:
        return uuid.UUID(json.loads(path.read_bytes())[0]["user_id"]["$uuid"])
    except (ValueError, LookupError, TypeError):
        return None


def settle(stage: Stage, host_url: str, name: str, files: list[Path], home: Path) -> Person:
    """Make an owner on a device of their own, whose trust is this installation's own code and software root."""
    folder, lock = Folder(home), KeyFile(home.with_suffix(".key"), create=True)
    trust = Trust({"insecure": stage.root}, reference_values(), default_policy(shared_uid=not stage.own_uids))
    paper = account.create(folder, lambda made: Profile(made.owner, host_url, trust), lock, f"{name}'s phone")
    return Person(name, home, files, Account(folder, lock), paper)


def import_recordings(person: Person) -> list[Refusal]:
    """Import a person's recordings into the outbox; what was refused."""
    refused: list[Refusal] = []
    for path in person.files:
        found = emission.read(path.read_bytes())
        person.entries += sum(found.kept.values())
        refused += found.refused
        person.segments += person.device.queue(found.tables, "imported")
        zones = [z for t in found.tables.values() for z in t.column("zone").to_pylist()[:1] if z]
        person.zone = zones[0] if zones else person.zone
    person.refused = len(refused)
    return refused


def canaries(person: Person) -> list[Canary]:
    """What must be found nowhere at the host: places, the phone's user ids, and every secret of this owner."""
    found: list[Canary] = []
    for path in person.files:
        track = [_place(entry) for entry in json.loads(path.read_bytes()) if _located(entry)]
        found += track_canaries(f"{person.name}, {path.name}", track, 6)
        user = _user(path)
        found += [user_id_canary(f"{person.name}, user id", user)] if user else []
    secrets = load(person.device.folder.keystore, KeyFile(person.home.with_suffix(".key")))
    seeds = {
        "authority": secrets.authority,
        "control": secrets.control,
        "device": secrets.device,
        "writer": secrets.writer,
    }
    found += [secret_canary(f"{person.name}, {what} key", seed) for what, seed in seeds.items()]
    identities = {"log": secrets.logs[-1], "queue": secrets.queue, "opening": person.paper.opening}
    identities |= {f"epoch {number}": text for number, text in secrets.epochs.items()}
    found += [age_identity_canary(f"{person.name}, {what} secret", text) for what, text in identities.items()]
    return [*found, secret_canary(f"{person.name}, rotating secret", person.paper.rotating.encode())]


def _located(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("data"), dict) and "latitude" in entry["data"]


def _place(entry: dict[str, dict[str, float]]) -> Place:
    return Place.from_degrees(entry["data"]["latitude"], entry["data"]["longitude"])
