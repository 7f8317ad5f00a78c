"""Every verb as a user runs it: a process, its words and its JSON, and what it says when it refuses."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import algorithms
from tests.support.people import DAY_MS, SOME_DAY_MS, Person, points, unchanged
from tests.support.program import waykeep
from tests.support.rogue import rogue_host
from tests.support.stages import ROOT, Watched, kill
from waykeep.attestation import insecure
from waykeep.authority import keys
from waykeep.cli import output
from waykeep.demo.stage import free_port
from waykeep.formats import problem
from waykeep.formats.ids import b64, numbered
from waykeep.formats.messages import Address

RECORDINGS = Path(__file__).parents[1] / "vectors" / "emission"
WINDOW = ("--from", "2016-06-20", "--to", "2016-06-22")


class Shell:
    """An owner's command line."""

    def __init__(self, owner: Person) -> None:
        self._options = ("--home", str(owner.folder.path), "--key-file", str(owner.key_file))

    def say(self, *arguments: str, code: int = 0) -> str:
        """What a verb prints for people, whatever the width of their terminal; in a refusal lines stay lines.

        Each verb must first say what the platform is, on standard error.
        """
        found = waykeep(*arguments, *self._options, code=code)
        warned, _, rest = found.stderr.partition("\n")
        assert warned == insecure.WARNING, found.stderr
        return rest if code else " ".join(found.stdout.split())

    def json(self, *arguments: str) -> Any:
        """What a verb prints for programs; its standard output is one document and nothing else."""
        found = waykeep(*arguments, *self._options, "--json")
        assert found.stderr == ""
        return json.loads(found.stdout)


@pytest.fixture
def shell(owner: Person) -> Shell:
    return Shell(owner)


# -- init --------------------------------------------------------------------------------------------------------------


def init(stage: Watched, home: Path, *more: str, host: str = "", root: str = "", code: int = 0) -> Any:
    return waykeep(
        *("init", "--host", host or stage.host_url, "--trust-insecure-root", root or stage.root),
        *("--home", str(home), *more),
        code=code,
    )


def test_init_shows_the_two_recovery_secrets_once_and_says_what_the_platform_is(stage: Watched, tmp_path: Path) -> None:
    home, key = tmp_path / "home", ("--key-file", str(tmp_path / "key"))
    made = init(stage, home, *key, "--json")
    shown = json.loads(made.stdout)
    assert shown["opening_secret"].startswith("AGE-SECRET-KEY-1")
    assert len(keys.rotating_secret(shown["rotating_secret"])) == 32
    assert "its operator can read your data" in made.stderr
    assert (stage.store / "owners" / shown["owner"] / "access" / numbered(1)).exists()
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert shown["opening_secret"].encode() not in kept
    assert {path.stat().st_mode & 0o077 for path in home.rglob("*")} == {0}

    # Again in the same folder: refused, and the owner there is as they were.
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    again = init(stage, home, *key, code=18)
    assert again.stderr.startswith("error: folder-in-use:") and "\nhint: " in again.stderr
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_init_for_people_with_a_passphrase(stage: Watched, tmp_path: Path) -> None:
    home, words = tmp_path / "home", tmp_path / "words"
    words.write_text("four words on paper\n")
    said = init(stage, home, "--passphrase-file", str(words)).stdout
    assert "Write these two on paper, now." in said
    assert "AGE-SECRET-KEY-1" in said and "WAYKEEP-ROTATE-1-" in said
    words.write_text("four other words\n")
    refusal = waykeep("status", "--home", str(home), "--passphrase-file", str(words), code=18).stderr
    assert refusal.startswith(f"{insecure.WARNING}\nerror: keystore-locked:")


def test_init_that_no_host_takes_leaves_nothing_and_may_be_repeated(stage: Watched, tmp_path: Path) -> None:
    home, key = tmp_path / "home", ("--key-file", str(tmp_path / "key"))
    gone = f"http://127.0.0.1:{free_port()}"
    assert init(stage, home, *key, host=gone, code=19).stderr.startswith("error: host-unreachable:")
    assert list(tmp_path.iterdir()) == []
    init(stage, home, *key)
    kept = (tmp_path / "key").read_bytes()
    assert init(stage, tmp_path / "other", *key, host=gone, code=19).stderr.startswith("error: host-unreachable:")
    assert (tmp_path / "key").read_bytes() == kept


