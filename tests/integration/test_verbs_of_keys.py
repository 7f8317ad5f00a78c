"""The verbs of keys, witness, grants, sleep and resume as people and programs run them.

Each is a process: its JSON has the shape that is asserted here, its refusals an exit code and a hint, and no secret is
printed but where the verb is for that.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support import algorithms
from tests.support.between import PASS, Said, between
from tests.support.fixtures import Owners
from tests.support.identities import choose, upload
from tests.support.people import Person, unchanged
from tests.support.program import waykeep
from tests.support.stages import ROOT, Watched
from tests.support.witness import Witness, running_witness
from waykeep.attestation import insecure
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import WAIVER
from waykeep.device import holder, keystore
from waykeep.device.keystore import KeyFile, Secrets
from waykeep.device.profile import Folder
from waykeep.errors import HostError
from waykeep.formats import agefile, problem
from waykeep.formats.ids import b64, numbered

SHARED = () if ROOT else ("--shared-uid",)
DEVICE, AUTHORITY, FORMAT, CHANNEL, WITNESS = 18, 12, 10, 14, 20
"""Exit codes of the rooms that refuse."""


class Shell:
    """A device's command line. What it prints is searched for the device's secrets."""

    def __init__(self, home: Path, key_file: Path) -> None:
        self.home, self.key_file = home, key_file
        self.options = ("--home", str(home), "--key-file", str(key_file))

    def say(self, *arguments: str) -> str:
        """What a verb prints for people, whatever the width of their terminal."""
        found = waykeep(*arguments, *self.options)
        self._keeps_secrets(found.stdout, found.stderr)
        return " ".join(found.stdout.split())

    def json(self, *arguments: str) -> Any:
        """What a verb prints for programs: one document, and nothing on standard error."""
        found = waykeep(*arguments, *self.options, "--json")
        assert found.stderr == ""
        self._keeps_secrets(found.stdout)
        return json.loads(found.stdout)

    def refusal(self, *arguments: str, code: int = DEVICE) -> str:
        """The rule by which a verb refuses, which it must say the same for people and for programs."""
        said = waykeep(*arguments, *self.options, code=code)
        (error,) = (line for line in said.stderr.splitlines() if line.startswith("error: "))
        rule = error.split(": ")[1]
        told = waykeep(*arguments, *self.options, "--json", code=code)
        found = problem.decode(told.stderr.splitlines()[-1].encode())
        assert found.rule == rule and bool(found.hint) == ("\nhint: " in said.stderr), (said.stderr, told.stderr)
        assert "Traceback" not in said.stderr
        self._keeps_secrets(said.stdout, said.stderr, told.stdout, told.stderr)
        return rule

    def at_a_terminal(self, *arguments: str, answer: str, code: int) -> tuple[str, str]:
        """A verb whose question somebody answers; what it prints."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, f"{answer}\n".encode())
            found = subprocess.run(
                [sys.executable, "-I", "-m", "waykeep", *arguments, *self.options],
                stdin=theirs,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            )
        finally:
            os.close(ours)
            os.close(theirs)
        assert found.returncode == code, (found.stdout, found.stderr)
        self._keeps_secrets(found.stdout, found.stderr)
        return " ".join(found.stdout.split()), found.stderr

    def disagrees(self, *arguments: str) -> str:
        """A verb that somebody reads and says no to, in each way; what it shows."""
        shown = ""
        for answer in ("n", "", "yessir"):
            shown, error = self.at_a_terminal(*arguments, answer=answer, code=DEVICE)
            assert "error: not-agreed: " in error
        return shown

    def secrets(self) -> Secrets | None:
        folder = Folder(self.home)
        return keystore.load(folder.keystore, KeyFile(self.key_file)) if folder.keystore.exists() else None

    def _keeps_secrets(self, *texts: str) -> None:
        kept = self.secrets()
        if kept is None:
            return
        seeds = [kept.authority, kept.control, kept.device, kept.writer, *kept.controls.values()]
        words = [*kept.logs, kept.queue, *kept.epochs.values(), self.key_file.read_text().strip()]
        words += [form for seed in seeds if seed for form in (seed.hex(), b64(seed))]
        for text in texts:
            assert not any(word in text for word in words if word)


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


@pytest.fixture(scope="module")
def other(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20, name="other-witness") as found:
        yield found


