"""The bridge between the event loop and threads: whole requests, slow bodies, crowds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from rsgi_client import Answer, Exchange, answered, run

from event_backbone.guards.access import Access, Guards
from event_backbone.server.admission import AdmissionControl
from event_backbone.server.application import GroupHandler, Posted, Response
from event_backbone.server.body_reader import BodyReader
from event_backbone.server.reading_limit import BYTES_OF_AN_ADDRESS, LEAST_BYTES
from event_backbone.server.unread_limit import UNREAD_BYTES_OF_AN_ADDRESS
from event_backbone.server.wsgi_bridge import PROBES, WsgiBridge

MOST_BYTES = 1000


class Echo:
    """Answers with what it was sent, and holds requests to ``/slow`` until they are let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.inside = threading.Semaphore(0)
        self.shed = self.unauthorized = 0
        self.environ: dict[str, Any] = {}

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.environ = environ
        if environ["PATH_INFO"] == "/slow":
            self.inside.release()
            assert self.let.wait(10)
        if environ["PATH_INFO"] == "/broken":
            raise ZeroDivisionError("secret of the record")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([environ["wsgi.input"].read(), b"."])

    def count_unauthorized(self) -> None:
        self.unauthorized += 1

    def count_shed(self) -> None:
        self.shed += 1

    def close(self) -> None: ...


class OneKey:
    def accepts(self, presented: str) -> bool:
        return presented == "key"


class World:
    def __init__(
        self,
        echo: Echo | None = None,
        *,
        keys: Any = None,
        in_flight: int = 8,
        threads: int = 2,
        within_s: float = 10.0,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.echo = echo or Echo()
        self.admission = AdmissionControl(in_flight)
        access = Access(keys=keys, forms=frozenset({"/form"}))
        self.bridge = WsgiBridge(
            self.echo,
            Guards(access, self.echo.count_unauthorized),
            self.admission,
            BodyReader(most_bytes, within_s=within_s),
            threads=threads,
        )

    def ask(self, method: str, path: str, body: bytes = b"", **more: Any) -> Answer:
        return self.all_of(lambda: [Exchange(method, path, body, **more)])[0]

    def all_of(self, make: Callable[[], list[Exchange]]) -> list[Answer]:
        async def together() -> list[Answer]:
            return list(await asyncio.gather(*(answered(self.bridge, exchange) for exchange in make())))

        return run(together())


@pytest.fixture
def world() -> World:
    return World()


def problem_of(answer: Answer) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = msgspec.json.decode(answer.body)
    assert document["status"] == answer.status
    return document


# Requests as WSGI has them --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("announced", [-1, None], ids=["with length", "in chunks"])
def test_a_request_comes_whole(world: World, announced: int | None) -> None:
    answer = world.ask("POST", "/x", b"sent", announced=announced)
    assert (answer.status, answer.body) == (200, b"sent.")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_environment_is_that_of_pep_3333(world: World) -> None:
    sent = {"content-type": "text/csv", "x-api-key": "k", "host": "localhost:9696", "x_api_key": "not this"}
    world.ask("POST", "/käse", b"sent", headers=sent, client="[::1]", query="ä=€")
    expected = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/kÃ¤se",
        "QUERY_STRING": "Ã¤=â\x82¬",
        "REMOTE_ADDR": "[::1]",
        "SERVER_NAME": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "SERVER_PORT": "9696",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "text/csv",
        "CONTENT_LENGTH": "4",
        "HTTP_X_API_KEY": "k",
        "HTTP_HOST": "localhost:9696",
    }
    assert {name: world.echo.environ.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ({"if-modified-since": "Wed, 21 Oct 2026 07:28:00 GMT"}, {"HTTP_IF_MODIFIED_SINCE"}),
        ({"if-modified-since": "Wed, 21 Oct 9999999999 07:28:00 GMT"}, set()),
        ({"if-range": "Wed, 21 Oct 9999999999 07:28:00 GMT", "range": "bytes=0-5"}, set()),
        ({"if-range": '"1764590123.5-2345-12345"', "range": "bytes=0-5"}, {"HTTP_IF_RANGE", "HTTP_RANGE"}),
    ],
)
def test_what_is_no_date_is_left_out(world: World, sent: dict[str, str], left: set[str]) -> None:
    """Werkzeug fails at such a number."""
    world.ask("GET", "/x", headers=sent)
    assert {name for name in world.echo.environ if name.startswith(("HTTP_IF", "HTTP_RANGE"))} == left


