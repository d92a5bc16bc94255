"""Plays a storm: clients that ask, a hand that kills, and what is left when both are done."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil

from tests.support.kills.plan import MODELS, PROTOCOLS, Errand, Kind, Storm, errands
from tests.support.kills.prey import (
    Guardian,
    HttpServer,
    Kill,
    Prey,
    Simulator,
    http_servers,
    metrics,
    slots,
)
from tests.support.kills.wire import Answer, Results, Said, Turn, User, body, read
from tests.support.serving import Serving, serving, wait_until

# Calls that a client never comes back for would else wait for ten minutes.
_PARKED_SECONDS: Final = 2.0
# Kills that the requests may be ahead of, so that both end together.
_LEAD: Final = 4
_UP_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.02
_PROOF_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 60.0
_MARK: Final = re.compile(r"(m\d+) \[\[demo:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what its client saw; moments are `time.monotonic`.

    Attributes:
        turn: its number in the errand.
        status: of the answer, 0 if there was none.
        is_whole: whether the client stayed until the end.
    """

    id: str
    errand: Errand
    turn: int
    began: float
    ended: float
    status: int
    answer: Answer
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a life of an engine, as the log tells it."""

    engine: str
    generation: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A line of the log about a request."""

    end: str
    attempts: Sequence[Attempt]
    is_resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as an engine got it.

    Attributes:
        mark: whose it is.
        done: steps of tools that were done before.
        at: seconds since 1970.
        is_agent: whether it was put in agent mode.
    """

    mark: str
    done: int
    at: float
    is_agent: bool = False


@dataclass(slots=True, kw_only=True)
class Seen:
    """All that was seen of a storm.

    Attributes:
        asked: questions that reached engines.
        results: how often each tool result reached a simulator, by call id.
        records: by request id.
        troubles: what went wrong outside of requests, or was left over.
        log: the server's.
    """

    storm: Storm
    exchanges: list[Exchange] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    results: dict[str, int] = field(default_factory=dict)
    records: dict[str, list[Record]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    log: str = ""
    seconds: float = 0.0


def play(storm: Storm, home: Path) -> Seen:
    """Run a storm over a server of its own in `home`; see `Seen`."""
    seen = Seen(storm=storm)
    arguments = ("--demo", "--engines", str(storm.lingma), "--log-format", "json")
    bounds = ("--max-in-flight", str(storm.clients))
    environ = {"LINGMA_PARKED_TIMEOUT": str(_PARKED_SECONDS)}
    with (
        http_servers(home / "servers", storm.servers, MODELS) as servers,
        serving(home / "lingma", *arguments, *bounds, environ=environ) as server,
    ):
        _join(server, servers)
        started = time.monotonic()
        asyncio.run(_Play(server, servers, seen).run())
        seen.seconds = time.monotonic() - started
        _look_after(server, seen)
        if (code := server.stop()) != 0:
            seen.troubles.append(f"the server ended with {code}")
        seen.troubles += [f"left over: {one}" for one in _family(server.home)]
        _gather(server, servers, seen)
    return seen


def _join(server: Serving, servers: Sequence[HttpServer]) -> None:
    """Register the HTTP servers and wait until all engines are up."""
    for one in servers:
        answer = server.post({"url": one.url}, "/workers")
        assert answer.status_code == 202, answer.text
        location = answer.headers["location"]
        one.name = ""
        known = set(slots(server)) - {other.name for other in servers}
        (one.name,) = (name for name in known if not name.startswith("demo-"))
        assert server.get(location).status_code == 200
    _wait_ready(server)


def _wait_ready(server: Serving) -> None:
    def are_ready() -> bool:
        return all(slot["state"] == "ready" for slot in slots(server).values())

    wait_until(are_ready, within=_UP_SECONDS, what="all engines")


class _Play:
    """The clients and the hand that kills, paced by each other."""

    def __init__(self, server: Serving, servers: Sequence[HttpServer], seen: Seen) -> None:
        self._server = server
        self._seen = seen
        self._storm = storm = seen.storm
        simulators = [Simulator(server, place) for place in range(storm.lingma)]
        # Sorts of engines, and how often each is the aim.
        self._prey: Mapping[tuple[Prey, ...], float] = {
            tuple(simulators): 0.5,
            tuple(map(Guardian, simulators)): 0.15,
            tuple(servers): 0.35,
        }
        self._rng = random.Random(storm.seed)
        self._begun = 0
        self._is_over = False
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        limit = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        wanted = errands(self._storm)
        async with (
            aiohttp.ClientSession(connector=limit, timeout=timeout, trust_env=False) as session,
            asyncio.TaskGroup() as group,
        ):
            self._session = session
            group.create_task(self._kill())
            for _ in range(self._storm.clients):
                group.create_task(self._client(wanted))

    # the hand

    async def _kill(self) -> None:
        storm = self._storm
        try:
            for number in range(storm.kills):
                await self._begin_of(number * storm.requests // storm.kills)
                kill = await asyncio.to_thread(self._kill_one)
                self._seen.kills.append(kill)
                async with self._moved:
                    self._moved.notify_all()
        except AssertionError as error:
            self._seen.troubles.append(f"the storm was broken off: {error}")
        finally:
            self._is_over = True
            async with self._moved:
                self._moved.notify_all()

    async def _begin_of(self, due: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._begun >= due)

    def _kill_one(self) -> Kill:
        """Kill one of the sort that is drawn, as soon as one of them has answered something.

        Who never gets to answer is started ever more slowly, which is not what is looked at here.
        """
        (sort,) = self._rng.choices(list(self._prey), list(self._prey.values()))
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < _UP_SECONDS:
            for prey in self._rng.sample(sort, len(sort)):
                # The requests may be waiting for this very kill.
                if (kill := prey.kill(unproved=waited > _PROOF_SECONDS)) is not None:
                    return kill
            time.sleep(_LOOK_SECONDS)
        raise AssertionError(f"none of {[prey.name for prey in sort]} came back")

    # the clients

    async def _client(self, wanted: Iterator[Errand]) -> None:
        while self._begun < self._storm.requests:
            await self._run(next(wanted))

    async def _may_go_on(self) -> None:
        storm = self._storm

        def may() -> bool:
            allowed = (len(self._seen.kills) + _LEAD) * storm.requests // max(storm.kills, 1)
            return self._is_over or self._begun < allowed

        async with self._moved:
            await self._moved.wait_for(may)
            self._begun += 1
            self._moved.notify_all()

    async def _run(self, errand: Errand) -> None:
        """Do what one client wants, until it has it, gets an error or leaves."""
        turns: list[Turn] = [User(text=errand.prompt())]
        for number in range(10):
            await self._may_go_on()
            exchange = await self._ask(errand, number, turns)
            self._seen.exchanges.append(exchange)
            answer = exchange.answer
            if not exchange.is_whole or answer.error or answer.wrong:
                return
            turns.append(Said(text=answer.text, calls=tuple(answer.calls)))
            if errand.kind is Kind.FORGETS:
                return
            if answer.calls:
                await asyncio.sleep(errand.pause)
                gave = {call.id: f"result of {call.arguments}" for call in answer.calls}
                turns.append(Results(texts=gave))
            elif errand.kind is Kind.TALK and number == 0:
                turns.append(User(text=errand.prompt(1)))
            else:
                return

    async def _ask(self, errand: Errand, number: int, turns: Sequence[Turn]) -> Exchange:
        id_ = f"{errand.mark}.{number}"
        asked = body(
            errand.path, turns, model=errand.model, tools=errand.has_tools, stream=errand.stream
        )
        answer, status, is_whole = Answer(), 0, False
        data = bytearray()
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(errand.leaves),
                self._session.post(
                    self._server.url + errand.path, json=asked, headers={"x-request-id": id_}
                ) as response,
            ):
                status = response.status
                if response.headers["x-request-id"] != id_:
                    answer.wrong.append("it is the answer to another request")
                async for piece in response.content.iter_any():
                    data += piece
            is_whole = True
        except TimeoutError:
            if errand.leaves is None:
                answer.wrong.append(f"no end in {_ANSWER_SECONDS:g} s")
        except aiohttp.ClientError as error:
            answer.wrong.append(f"the connection broke: {error!r}")
        ended = time.monotonic()
        if is_whole:
            wrong = answer.wrong
            answer = read(errand.path, status=status, stream=errand.stream, data=bytes(data))
            answer.wrong += wrong
        return Exchange(
            id=id_,
            errand=errand,
            turn=number,
            began=began,
            ended=ended,
            status=status,
            answer=answer,
            is_whole=is_whole,
        )


def _look_after(server: Serving, seen: Seen) -> None:
    """Note whatever has not gone back to nothing, and whoever does not serve again."""
    storm = seen.storm

    def family() -> Sequence[str]:
        lines = [" ".join(child.cmdline()) for child in server.children()]
        return sorted("guardian" if "guardian.py" in line else "simulator" for line in lines)

    wanted = ["guardian"] * storm.lingma + ["simulator"] * storm.lingma
    conditions = {
        "requests and leases return to 0": lambda: server.in_flight() == 0,
        "nothing is parked": lambda: metrics(server)["concurrency"]["parked"] == 0,
        "a guardian and a simulator an engine": lambda: family() == wanted,
    }
    for what, holds in conditions.items():
        try:
            wait_until(holds, within=_PARKED_SECONDS + 10, what=what)
            if what.startswith("requests"):
                _wait_ready(server)
        except (AssertionError, psutil.Error) as error:
            seen.troubles.append(f"{error!r}; {server.stats()}")
    for path in PROTOCOLS:
        asked = body(path, [User(text="hello")], model=MODELS[0], tools=False, stream=False)
        answer = server.post(asked, path)
        if answer.status_code != 200:
            seen.troubles.append(f"afterwards {path} answers {answer.text[:300]}")


def _family(home: Path) -> list[str]:
    """Return the command lines of all processes that have to do with `home`."""
    found: list[str] = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(home) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def _gather(server: Serving, servers: Sequence[HttpServer], seen: Seen) -> None:
    """Read what the server logged and what the engines wrote down."""
    seen.log = server.log
    for line in _json_lines(seen.log):
        if line.get("logger") == "lingma_cli.gateway.records":
            seen.records.setdefault(line["request_id"], []).append(_record(line))
    for one in servers:
        notes = _json_lines(one.journal.read_text())
        seen.asked += [Asked(**note) for note in notes]
    for place in range(seen.storm.lingma):
        _read_journal(Simulator(server, place).journal, seen)


def _record(line: dict[str, Any]) -> Record:
    attempts = []
    for told in filter(None, line["tried"].split(",")):
        life, _, error = told.partition(":")
        engine, _, generation = life.rpartition("#")
        attempts.append(Attempt(engine=engine, generation=int(generation), error=error))
    is_resumed = "waited for results" in line["reuse"]
    return Record(end=line["end"], attempts=attempts, is_resumed=is_resumed)


def _read_journal(path: Path, seen: Seen) -> None:
    prompts: dict[str, str] = {}
    for entry in _json_lines(path.read_text(errors="replace")):
        match entry["event"]:
            case "received" if entry["method"] == "chat/ask":
                prompts[entry["params"]["requestId"]] = json.dumps(entry["params"])
            case "ask-start" if found := _MARK.search(prompts.pop(entry["requestId"], "")):
                told = {"mark": found[1], "done": entry["done"], "at": entry["time"]}
                seen.asked.append(Asked(**told, is_agent=entry["agent"]))
            case "tool-answer" if entry["method"] == "tool/invokeResult":
                id_ = entry["toolCallId"]
                seen.results[id_] = seen.results.get(id_, 0) + 1


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of `text`; a line that a kill has cut is none."""
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value