@pytest.fixture
def shell(owner: Person) -> Shell:
    return Shell(owner.folder.path, owner.key_file)


@pytest.fixture
def second(owner: Person, tmp_path: Path) -> Shell:
    """A machine on which there is nothing of the owner yet."""
    return Shell(tmp_path / "second", tmp_path / "second.key")


def there(person: Person) -> tuple[str, ...]:
    """What says which owner at which host, and what root is trusted."""
    root = f"--trust-insecure-root={person.stage.root}"
    return ("--host", person.stage.host_url, "--owner", person.owner, root, *SHARED)


def enrolled(person: Person, second: Shell) -> str:
    line: str = second.json("keys", "enroll", *there(person), "--name", "tablet")["request"]
    return line


# -- keys --------------------------------------------------------------------------------------------------------------


def test_keys_list_and_rotate(shell: Shell, owner: Person) -> None:
    assert shell.json("keys", "rotate") == {"epoch": 2}
    assert shell.say("keys", "rotate").startswith("Epoch 3 began.")
    lines = shell.json("keys", "list")
    assert all(set(line) == {"kind", "key", "name", "in_force", "here", "until_ms"} for line in lines)
    epochs = [(line["key"], line["in_force"], line["here"]) for line in lines if line["kind"] == "epoch"]
    assert epochs == [("1", False, True), ("2", False, True), ("3", True, True)]
    (device,) = (line for line in lines if line["kind"] == "device")
    assert (device["key"], device["in_force"], device["here"]) == (owner.secrets.device_key.public, True, True)
    (authority,) = (line for line in lines if line["kind"] == "authority")
    assert authority["here"]
    said = shell.say("keys", "list")
    assert said.startswith("kind name in force secret here expires (UTC) key authority 0 rotations yes yes")


def test_keys_enroll_add_and_revoke(shell: Shell, second: Shell, owner: Person) -> None:
    line = enrolled(owner, second)
    assert second.json("keys", "enroll") == {"request": line}, "again it is the same line"
    assert line in second.say("keys", "enroll")
    assert second.refusal("keys", "enroll", "--finish") == "device-not-added"
    assert second.refusal("status") == "device-not-added"

    with unchanged(owner):
        assert shell.refusal("keys", "add", line[:-1]) == "enrolment-malformed"
        shown = shell.disagrees("keys", "add", line)
    key = SigningKey(second_secrets(second).device).public
    assert f"A device “tablet” with key {key} asks to read everything of yours" in shown
    added = shell.json("keys", "add", line)
    assert (set(added), added["device"]) == ({"number", "device"}, key)
    assert f"Added, as entry {added['number']} of your log." in shell.say("keys", "add", line, "--yes")

    finished = second.json("keys", "enroll", "--finish")
    assert set(finished) == {"owner", "owner_head"} and finished["owner"] == owner.owner
    assert second.say("keys", "enroll", "--finish").startswith(f"This is a device of {owner.owner} now;")
    assert second.json("status")["cloud"]["owner"] == owner.owner
    assert second.refusal("keys", "rotate") == "authority-missing"

    assert shell.refusal("keys", "revoke", "nobody") == "key-unknown"
    assert shell.refusal("keys", "revoke", owner.secrets.device_key.public[:12]) == "key-own"
    done = shell.json("keys", "revoke", "tablet")
    assert done == {"number": done["number"], "key": key, "state_keys_retired": 0}
    assert second.refusal("status") == "device-revoked"
    assert second.refusal("keys", "list") == "device-revoked"
    assert "Revoked, as entry" in shell.say("keys", "revoke", "importer on tablet")


def second_secrets(second: Shell) -> Secrets:
    found = second.secrets()
    assert found is not None
    return found


def test_a_device_with_the_authority_is_added_on_purpose(shell: Shell, second: Shell, owner: Person) -> None:
    shell.json("keys", "add", enrolled(owner, second), "--with-authority")
    second.json("keys", "enroll", "--finish")
    assert second.json("keys", "rotate") == {"epoch": 2}
    revoked = second.say("keys", "revoke", owner.secrets.device_key.public)
    assert revoked.startswith("Revoked, as entry ")
    assert shell.refusal("keys", "rotate") == "device-revoked"