@pytest.mark.parametrize("announced", [-1, None], ids=["with length", "in chunks"])
def test_of_a_body_that_is_too_large_an_application_sees_that_it_is(world: World, announced: int | None) -> None:
    exchange = []

    def one() -> list[Exchange]:
        exchange.append(Exchange("POST", "/x", b"x" * (MOST_BYTES + 500), announced=announced))
        return exchange

    [answer] = world.all_of(one)
    assert len(answer.body) == MOST_BYTES + 1 + len(b".")
    assert exchange[0].read_bytes == MOST_BYTES + 500


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_that_has_no_body_waits_for_none(world: World, method: str) -> None:
    assert world.ask(method, "/x", b"{", announced=100).body == b"."


def test_a_failure_nobody_expected_is_500_without_its_text(world: World) -> None:
    answer = world.ask("POST", "/broken")
    assert problem_of(answer)["status"] == 500
    assert b"secret" not in answer.body
    assert world.admission.in_flight == 0


def test_a_client_that_went_away_before_its_body_was_whole_is_not_answered(world: World) -> None:
    def torn() -> list[Exchange]:
        exchange = Exchange("POST", "/x", b"{", announced=100)
        exchange.end()
        return [exchange]

    [answer] = world.all_of(torn)
    assert answer.status == 0
    assert world.echo.environ == {}


# Slow bodies ----------------------------------------------------------------------------------------------------------


def test_bodies_that_do_not_come_take_no_thread_and_are_answered_when_they_come() -> None:
    async def session(world: World) -> None:
        slow = [Exchange("POST", "/x", b"la", announced=4) for _ in range(50)]
        waiting = [asyncio.create_task(answered(world.bridge, exchange)) for exchange in slow]
        await asyncio.sleep(0)
        assert (await answered(world.bridge, Exchange("POST", "/x", b"sent"))).body == b"sent."
        assert world.admission.in_flight == 0
        for exchange in slow:
            exchange.send(b"te")
            exchange.end()
        assert {answer.body for answer in await asyncio.gather(*waiting)} == {b"late."}

    run(session(World(threads=1, in_flight=50)))


def test_a_body_that_does_not_come_in_its_time_is_408() -> None:
    answer = World(within_s=0.01).ask("POST", "/x", b"{", announced=100)
    assert answer.headers["Connection"] == "close"
    assert problem_of(answer)["status"] == 408


def test_large_answers_that_nobody_reads_are_few() -> None:
    """A client here is one connection, and the kernel knows of none: so they count for a second."""
    large = b"x" * 1024 * 1024
    most = UNREAD_BYTES_OF_AN_ADDRESS // (len(large) + 1)

    async def session(world: World) -> None:
        def ask(number: int, body: bytes = large, key: str = "") -> Coroutine[Any, Any, Answer]:
            exchange = Exchange("POST", "/form", body, headers={"x-api-key": key}, port=number)
            return answered(world.bridge, exchange)

        assert [(await ask(number)).status for number in range(most)] == [200] * most
        crowded = await ask(most)
        assert (crowded.status, crowded.headers["Retry-After"]) == (503, "1")
        assert "still being read" in problem_of(crowded)["detail"]
        assert world.echo.shed == 1
        assert (await ask(most, b"small")).status == 200
        assert (await ask(most, key="key")).status == 200
        assert (await ask(0)).status == 200, "who asks again on a connection has read what came before"

    run(session(World(keys=OneKey(), most_bytes=len(large))))


def test_a_client_and_all_of_them_may_keep_so_much_waiting_and_no_more() -> None:
    most = BYTES_OF_AN_ADDRESS // LEAST_BYTES

    async def session(world: World) -> None:
        slow = [Exchange("POST", "/form", b"{", announced=100) for _ in range(most)]
        waiting = [asyncio.create_task(answered(world.bridge, exchange)) for exchange in slow]
        await asyncio.sleep(0)
        crowded = await answered(world.bridge, Exchange("POST", "/form", b"sent"))
        assert (crowded.status, crowded.headers["Retry-After"]) == (503, "1")
        assert world.echo.shed == 1
        assert (await answered(world.bridge, Exchange("POST", "/form", b"sent", client="10.0.0.2"))).status == 200
        holder = Exchange("POST", "/form", b"sent", headers={"x-api-key": "key"})
        assert (await answered(world.bridge, holder)).status == 200
        # Not read, for what it says is not asked for.
        unread = Exchange("POST", "/x", b"{", announced=100)
        assert (await answered(world.bridge, unread)).status == 401
        assert unread.read_bytes == 0
        for exchange in slow:
            exchange.end()
        await asyncio.gather(*waiting)
        assert (await answered(world.bridge, Exchange("POST", "/form", b"sent"))).status == 200

    run(session(World(keys=OneKey())))


