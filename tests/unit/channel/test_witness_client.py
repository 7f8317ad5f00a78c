"""A client of a witness against whatever may answer at its address: only the witness's own answer is believed."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.unit.builders import key, refused
from tests.unit.channel.answering import HELD, PATIENCE_S, TIME_MS, WITNESS, Server, answering, genuine
from waykeep.authority import dsse, keys, witnessing
from waykeep.authority.witnessing import ANSWER_TYPE, AdvanceOwner, Answer, Read
from waykeep.channel.witness import MAX_ANSWER, WitnessClient
from waykeep.errors import AuthorityError, ChannelError, FormatError, WaykeepError, WitnessError
from waykeep.formats import problem
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json

OTHER, CONTROL = key("other witness"), key("control")
PSEUDONYM = keys.key_digest(CONTROL.public)
HEAD, NEXT = Head(3, sha256(b"3")), Head(4, sha256(b"4"))
ACTION = AdvanceOwner(HEAD, NEXT)


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[WitnessClient]:
    with WitnessClient(server.url, WITNESS.public, PSEUDONYM, timeout_s=PATIENCE_S) as made:
        yield made


ASKS: list[Callable[[WitnessClient], Answer]] = [lambda c: c.read(), lambda c: c.ask(ACTION, CONTROL)]
each = pytest.mark.parametrize("ask", ASKS, ids=["read", "request"])


@each
def test_the_witnesss_own_answer_is_given(
    ask: Callable[[WitnessClient], Answer], server: Server, client: WitnessClient
) -> None:
    for _ in range(3):
        found = ask(client)
        assert (found.held, found.time_ms, found.pseudonym) == (HELD, TIME_MS, PSEUDONYM)
    assert server.connections == 1
    # A nonce of its own each time: else an answer of before would do.
    assert len({body for _, body in server.asked}) == 3


def test_the_answers_envelope_is_given_for_others_to_check(server: Server, client: WitnessClient) -> None:
    answer, envelope = client.ask_envelope(ACTION, CONTROL)
    assert decode_json(dsse.open_(envelope, ANSWER_TYPE, [WITNESS.public]).payload, Answer) == answer
    path, body = server.asked[0]
    assert path == "/v1/requests"
    found, signer = witnessing.open_request(body, WITNESS.public)
    assert (found.action, found.pseudonym, signer) == (ACTION, PSEUDONYM, CONTROL.public)


def test_an_address_with_a_slash_at_its_end_is_the_same(server: Server) -> None:
    with WitnessClient(server.url + "/", WITNESS.public, PSEUDONYM, timeout_s=PATIENCE_S) as client:
        assert client.read().held == HELD


# -- down, slow, garbage -----------------------------------------------------------------------------------------------


@each
def test_a_witness_that_is_down_is_unreachable(ask: Callable[[WitnessClient], Answer]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with WitnessClient(url, WITNESS.public, PSEUDONYM) as client, refused("witness-unreachable", ChannelError):
            ask(client)


@pytest.mark.parametrize("url", ["", "nowhere", "ftp://127.0.0.1:1", "http://", "http://127.0.0.1:0", "http://[", "ü"])
def test_an_address_that_is_none_is_unreachable(url: str) -> None:
    with (
        WitnessClient(url, WITNESS.public, PSEUDONYM, timeout_s=PATIENCE_S) as client,
        refused("witness-unreachable", ChannelError),
    ):
        client.read()


@each
def test_a_slow_witness_is_unreachable_and_is_asked_again_on_a_new_connection(
    ask: Callable[[WitnessClient], Answer], server: Server
) -> None:
    server.held_back.clear()
    with (
        WitnessClient(server.url, WITNESS.public, PSEUDONYM, timeout_s=0.05) as client,
        refused("witness-unreachable", ChannelError),
    ):
        ask(client)
    assert len(server.asked) <= 1, "what was sent is not sent twice by itself"
    server.held_back.set()
    with WitnessClient(server.url, WITNESS.public, PSEUDONYM, timeout_s=PATIENCE_S) as client:
        assert ask(client).held == HELD


def test_a_late_answer_to_the_question_before_is_not_taken_for_this_one(server: Server) -> None:
    """The connection on which it would come is given up with the question."""
    server.held_back.clear()
    with WitnessClient(server.url, WITNESS.public, PSEUDONYM, timeout_s=1.5) as client:
        with refused("witness-unreachable", ChannelError):
            client.read()
        server.held_back.set()
        assert client.read().held == HELD
    assert server.connections == 2


STARTS = [b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n"]


@pytest.mark.parametrize("start", STARTS, ids=["status", "header", "body"])
@each
def test_an_answer_that_comes_a_byte_at_a_time_is_given_up(
    ask: Callable[[WitnessClient], Answer], start: bytes
) -> None:
    """Each byte comes in time and the answer never does: it holds nobody up."""
    done, left = threading.Event(), iter(range(500))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):  # whoever asked is gone
                connection.recv(65536)
                connection.sendall(start)
                for _ in left:
                    if done.wait(0.02):
                        return
                    connection.sendall(b"x" if start else b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with WitnessClient(url, WITNESS.public, PSEUDONYM, timeout_s=0.2) as client:
            with refused("witness-unreachable", ChannelError):
                ask(client)
            assert next(left, None) is not None, "it waited to the end"
        done.set()
        thread.join()


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1", b"\x00" * 100, b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n\r"])
def test_something_that_does_not_speak_http_is_unreachable(reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            WitnessClient(
                f"http://127.0.0.1:{listening.getsockname()[1]}", WITNESS.public, PSEUDONYM, timeout_s=PATIENCE_S
            ) as client,
            refused("witness-unreachable", ChannelError),
        ):
            client.read()
        thread.join()


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"\xff" * 40, b"<html>", encode_json(HELD)], ids=repr)
@each
def test_an_answer_that_is_none_is_refused(
    ask: Callable[[WitnessClient], Answer], body: bytes, server: Server, client: WitnessClient
) -> None:
    server.reply = lambda *_: (200, body)
    with refused("malformed", FormatError):
        ask(client)


@pytest.mark.parametrize("size", [MAX_ANSWER + 1, 16 * MAX_ANSWER])
def test_an_answer_that_is_too_large_is_refused_and_not_read_to_its_end(size: int, server: Server) -> None:
    server.reply = lambda *_: (200, bytes(size))
    with WitnessClient(server.url, WITNESS.public, PSEUDONYM, timeout_s=PATIENCE_S) as client:
        with refused("witness-answer-too-large", ChannelError):
            client.read()
        server.reply = genuine
        assert client.read().held == HELD
    assert server.connections == 2


# -- somebody else's answers -------------------------------------------------------------------------------------------


@each
def test_an_answer_signed_by_another_key_is_refused(
    ask: Callable[[WitnessClient], Answer], server: Server, client: WitnessClient
) -> None:
    server.reply = lambda path, body: genuine(path, body, OTHER)
    with refused("witness-signature", AuthorityError):
        ask(client)


@each
def test_an_older_answer_is_refused(
    ask: Callable[[WitnessClient], Answer], server: Server, client: WitnessClient
) -> None:
    """Genuine, to the same question of the same owner, and replayed: what is held by now may be something else."""
    ask(client)
    recorded = genuine(*server.asked[0])
    server.reply = lambda *_: recorded
    with refused("witness-answer", AuthorityError):
        ask(client)


def test_the_answer_to_another_owner_is_refused(server: Server, client: WitnessClient) -> None:
    def of_another(path: str, body: bytes) -> tuple[int, bytes]:
        asked = msgspec.structs.replace(decode_json(body, Read), pseudonym=keys.key_digest(OTHER.public))
        return genuine(path, encode_json(asked))

    server.reply = of_another
    with refused("witness-answer", AuthorityError):
        client.read()


def test_a_request_answered_by_a_reading_under_its_nonce_is_refused(server: Server, client: WitnessClient) -> None:
    """Whoever sits between asks for a reading in place of the request, and the witness answers that truly."""

    def reading(_: str, body: bytes) -> tuple[int, bytes]:
        found, _signer = witnessing.open_request(body, WITNESS.public)
        return genuine("/v1/read", encode_json(Read(found.pseudonym, found.nonce)))

    server.reply = reading
    with refused("witness-answer", AuthorityError):
        client.ask(ACTION, CONTROL)


# -- statuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@each
def test_a_redirect_is_not_followed(
    ask: Callable[[WitnessClient], Answer], status: int, server: Server, client: WitnessClient
) -> None:
    server.reply = lambda *_: (status, b"")
    server.headers = {"location": f"{server.url}/elsewhere"}
    with refused("malformed", FormatError):
        ask(client)
    assert [path for path, _ in server.asked] in (["/v1/read"], ["/v1/requests"])


@each
def test_a_refusal_of_the_witness_is_raised_as_it_was(
    ask: Callable[[WitnessClient], Answer], server: Server, client: WitnessClient
) -> None:
    refusal = WitnessError("witness-unknown", "found a pseudonym that is not registered here", status=404)
    server.reply = lambda *_: (404, problem.encode(refusal))
    with refused("witness-unknown", WitnessError):
        ask(client)
    server.reply = genuine
    assert ask(client).held == HELD


@pytest.mark.parametrize("status", [400, 404, 500, 502])
def test_an_error_without_a_problem_document_is_refused(status: int, server: Server, client: WitnessClient) -> None:
    server.reply = lambda *_: (status, b"<html>down</html>")
    with refused("malformed", FormatError):
        client.read()


def test_a_genuine_answer_under_an_errors_status_is_no_answer(server: Server, client: WitnessClient) -> None:
    server.reply = lambda path, body: (500, genuine(path, body)[1])
    with pytest.raises(WaykeepError):
        client.read()


def test_a_refusal_that_anybody_can_forge_does_no_more_than_refuse(server: Server, client: WitnessClient) -> None:
    """Refusals are not signed: what they say is shown, cut to its length, and nothing is done for it."""
    server.reply = lambda *_: (
        403,
        problem.encode(AuthorityError("grant-withdrawn", "m" * 5000 + "\x1b[2J", status=403)),
    )
    with pytest.raises(AuthorityError) as caught:
        client.read()
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 5000