def test_a_revocation_goes_to_the_witness_alone_where_the_host_does_not_take_it(
    shell: Shell, second: Shell, owner: Person, witness: Witness
) -> None:
    with owner.account() as device:
        upload(device)
        choose(device, witness)
    shell.json("keys", "add", enrolled(owner, second))
    second.json("keys", "enroll", "--finish")

    def rule(count: int, method: str, path: str) -> Said:
        full = HostError("store-full", "found no space", status=507)
        return full if method == "PUT" and "/owner-log/" in path else PASS

    with between(owner.stage.host_url) as host:
        host.rule = rule
        owner.account(host.url).close()
        with unchanged(owner):
            done = shell.json("keys", "revoke", "tablet")
        assert (done["number"], done["state_keys_retired"]) == (None, 1)
    # It waited: the next command that reaches the host brings it into the log.
    owner.account(owner.stage.host_url).close()
    shell.json("keys", "list")
    assert second.refusal("status") == "device-revoked"


def test_a_revocation_stops_all_spends_at_once_where_that_is_asked_for(
    shell: Shell, second: Shell, owner: Person, witness: Witness
) -> None:
    with owner.account() as device:
        upload(device)
        choose(device, witness)
    shell.json("keys", "add", enrolled(owner, second))
    done = shell.json("keys", "revoke", "tablet", "--at-witness")
    assert done["number"] is not None and done["state_keys_retired"] >= 1
    with owner.account() as device:
        assert device.witness.connected(device.log()).read().held.state_keys == ()


@pytest.mark.parametrize(
    ("arguments", "rule", "code"),
    [
        (("--host", "ftp://x"), "host-address-malformed", DEVICE),
        (("--owner", "x"), "owner-id-malformed", FORMAT),
        (("--trust-insecure-root", "x"), "public-key-malformed", FORMAT),
    ],
)
@pytest.mark.parametrize("verb", ["enroll", "recover"])
def test_enroll_and_recover_of_nobody(
    verb: str, arguments: tuple[str, str], rule: str, code: int, second: Shell, owner: Person
) -> None:
    option, value = arguments
    given = {"--host": owner.stage.host_url, "--owner": owner.owner, "--trust-insecure-root": owner.stage.root}
    options = [f"{name}={text}" for name, text in (given | {option: value}).items()]
    assert second.refusal("keys", verb, *options, *SHARED, code=code) == rule
    assert not second.home.exists() and not second.key_file.exists()


def test_keys_export_is_the_one_verb_that_prints_a_key(shell: Shell, owner: Person) -> None:
    found = waykeep("keys", "export", "1", *shell.options, "--json")
    assert json.loads(found.stdout) == {"epoch": 1, "secret": owner.secrets.epochs["1"]}


# -- recovery ----------------------------------------------------------------------------------------------------------


def test_keys_recover(shell: Shell, second: Shell, owner: Person, tmp_path: Path) -> None:
    with owner.account() as device:
        upload(device)
    paper = tmp_path / "paper"
    assert second.refusal("keys", "recover", *there(owner)) == "paper-needed"
    opening, rotating = owner.paper.opening, owner.paper.rotating
    for text in ("", opening, f"{opening}\n{opening}\n{rotating}", f"{opening}\nWAYKEEP-OTHER", "\n\n"):
        paper.write_text(text)
        assert second.refusal("keys", "recover", *there(owner), "--secrets-file", str(paper)) == "paper-malformed"
    assert not second.home.exists() and not second.key_file.exists()
    assert second.refusal("keys", "recover", *there(owner), "--secrets-file", str(tmp_path / "x")) == "file-unreadable"

    paper.write_text(f"  {rotating}\n\n{opening}\n")  # in any order
    found = waykeep("keys", "recover", *there(owner), "--secrets-file", str(paper), *second.options, "--json")
    new = json.loads(found.stdout)
    assert set(new) == {"opening_secret", "rotating_secret"}
    assert {opening, rotating}.isdisjoint(new.values())
    assert second.json("status")["cloud"]["streams"][0]["rows"] == 10
    assert second.json("keys", "list")[0]["name"] == "1 rotations"
    assert shell.refusal("status") == "device-revoked"

    # The old paper is void, also on another machine; the new one takes the id back in its turn.
    third = Shell(tmp_path / "third", tmp_path / "third.key")
    assert third.refusal("keys", "recover", *there(owner), "--secrets-file", str(paper)) == "paper-used"
    paper.write_text("\n".join(new.values()))
    said = waykeep("keys", "recover", *there(owner), "--secrets-file", str(paper), *third.options).stdout
    assert "Write both down, now;" in said
    assert "The id is yours again, as entry" in said and said.count("AGE-SECRET-KEY-") == 1
    assert second.refusal("status") == "device-revoked"