def test_init_with_a_root_that_begins_with_a_hyphen(stage: Watched, tmp_path: Path) -> None:
    """One public key in 64 does."""
    root = "-" + b64(bytes(32))[1:]
    init(stage, tmp_path / "home", "--key-file", str(tmp_path / "key"), root=root)


def test_init_with_a_root_that_is_no_key(stage: Watched, tmp_path: Path) -> None:
    key = ("--key-file", str(tmp_path / "key"))
    assert init(stage, tmp_path / "home", *key, root="x", code=10).stderr.startswith("error: public-key-malformed:")
    assert not (tmp_path / "home").exists()


# -- data --------------------------------------------------------------------------------------------------------------


def test_import_upload_status_and_audit(shell: Shell, owner: Person) -> None:
    gabe, iphone = (str(RECORDINGS / f"{name}.json") for name in ("gabe_2016-06-15", "iphone_3_2016-02-22"))
    (first,) = shell.json("import", gabe)
    assert first["file"] == "gabe_2016-06-15.json"
    (impossible,) = [refusal for refusal in first["refused"] if refusal["rule"] == "time-impossible"]
    assert impossible["key"] == "background/location" and impossible["reason"]
    said = shell.say("import", iphone)
    assert "entries kept, in" in said and "motion-activity" in said
    waiting = len(owner.waiting())

    uploaded = shell.json("upload")
    assert sorted(uploaded["outcome"].values()) == ["accepted"] * waiting
    assert shell.say("upload") == "0 segments accepted with 0 new rows; 0 were known already."
    with unchanged(owner):
        shell.say("import", gabe)
        assert shell.say("upload").startswith("0 segments accepted with 0 new rows; ")

    status = shell.json("status")
    assert sum(line["rows"] for line in status["cloud"]["streams"]) == uploaded["rows_new"]
    assert status["waiting"] == 0 and status["appraised"]["platform"] == "insecure"
    assert f"owner {owner.owner}, on platform insecure; 0 segments wait" in shell.say("status")

    lines = shell.json("audit")
    assert [line["chain"] for line in lines] == ["owner log"] * 7 + ["journal"]
    said = shell.say("audit")
    assert "Every signature, chain and receipt in these logs was checked" in said