def test_a_refused_body_is_read_so_that_its_sender_sees_the_answer() -> None:
    async def session(world: World) -> None:
        exchange = Exchange("POST", "/x", b"x" * 300_000)
        assert (await answered(world.bridge, exchange)).status == 401
        assert exchange.read_bytes == 300_000
        assert world.echo.unauthorized == 1

    run(session(World(keys=OneKey())))


# Crowds ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy() -> Iterator[World]:
    """A world for two with two inside."""
    world = World(in_flight=2)

    def occupy() -> None:
        world.all_of(lambda: [Exchange("POST", "/slow", b"inside") for _ in range(2)])

    inside = threading.Thread(target=occupy)
    inside.start()
    try:
        for _ in range(2):
            assert world.echo.inside.acquire(timeout=10)
        yield world
    finally:
        world.echo.let.set()
        inside.join()
    assert world.admission.in_flight == 0
    assert world.ask("POST", "/x", b"sent").body == b"sent."


@pytest.mark.parametrize("path", ["/predict", "/labels", "/", "/unheard-of"])
def test_above_the_limit_a_request_is_told_to_come_back(busy: World, path: str) -> None:
    answer = busy.ask("POST", path, b"late")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "too many requests" in problem_of(answer)["detail"]
    assert busy.echo.shed == 1


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_are_answered_whatever_the_load_is(busy: World, path: str) -> None:
    assert busy.ask("GET", path).status == 200
    assert busy.echo.shed == 0


# Groups ---------------------------------------------------------------------------------------------------------------


class Grouping(Echo):
    """Answers what is posted to ``/group`` in groups; the first waits until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[list[bytes]] = []

    @property
    def group_handlers(self) -> Mapping[str, GroupHandler]:
        return {"/group": self.answer_group}

    def answer_group(self, group: Sequence[Posted]) -> list[Response]:
        self.groups.append([posted.body for posted in group])
        if len(self.groups) == 1:
            self.inside.release()
            assert self.let.wait(10)
        if group[0].body == b"broken":
            raise ZeroDivisionError
        return [Response(200, [], posted.body + b"!") for posted in group]


def test_what_comes_while_a_group_is_worked_on_is_the_next_group() -> None:
    async def session(world: World, echo: Grouping) -> list[bytes]:
        first = asyncio.create_task(answered(world.bridge, Exchange("POST", "/group", b"0")))
        while not echo.inside.acquire(blocking=False):
            await asyncio.sleep(0.001)
        later = [
            asyncio.create_task(answered(world.bridge, Exchange("POST", "/group", b"%d" % n))) for n in range(1, 6)
        ]
        await asyncio.sleep(0.05)
        echo.let.set()
        return [answer.body for answer in await asyncio.gather(first, *later)]

    echo = Grouping()
    assert run(session(World(echo), echo)) == [b"%d!" % number for number in range(6)]
    assert echo.groups == [[b"0"], [b"1", b"2", b"3", b"4", b"5"]]


def test_a_group_whose_handler_fails_is_answered_and_the_next_one_too() -> None:
    echo = Grouping()
    echo.let.set()
    world = World(echo)
    assert world.ask("POST", "/group", b"broken").status == 500
    assert world.ask("POST", "/group", b"1").body == b"1!"
    assert world.admission.in_flight == 0


def test_only_what_is_posted_and_small_joins_a_group() -> None:
    echo = Grouping()
    echo.let.set()
    world = World(echo, most_bytes=100_000)
    assert world.ask("GET", "/group").body == b"."
    assert world.ask("POST", "/group/", b"1").body == b"1."
    assert len(world.ask("POST", "/group", b"x" * 70_000).body) == 70_001
    assert echo.groups == []