def test_a_recovery_whose_paper_was_not_written_down_changes_nothing(
    second: Shell, owner: Person, tmp_path: Path
) -> None:
    paper = tmp_path / "paper"
    paper.write_text(f"{owner.paper.opening}\n{owner.paper.rotating}")
    with unchanged(owner):
        shown = second.disagrees("keys", "recover", *there(owner), "--secrets-file", str(paper))
    assert "AGE-SECRET-KEY-1" in shown and owner.paper.opening not in shown
    assert not Folder(second.home).keystore.exists()
    waykeep("keys", "recover", *there(owner), "--secrets-file", str(paper), *second.options, "--json")
    assert second.json("status")["cloud"]["owner"] == owner.owner


# -- nodes, sleep ------------------------------------------------------------------------------------------------------


def test_keys_nodes(shell: Shell) -> None:
    shell.json("status")
    (first,) = shell.json("keys", "nodes", "list")
    assert first["name"] == "the first node"
    recipient = agefile.generate()[1]
    number = shell.json("keys", "nodes", "approve", recipient, "--name", "cellar")["number"]
    assert shell.json("keys", "nodes", "approve", recipient, "--name", "cellar") == {"number": number}
    assert f"cellar {recipient}" in shell.say("keys", "nodes", "list")
    assert shell.refusal("keys", "nodes", "approve", "age1x", code=FORMAT) == "recipient-malformed"
    said = shell.say("keys", "nodes", "withdraw", recipient)
    assert said == f"It is withdrawn, and the state keys are retired. (entry {number + 1} of your log)"
    assert shell.refusal("keys", "nodes", "withdraw", recipient, code=AUTHORITY) == "log-unknown"
    assert [node["name"] for node in shell.json("keys", "nodes", "list")] == ["the first node"]


def test_suspend(shell: Shell, owner: Person) -> None:
    done = shell.json("suspend")
    assert set(done) == {"journal", "wakes"} and done["wakes"]
    assert shell.say("suspend") == "Your user cloud has stopped; the next request wakes it."
    assert not shell.json("suspend", "--forget")["wakes"]
    assert list(owner.path("sealed", "").iterdir()) == []
    assert shell.say("suspend", "--forget").endswith("only a device of yours can start it again.")
    assert shell.json("status")["cloud"]["owner"] == owner.owner


# -- resume ------------------------------------------------------------------------------------------------------------


def test_resume(shell: Shell, owner: Person) -> None:
    with owner.account() as device:
        for step in range(3):
            upload(device, step)
    with unchanged(owner):
        assert shell.refusal("resume") == "resume-not-needed"
    shell.json("suspend", "--forget")
    for name in ("journal", "snapshots"):
        newest = sorted(owner.path(name, "").iterdir())[-1:]
        for path in newest:
            path.unlink()
    assert shell.refusal("status") == "journal-rewound"
    shown = shell.disagrees("resume")
    assert shown.startswith("The host shows records up to 1 of your journal. Records 2 to 2 are missing:")
    done = shell.json("resume")
    assert set(done) == {"number", "gap", "missing"} and done["missing"] == [2, 2]
    assert done["gap"]["left"]["number"] == 1 and not done["gap"]["forked"]
    assert shell.refusal("resume") == "resume-not-needed"
    assert shell.json("status")["cloud"]["streams"][0]["rows"] == 20


# -- witness -----------------------------------------------------------------------------------------------------------