def test_import_of_what_is_no_recording(shell: Shell, owner: Person, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not JSON")
    with unchanged(owner):
        assert shell.say("import", str(tmp_path / "text"), code=18).startswith("error: recording-not-json:")
        assert shell.say("import", str(tmp_path / "missing"), code=18).startswith("error: file-unreadable:")
        assert owner.waiting() == []


# -- algorithms --------------------------------------------------------------------------------------------------------


def test_pack_publish_show_approve_run_and_the_receipt(shell: Shell, owner: Person, tmp_path: Path) -> None:
    host, packed = ("--host", owner.stage.host_url), str(tmp_path / "trips.tar")
    shell.say("import", str(RECORDINGS / "shankari_2016-06-20.json"))
    shell.say("upload")

    made = json.loads(waykeep("algo", "pack", str(algorithms.SHIPPED / "trips"), "-o", packed, "--json").stdout)
    digest = made["digest"]
    assert digest == algorithms.shipped("trips")[0].digest
    assert waykeep("algo", "pack", str(algorithms.SHIPPED / "trips"), "-o", packed).stdout.startswith(digest)
    assert json.loads(waykeep("algo", "publish", packed, *host, "--json").stdout) == {"digest": digest}
    assert digest in waykeep("algo", "publish", packed, *host).stdout
    described = waykeep("algo", "show", digest, *host).stdout
    assert "Finds the places where you stayed" in described and "filtered-location" in described
    assert json.loads(waykeep("algo", "show", digest, *host, "--json").stdout)["digest"] == digest

    with unchanged(owner):
        assert shell.say("run", digest, code=12).startswith("error: algorithm-not-approved:")
    approved = shell.json("approve", digest, *WINDOW, "--store", "trips")
    assert approved["approval"]["store_as"] == "derived/trips"
    with unchanged(owner):
        assert shell.json("approve", digest, *WINDOW, "--store", "trips") == approved
    assert "Kept" not in shell.say("approve", digest, *WINDOW)

    result = shell.json("run", digest)
    assert result["rows"] and result["receipt"]["payloadType"] == "application/vnd.waykeep.receipt+json"
    receipt = tmp_path / "receipt"
    said = shell.say("run", digest, "--receipt", str(receipt))
    assert f"{len(result['rows'])} rows; the receipt is signed by your user cloud and fits them." in said
    assert json.loads(receipt.read_bytes())["payloadType"] == "application/vnd.waykeep.receipt+json"
    first = result["rows"][0]
    assert f"start_ms: {first['start_ms']} ({output.when(first['start_ms'])} UTC) " in said
    assert f"start_lat_e7: {first['start_lat_e7'] / 1e7:.7f}° " in said
    audit = shell.say("audit")
    assert "trips 1.0.0 read" in audit and "Its signed receipt lies in your journal." in audit

    # A receipt that has no place is refused before the run, and so is a window without a day.
    with unchanged(owner):
        for place in (tmp_path, tmp_path / "none" / "receipt", Path("/dev/null/receipt")):
            refusal = shell.say("run", digest, "--receipt", str(place), code=18)
            assert refusal.startswith("error: file-unwritable: ") and "\nhint: " in refusal
        backwards = ("--from", "2020-01-01", "--to", "2019-01-01")
        assert shell.say("run", digest, *backwards, code=18).startswith("error: window-empty:")
        assert shell.say("approve", digest, *backwards, code=18).startswith("error: window-empty:")
        other = tmp_path / "other"
        assert shell.say("run", digest, *backwards, "--receipt", str(other), code=18).startswith("error: window-empty:")
        assert not other.exists()


def test_measure_prints_what_the_receipts_and_the_appraisal_name(shell: Shell) -> None:
    values = json.loads(waykeep("measure", "--json").stdout)
    appraised = shell.json("status")["appraised"]
    assert values["supervisor"] == [appraised["supervisor_measurement"]]
    assert values["workloads"]["user-cloud"] == [appraised["measurement"]]
    assert appraised["measurement"][:20] in waykeep("measure").stdout


def test_keys_export(shell: Shell) -> None:
    exported = shell.json("keys", "export", "1")
    assert exported["secret"] == shell.say("keys", "export", "1")
    assert shell.say("keys", "export", "2", code=18).startswith("error: epoch-unknown:")


def test_options_from_the_environment(owner: Person) -> None:
    found = {"WAYKEEP_HOME": str(owner.folder.path), "WAYKEEP_KEY_FILE": str(owner.key_file)}
    assert json.loads(waykeep("status", "--json", environment=found).stdout)["cloud"]["owner"] == owner.owner


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_refusal_is_an_error_a_hint_and_an_exit_code_or_a_problem_document(tmp_path: Path) -> None:
    arguments = ("status", "--home", str(tmp_path), "--key-file", str(tmp_path / "key"))
    (tmp_path / "key").write_text("x")
    said = waykeep(*arguments, code=18)
    error, hint = said.stderr.splitlines()
    assert error.startswith("error: profile-missing: ") and hint.startswith("hint: ")
    assert said.stdout == ""
    as_json = waykeep(*arguments, "--json", code=18)
    refusal = problem.decode(as_json.stderr.encode())
    assert (refusal.family, refusal.rule, as_json.stdout) == ("device", "profile-missing", "")


def not_a_digest(owner: Person, shell: Shell, tmp_path: Path) -> str:
    return shell.say("approve", "sha256:0", code=10)


def another_root(owner: Person, shell: Shell, tmp_path: Path) -> str:
    trust = owner.trust
    trust.roots["insecure"] = b64(bytes(32))
    profile = owner.folder.profile()
    owner.folder.save_profile(type(profile)(profile.owner, profile.host, trust))
    return shell.say("status", code=11)


def not_approved(owner: Person, shell: Shell, tmp_path: Path) -> str:
    found, archive = algorithms.slow()
    with owner.account() as device:
        device.host.put_bundle(found.digest, archive)
    return shell.say("run", found.digest, code=12)


def withheld_entry(owner: Person, shell: Shell, tmp_path: Path) -> str:
    with owner.account() as device:
        newest = device.status().owner_head.number
    kill(owner.stage.cloud(owner.owner))
    owner.stage.forgets(owner.owner)
    owner.path("owner-log", numbered(newest)).unlink()
    return shell.say("status", code=13)


def no_cloud_there(owner: Person, shell: Shell, tmp_path: Path) -> str:
    with rogue_host(owner.stage.host_url) as rogue:
        rogue.wrong_cloud(Address("127.0.0.1", free_port()))
        owner.account(rogue.url).close()
        return shell.say("status", code=14)


def damaged_root(owner: Person, shell: Shell, tmp_path: Path) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "insecure-root").write_bytes(b"short")
        arguments = ("--state", name, "--store", str(folder / "store"), "--socket", str(folder / "socket"))
        return waykeep("supervisor", "serve", *arguments, code=15).stderr.partition("\n")[2]


