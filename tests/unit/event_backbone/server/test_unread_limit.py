"""Large answers that were not read yet: which count, and when the kernel is asked."""

from __future__ import annotations

import socket
import sys

import pytest

from event_backbone.server.unread_limit import Connection, UnreadLimit, address_of, connections_sending

MIB = 1024 * 1024


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.sending: set[Connection] = set()
        self.looks = 0
        self.unread = UnreadLimit(4 * MIB, 6 * MIB, sending=self.look, clock=lambda: self.now)

    def look(self) -> set[Connection]:
        self.looks += 1
        return self.sending

    def add(self, client: str, number: int, size: int) -> bool:
        """An answer on a connection of this number, of which nothing is read."""
        self.sending.add(connection(number))
        return self.unread.add(client, connection(number), size)


def connection(number: int) -> Connection:
    return Connection(9696, "127.0.0.1", number)


@pytest.fixture
def world() -> World:
    return World()


def test_a_client_and_all_of_them_may_leave_so_much_unread_and_no_more(world: World) -> None:
    assert [world.add("a", number, 2 * MIB) for number in range(3)] == [True, True, False]
    assert [world.add("b", 10 + number, 2 * MIB) for number in range(2)] == [True, False]


def test_what_was_read_counts_no_longer(world: World) -> None:
    assert world.add("a", 1, 3 * MIB)
    assert not world.add("a", 2, 3 * MIB)
    world.now += 1.5
    world.sending.clear()
    assert world.unread.add("a", connection(2), 3 * MIB)


def test_what_was_only_just_answered_counts_before_the_kernel_knows_of_it(world: World) -> None:
    assert world.unread.add("a", connection(1), 3 * MIB)
    assert not world.unread.add("a", connection(2), 3 * MIB)


def test_the_kernel_is_asked_only_when_it_matters_and_once_a_second(world: World) -> None:
    assert world.add("a", 1, 3 * MIB)
    assert world.looks == 0
    assert [world.add("a", 2, 3 * MIB) for _ in range(10)] == [False] * 10
    assert world.looks == 1
    world.now += 1.5
    assert not world.add("a", 2, 3 * MIB)
    assert world.looks == 2


def test_who_asks_again_on_a_connection_has_read_its_last_answer(world: World) -> None:
    assert all(world.add("a", 1, 3 * MIB) for _ in range(5))


def test_an_answer_larger_than_all_that_a_client_may_leave_unread_is_sent_when_it_is_alone(world: World) -> None:
    assert world.add("a", 1, 100 * MIB)
    assert not world.add("a", 2, 100 * MIB)


def test_the_kernel_says_what_was_not_read() -> None:
    host = "127.0.0.1"
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((host, port)) as client:
            client_port = client.getsockname()[1]
            served, _ = listener.accept()
            served.setblocking(False)
            with served:
                sent = all_that_fits(served)
                assert Connection(port, host, client_port) in connections_sending()
                read = 0
                while read < sent:
                    read += len(client.recv(MIB))
                assert Connection(port, host, client_port) not in connections_sending()


def all_that_fits(served: socket.socket) -> int:
    """Bytes that were sent until the buffers of both sides were full."""
    sent = 0
    while True:
        try:
            sent += served.send(bytes(MIB))
        except BlockingIOError:
            return sent


def test_an_address_of_ipv6_is_written_as_a_client_is_named() -> None:
    last = int.from_bytes(b"\x00\x00\x00\x01", sys.byteorder).to_bytes(4, "big")
    assert address_of((bytes(12) + last).hex()) == "::1"