def test_witness_use_move_and_stop(
    shell: Shell, owner: Person, witness: Witness, other: Witness, tmp_path: Path
) -> None:
    with owner.account() as device:
        upload(device)
    token, file = witness.tokens.pop(), tmp_path / "token"
    use = ("witness", "use", witness.url, f"--key={witness.key}")
    with unchanged(owner):
        assert shell.refusal(*use) == "token-needed"
        assert shell.refusal(*use, "--token-file", "-") == "token-needed"  # standard input is empty
        file.write_text(" \n")
        assert shell.refusal(*use, "--token-file", str(file)) == "token-needed"
        file.write_text(f"{token}\n")
        assert shell.refusal(*use, "--token-file", str(file), f"--token={token}") == "token-needed"
        assert shell.refusal(*use, "--token=made-up", code=WITNESS) == "witness-token"
        another = f"--key={SigningKey(bytes(32)).public}"
        wrong = ("witness", "use", witness.url, another, "--token-file", str(file))
        assert shell.refusal(*wrong) == "witness-key-mismatch"
        gone = ("witness", "use", "http://127.0.0.1:1", "--token-file", str(file))
        assert shell.refusal(*gone, code=CHANNEL) == "witness-unreachable"
        shown = shell.disagrees(*use, "--token-file", str(file))
        assert f"Its key: {witness.key}" in shown and "It is one party" in shown
    made = shell.json(*use, "--token-file", str(file))
    assert made == {"number": made["number"], "key": witness.key, "url": witness.url}
    said = shell.say(*use, "--token-file", str(file))
    assert f"(entry {made['number']} of your log)" in said and token not in said
    assert shell.refusal("witness", "use", other.url, f"--token={other.tokens[-1]}") == "witness-in-use"

    # The next one takes its token from standard input, where nobody looks.
    moved = subprocess.run(
        [sys.executable, "-I", "-m", "waykeep", "witness", "move", other.url, "--token-file", "-", *shell.options],
        input=f"{other.tokens.pop()}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    ).stdout
    assert f"Your witness is {other.key} at {other.url} (entry {made['number'] + 1} of your log)." in moved
    (line,) = (line for line in shell.json("keys", "list") if line["kind"] == "witness")
    assert (line["key"], line["name"]) == (other.key, other.url)

    assert shell.json("witness", "stop") == {"state_keys_retired": 1}
    assert shell.say("witness", "stop").startswith("1 state keys were retired at your witness: nothing is spent")
    with owner.account() as device:
        upload(device, 1)  # with a new one


def test_witness_verbs_without_a_witness(shell: Shell, owner: Person, other: Witness) -> None:
    with unchanged(owner):
        assert shell.refusal("witness", "stop", code=AUTHORITY) == "witness-missing"
        assert shell.refusal("witness", "move", other.url, f"--token={other.tokens[-1]}") == "witness-missing"


def test_a_dead_witness_is_left_with_open_eyes(shell: Shell, owner: Person, stage: Watched, other: Witness) -> None:
    with running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as dead, owner.account() as device:
        choose(device, dead)
    move = ("witness", "move", other.url, f"--token={other.tokens.pop()}")
    assert shell.refusal(*move, code=CHANNEL) == "witness-unreachable"
    shown = shell.disagrees(*move, "--old-is-dead")
    assert "all 0 grants in force count as used up" in shown
    assert shell.json(*move, "--old-is-dead")["key"] == other.key


def test_witness_waive_takes_the_owner_s_word(shell: Shell, owner: Person) -> None:
    with unchanged(owner):
        assert shell.refusal("witness", "waive") == "not-agreed"
        assert WAIVER in shell.disagrees("witness", "waive")
    done = shell.json("witness", "waive", "--accept")
    assert done == {"number": done["number"], "words": WAIVER}
    said = shell.say("witness", "waive", "--accept")
    assert said == f"{WAIVER} You accepted that, as entry {done['number']} of your log."


def test_witness_waive_at_a_terminal(shell: Shell) -> None:
    shown, _ = shell.at_a_terminal("witness", "waive", answer="yes", code=0)
    assert "You accepted that, as entry" in shown


# -- grants ------------------------------------------------------------------------------------------------------------


def test_grants_as_their_owner_and_their_holder_run_them(
    shell: Shell, owner: Person, stage: Watched, tmp_path: Path
) -> None:
    file, ticket = tmp_path / "study.key", tmp_path / "study.ticket"
    said = waykeep("grant", "key", "--file", str(file)).stdout
    made = holder.load(file)
    assert said.split() == ["holder:", made.signer.public, "recipient:", made.recipient]
    assert made.identity not in said and b64(made.seed) not in said
    found, archive = algorithms.slow()
    with owner.account() as device:
        upload(device)
        device.host.put_bundle(found.digest, archive)
    to = (f"--holder={made.signer.public}", "--recipient", made.recipient, "--until", "2090-01-01")
    give = ("grant", "give", found.digest, *to)
    with unchanged(owner):
        assert shell.refusal(*give, "--runs", "0") == "runs-malformed"
        assert shell.refusal("grant", "give", found.digest, *to[:2], "age1x", *to[3:], "--runs=1", code=FORMAT) == (
            "recipient-malformed"
        )
        assert shell.refusal("grant", "give", found.digest, *to[:3], "--runs=1") == "until-missing"
        assert "Grant it to this key, 2 times?" in shell.disagrees(*give, "--runs", "2")
    give = (*give, "--deadline", "1500ms", "-o", str(ticket))
    said = shell.say(*give, "--runs", "2")
    assert "2 times in all, until 2090-01-01 UTC" in said and "No run is done without a witness" in said
    done = shell.json(*give, "--runs", "2")
    assert (set(done), done["grant"]["runs"]) == ({"number", "grant"}, 2)
    assert str(done["number"]) in said, "said twice it is one grant"

    (root,) = (text for text in there(owner) if "root" in text)
    use = ("grant", "use", str(ticket), "--file", str(file), root, *(t for t in there(owner) if t == "--shared-uid"))
    refusal = waykeep(*use, "--json", code=AUTHORITY)
    assert problem.decode(refusal.stderr.encode()).rule == "witness-missing" and refusal.stdout == ""
    none = [str(tmp_path / "none") if text == str(file) else text for text in use]
    missing = waykeep(*none, "--json", code=DEVICE)
    assert problem.decode(missing.stderr.encode()).rule == "holder-key-missing"

    with running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as witness:
        with owner.account() as device:
            choose(device, witness)
        result = waykeep(*use, "--json")
        assert set(json.loads(result.stdout)) == {"rows", "tables", "receipt", "epochs_missing"}
        assert made.identity not in result.stdout and b64(made.seed) not in result.stdout
        assert waykeep(*use).stderr.startswith(insecure.WARNING)
        (line,) = shell.json("grant", "list")["grants"]
        assert set(line) == {"number", "grant", "ended", "used", "used_bits"}
        assert (line["used"], line["ended"]) == (2, "") and line["used_bits"] == line["grant"]["bits"]
        spent = waykeep(*use, "--json", code=AUTHORITY)
        assert problem.decode(spent.stderr.encode()).rule == "runs-used-up"
    # The witness is down: the entry is in the log, and whoever took the grant back knows what that is worth.
    told = waykeep("grant", "revoke", str(done["number"]), *shell.options, "--json", code=DEVICE)
    gone = json.loads(told.stdout)
    assert (gone["refusal"], gone["retired"]) == ("witness-unreachable", 0) and gone["number"] > done["number"]
    warning, refusal_line = told.stderr.splitlines()
    assert "witness-unreachable" in json.loads(warning)["warning"]
    refused = problem.decode(refusal_line.encode())
    assert refused.rule == "witness-not-told" and "a host that hides the entry could still spend" in refused.hint
    assert shell.refusal("grant", "revoke", str(done["number"]), code=AUTHORITY) == "log-unknown"
    assert "withdrawn" in shell.say("grant", "list")


# -- audit -------------------------------------------------------------------------------------------------------------


def test_audit_verify(shell: Shell, owner: Person) -> None:
    with owner.account() as device:
        for step in range(2):
            upload(device, step)
    found = shell.json("audit", "--verify")
    assert found == {"entries": 7, "records": 2, "receipts": 0, "findings": []}
    assert shell.say("audit", "--verify").endswith("All is as it was signed, and nothing is missing that was seen.")
    owner.path("journal", f"{numbered(1)}.age").unlink()
    words = "This device has seen record 1 of your journal; the host shows up to record 0."
    told = waykeep("audit", "--verify", *shell.options, "--json", code=DEVICE)
    assert json.loads(told.stdout)["findings"] == [{"rule": "audit-rollback", "words": words}]
    assert shell.refusal("audit", "--verify") == "audit-rollback"
    said = waykeep("audit", "--verify", *shell.options, code=DEVICE)
    assert f"audit-rollback: {words}" in said.stdout and "waykeep resume" in said.stderr


def test_audit_says_what_verify_does_not(shell: Shell, owner: Person, owners: Owners) -> None:
    """Each owner their own: nothing of another's is in it."""
    neighbour = owners()
    shell.json("keys", "rotate")
    said = shell.say("audit")
    assert "Epoch 2 began" in said and neighbour.owner not in said
    heads = msgspec.structs.replace(owner.folder.heads(), journal=None)
    owner.folder.save_heads(heads)
    assert shell.json("audit", "--verify")["findings"] == []
