from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from waykeep.algorithm import pipes
from waykeep.errors import AlgorithmError

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def soon() -> float:
    return time.monotonic() + 5.0


def refused(rule: str, error: pytest.ExceptionInfo[AlgorithmError]) -> None:
    assert error.value.rule == rule


def test_a_frame_arrives_whole_though_the_pipe_is_smaller(pipe: Pipe) -> None:
    body = os.urandom(3 << 20)
    writer = threading.Thread(target=pipes.write_frame, args=(pipe[1], body))
    writer.start()
    assert pipes.read_frame(pipe[0], len(body)) == body
    writer.join()


def test_a_frame_arrives_whole_with_deadlines_on_both_sides(pipe: Pipe) -> None:
    body = os.urandom(3 << 20)
    writer = threading.Thread(target=pipes.write_frame_until, args=(pipe[1], body, soon()))
    writer.start()
    assert pipes.read_frame_until(pipe[0], len(body), soon()) == body
    writer.join()


def test_frames_keep_their_order_and_their_ends(pipe: Pipe) -> None:
    for body in (b"", b"one", b"two"):
        pipes.write_frame(pipe[1], body)
    assert [bytes(pipes.read_frame(pipe[0], 3)) for _ in range(3)] == [b"", b"one", b"two"]


def test_a_frame_that_comes_byte_by_byte(pipe: Pipe) -> None:
    def trickle() -> None:
        for byte in b"\0\0\0\5hello":
            os.write(pipe[1], bytes([byte]))

    writer = threading.Thread(target=trickle)
    writer.start()
    assert pipes.read_frame_until(pipe[0], 5, soon()) == b"hello"
    writer.join()


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(pipe: Pipe) -> None:
    os.write(pipe[1], b"\xff\xff\xff\xff")
    with pytest.raises(AlgorithmError) as error:
        pipes.read_frame(pipe[0], 1 << 20)
    refused("frame-too-large", error)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\5", b"\0\0\0\5hell"])
def test_a_pipe_that_ends_in_the_middle(pipe: Pipe, sent: bytes) -> None:
    os.write(pipe[1], sent)
    os.close(pipe[1])
    with pytest.raises(AlgorithmError) as error:
        pipes.read_frame_until(pipe[0], 5, soon())
    refused("pipe-closed", error)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\5hell"])
def test_a_side_that_says_no_more_is_not_waited_for(pipe: Pipe, sent: bytes) -> None:
    os.write(pipe[1], sent)
    with pytest.raises(AlgorithmError) as error:
        pipes.read_frame_until(pipe[0], 5, time.monotonic() + 0.01)
    refused("pipe-timeout", error)


def test_a_side_that_does_not_read_is_not_waited_for(pipe: Pipe) -> None:
    with pytest.raises(AlgorithmError) as error:
        pipes.write_frame_until(pipe[1], bytes(1 << 20), time.monotonic() + 0.01)
    refused("pipe-timeout", error)


@pytest.mark.parametrize("write", [pipes.write_frame, lambda fd, body: pipes.write_frame_until(fd, body, soon())])
def test_a_side_that_has_gone(pipe: Pipe, write: object) -> None:
    os.close(pipe[0])
    with pytest.raises(AlgorithmError) as error:
        write(pipe[1], b"hello")
    refused("pipe-closed", error)


def test_the_end_of_a_pipe_is_told_from_another_byte(pipe: Pipe) -> None:
    os.write(pipe[1], b"x")
    assert not pipes.read_end_until(pipe[0], soon())
    os.close(pipe[1])
    assert pipes.read_end_until(pipe[0], soon())


def test_a_pipe_that_stays_open_is_not_waited_for(pipe: Pipe) -> None:
    with pytest.raises(AlgorithmError) as error:
        pipes.read_end_until(pipe[0], time.monotonic() + 0.01)
    refused("pipe-timeout", error)