def swapped_bundle(owner: Person, shell: Shell, tmp_path: Path) -> str:
    found, other = algorithms.slow("swapped"), algorithms.slow("other")
    with owner.account() as device:
        algorithms.approve(device, found, SOME_DAY_MS, SOME_DAY_MS + DAY_MS)
    (owner.stage.store / "bundles" / found[0].digest.removeprefix("sha256:")).write_bytes(other[1])
    return shell.say("run", found[0].digest, code=16)


def no_algorithm(owner: Person, shell: Shell, tmp_path: Path) -> str:
    return waykeep("algo", "pack", str(tmp_path), code=17).stderr


def nobody(owner: Person, shell: Shell, tmp_path: Path) -> str:
    return waykeep("status", "--home", str(tmp_path / "none"), "--key-file", str(owner.key_file), code=18).stderr


def no_such_bundle(owner: Person, shell: Shell, tmp_path: Path) -> str:
    host = ("--host", owner.stage.host_url)
    return waykeep("algo", "show", "sha256:" + "0" * 64, *host, code=19).stderr


@pytest.mark.parametrize(
    ("mistake", "rule"),
    [
        (not_a_digest, "digest-malformed"),
        (another_root, "quote-signature"),
        (not_approved, "algorithm-not-approved"),
        pytest.param(
            *(withheld_entry, "owner-log-behind"), marks=pytest.mark.skipif(not ROOT, reason="finds a cloud by its uid")
        ),
        (no_cloud_there, "unreachable"),
        (damaged_root, "root-damaged"),
        (swapped_bundle, "bundle-changed"),
        (no_algorithm, "pack-folder"),
        (nobody, "profile-missing"),
        (no_such_bundle, "bundle-unknown"),
    ],
)
def test_each_family_of_refusals_has_its_exit_code(
    mistake: Callable[[Person, Shell, Path], str], rule: str, owner: Person, shell: Shell, tmp_path: Path
) -> None:
    said = mistake(owner, shell, tmp_path)
    assert said.startswith(f"error: {rule}: "), said
    assert "Traceback" not in said


def test_what_is_no_verb_or_lacks_an_option_exits_with_2(tmp_path: Path) -> None:
    waykeep("frobnicate", code=2)
    waykeep("init", code=2)
    waykeep("status", "--home", code=2)


def test_segments_that_are_refused_stay_and_are_told(shell: Shell, owner: Person) -> None:
    """The exit code says that not everything was taken, and the reason is there for each."""
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 5)}, "signed")
    said = shell.say("upload", code=18)
    assert said.startswith("error: segments-refused:")
    assert len(owner.waiting()) == 1
