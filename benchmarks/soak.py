"""Keep an emulator busy for a while: `python benchmarks/soak.py` prints a table of how it held out.

Several processes ask one emulator, in a process of its own, for what programs ask for: lists, details, downloads,
workflows that are submitted, looked at and canceled, jobs, new tokens. Its clock jumps ahead by some days now and
then, so that what is kept for a month is given up within the run. It exits with 1 if the rate was not kept, something
was answered wrongly, or memory grew after the warm-up, and with 2 where memory cannot be read (it needs Linux).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from benchmarks.budgets import Row, table

__all__ = ["main"]

_MODELS: Final = 60
_JUMP_SECONDS: Final = 10.0
_JUMP_DAYS: Final = 5
_CONNECTIONS: Final = 12
"""Of every process."""
_ENDING: Final = frozenset({"downloads", "polls", "cancels", "pictures", "jobs", "tokens"})
"""What asks for something that ends."""
_IDLE_SECONDS: Final = 3.0
"""For how long a connection may rest: the emulator closes it after five seconds, perhaps just when it is used again."""
_USERS: Final = 240
"""The most that there can be."""
_LATENCIES: Final = 20_000
"""How many of every process are kept, chosen by chance: enough for the percentiles."""
_WORKFLOWS: Final = "/v2/consumer/workflows"
_JOBS: Final = "/v1/consumer/jobs"
_TOKEN: Final = "/api/auth/oauth/token"  # noqa: S105
_ECHO: Final = {"$type": "echo", "input": {"message": "hello"}}
_PICTURE: Final = {"$type": "textToImage", "input": {"prompt": "a cat", "width": 64, "height": 64}}
_WARM_UP: Final = 180.0
_GROWTH: Final = 0.03


# ------------------------------------------------------------------------------------------------- the emulator's side


def serve() -> None:
    """Run an emulator until the standard input ends."""
    from civitai_ext.emulator import Emulator

    with Emulator(models=_MODELS, balance={"yellow": 10**12}) as emulator:
        emulator.oauth.rate_limits = False
        versions = [
            version
            for model in emulator.catalogue.models
            for version in model.versions
            if version.usage_control == "Download" and not version.requires_auth and not version.early_access_until
            if not model.mode and version.files
        ]
        world = {
            "url": emulator.url,
            "auth": emulator.auth_url,
            "token": emulator.token,
            "client": emulator.oauth.public.id,
            "tokens": [emulator.oauth.issue().refresh_token for _ in range(_USERS)],
            "models": [model.id for model in emulator.catalogue.models if model.availability == "Public"],
            "versions": [version.id for version in versions],
            "hashes": [version.files[0].hashes["SHA256"] for version in versions],
        }
        print(json.dumps(world), flush=True)
        for line in sys.stdin:
            emulator.clock.advance(float(line))


# -------------------------------------------------------------------------------------------------- the clients' side


@dataclass
class _Counts:
    """What one process has seen."""

    requests: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    def add(self, what: str, status: int, seconds: float) -> None:
        """Count a request and its answer."""
        self.requests[what] += 1
        if what in _ENDING and status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            self.expired += 1  # the clock has jumped meanwhile; the table tells how often
        elif status >= HTTPStatus.BAD_REQUEST:
            self.errors[f"{what}: {status}"] += 1
        place = random.randrange(sum(self.requests.values()))  # noqa: S311
        if len(self.latencies) < _LATENCIES:
            self.latencies.append(seconds)
        elif place < _LATENCIES:
            self.latencies[place] = seconds


class _Pace:
    """Lets requests begin at an even rate, however long the ones before them take."""

    def __init__(self, rate: float, ends: float) -> None:
        self._every = 1 / rate
        self._next = time.monotonic()
        self._ends = ends

    async def turn(self) -> bool:
        """Wait for the next turn; False when the time is up."""
        mine = self._next
        self._next += self._every
        await asyncio.sleep(max(0.0, mine - time.monotonic()))
        return time.monotonic() < self._ends


class _Over(Exception):  # noqa: N818 - the time is up, nothing is wrong
    pass


class _Connection:
    """A connection that is kept open, with as little around it as there can be: clients may not be what is slow."""

    def __init__(self, origin: str, pace: _Pace, counts: _Counts) -> None:
        parts = urlsplit(origin)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._pace = pace
        self._counts = counts
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def ask(
        self, what: str, verb: str, path: str, *, token: str | None = None, body: Any = None, form: Any = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request when it is time for one, and count it."""
        if not await self._pace.turn():
            raise _Over
        content = urlencode(form) if form else json.dumps(body) if body is not None else ""
        head = f"{verb} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(content)}\r\n"
        if content:
            head += f"Content-Type: application/{'x-www-form-urlencoded' if form else 'json'}\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        began = time.perf_counter()
        try:
            answer = await self._exchange(f"{head}\r\n{content}".encode())
        except (OSError, asyncio.IncompleteReadError) as error:
            self._counts.errors[f"{what}: {type(error).__name__}"] += 1
            self._streams = None
            return 0, {}, b""
        self._counts.add(what, answer[0], time.perf_counter() - began)
        return answer

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None or time.monotonic() - self._used > _IDLE_SECONDS:
            if self._streams is not None:
                self._streams[1].close()
            self._streams = await asyncio.open_connection(self._host, self._port)
        self._used = time.monotonic()
        reader, writer = self._streams
        writer.write(request)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        answer = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            writer.close()
            self._streams = None
        return int(first.split()[1]), headers, answer


class _User:
    """Somebody with a connection to each service, who does one thing after another."""

    def __init__(self, world: dict[str, Any], refresh_token: str, pace: _Pace, counts: _Counts) -> None:
        self._world = world
        self._refresh = refresh_token
        self._site = _Connection(world["url"], pace, counts)
        self._auth = _Connection(world["auth"], pace, counts)
        self._token = world["token"]
        self._mine: deque[str] = deque(maxlen=40)
        self._choose = random.Random(refresh_token)  # noqa: S311
        self._renewed = time.monotonic()

    async def run(self) -> None:
        """Use all services until the time is up."""
        things: dict[Callable[[], Awaitable[None]], int] = {
            self._browse: 40, self._look: 40, self._download: 15, self._generate: 12, self._look_back: 12,
            self._cancel: 6, self._job: 6, self._renew: 4,
        }  # fmt: skip
        try:
            while True:
                if time.monotonic() - self._renewed > _JUMP_SECONDS:
                    await self._renew()  # a month is over soon, and with it the refresh token
                (thing,) = self._choose.choices(list(things), list(things.values()))
                await thing()
        except _Over:
            pass

    async def _browse(self) -> None:
        what = self._choose.choice(["models", "models", "images", "creators", "tags"])
        _, _, answer = await self._site.ask("lists", "GET", f"/api/v1/{what}?limit=10")
        cursor = json.loads(answer)["metadata"].get("nextCursor") if answer else None
        if cursor is not None and what in ("models", "images"):
            await self._site.ask("lists", "GET", f"/api/v1/{what}?{urlencode({'limit': 10, 'cursor': cursor})}")

    async def _look(self) -> None:
        world, choice = self._world, self._choose.choice
        paths = [f"models/{choice(world['models'])}", f"model-versions/{choice(world['versions'])}"]
        paths.append(f"model-versions/by-hash/{choice(world['hashes'])}")
        await self._site.ask("details", "GET", f"/api/v1/{choice(paths)}", token=self._token)

    async def _download(self) -> None:
        path = f"/api/download/models/{self._choose.choice(self._world['versions'])}"
        _, headers, _ = await self._site.ask("downloads", "GET", path, token=self._token)
        if "location" in headers:
            parts = urlsplit(headers["location"])
            await self._site.ask("downloads", "GET", f"{parts.path}?{parts.query}")

    async def _submit(self) -> str | None:
        step = _PICTURE if self._choose.random() < 0.3 else _ECHO
        body = {"steps": [step], "externalId": f"soak-{self._choose.getrandbits(64):x}"}
        _, _, answer = await self._site.ask("submits", "POST", _WORKFLOWS, token=self._token, body=body)
        id_ = json.loads(answer).get("id") if answer else None
        return id_ if isinstance(id_, str) else None

    async def _generate(self) -> None:
        id_ = await self._submit()
        if id_ is not None:
            self._mine.append(id_)
            await self._site.ask("polls", "GET", f"{_WORKFLOWS}/{id_}", token=self._token)

    async def _look_back(self) -> None:
        if not self._mine:
            return
        path = f"{_WORKFLOWS}/{self._choose.choice(self._mine)}"
        status, _, answer = await self._site.ask("polls", "GET", path, token=self._token)
        output = json.loads(answer)["steps"][0].get("output", {}) if status == HTTPStatus.OK else {}
        for image in output.get("images", ()):
            if "url" in image:
                await self._site.ask("pictures", "GET", urlsplit(image["url"]).path)

    async def _cancel(self) -> None:
        id_ = await self._submit()
        if id_ is not None:
            body = {"status": "canceled"}
            await self._site.ask("cancels", "PUT", f"{_WORKFLOWS}/{id_}", token=self._token, body=body)

    async def _job(self) -> None:
        _, _, answer = await self._site.ask("jobs", "POST", _JOBS, token=self._token, body={"$type": "echo"})
        if answer:
            path = f"{_JOBS}?{urlencode({'token': json.loads(answer)['token']})}"
            await self._site.ask("jobs", "GET", path, token=self._token)
            await self._site.ask("jobs", "DELETE", path, token=self._token)

    async def _renew(self) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh, "client_id": self._world["client"]}
        _, _, answer = await self._auth.ask("tokens", "POST", _TOKEN, form=form)
        tokens = json.loads(answer) if answer else {}
        if "access_token" in tokens:
            self._refresh, self._renewed = tokens["refresh_token"], time.monotonic()
            await self._auth.ask("tokens", "GET", "/api/auth/oauth/userinfo", token=tokens["access_token"])


async def _ask_for(world: dict[str, Any], number: int, rate: float, seconds: float) -> _Counts:
    counts = _Counts()
    pace = _Pace(rate, time.monotonic() + seconds)
    tokens = world["tokens"][number * _CONNECTIONS :][:_CONNECTIONS]
    await asyncio.gather(*(_User(world, token, pace, counts).run() for token in tokens))
    return counts


# ---------------------------------------------------------------------------------------------------------- the whole


def _memory(process: int) -> float:
    """Tell how much memory a process has, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.soak", *map(str, arguments)]
    root = Path(__file__).resolve().parents[1]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)


def _soak(seconds: float, rate: float, clients: int) -> list[Row]:
    emulator = _started("--serve")
    assert emulator.stdin is not None  # noqa: S101 - tells the type checker
    assert emulator.stdout is not None  # noqa: S101
    world = emulator.stdout.readline()
    processes = [_started("--client", number, rate / clients, seconds) for number in range(clients)]
    for process in processes:
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(world)
        process.stdin.flush()
    samples: list[tuple[float, float]] = []
    began = jumped = time.monotonic()
    try:
        while (now := time.monotonic()) < began + seconds:
            time.sleep(1)
            samples.append((now - began, _memory(emulator.pid)))
            if now - jumped >= _JUMP_SECONDS:
                jumped = now
                emulator.stdin.write(f"{_JUMP_DAYS * 86_400}\n")
                emulator.stdin.flush()
        found = [json.loads(process.communicate()[0]) for process in processes]
        took = time.monotonic() - began
    finally:
        for process in processes:
            process.kill()
        emulator.stdin.close()
        emulator.wait(30)
    return _rows(found, samples, seconds, rate, took)


def _rows(
    found: list[dict[str, Any]], samples: list[tuple[float, float]], seconds: float, rate: float, took: float
) -> list[Row]:
    requests: Counter[str] = sum((Counter(each["requests"]) for each in found), Counter())
    errors: Counter[str] = sum((Counter(each["errors"]) for each in found), Counter())
    expired = sum(each["expired"] for each in found)
    count = requests.total()
    cuts = quantiles([latency for each in found for latency in each["latencies"]], n=100)
    reached = count / seconds
    # What fills up at first: the journal, a month of workflows, the ledger, the files that are kept ready.
    warm = min(_WARM_UP, seconds / 2)
    after = [memory for at, memory in samples if warm <= at <= seconds]
    fifth = max(1, len(after) // 5)
    first, last = median(after[:fifth]), median(after[-fifth:])
    growth = last / first - 1
    slope = (last - first) / ((seconds - warm) * 0.8 / 60)  # between the middles of the two fifths
    course = samples[:: max(1, len(samples) // 10)]
    kinds = ", ".join(f"{name} {number:,}" for name, number in requests.most_common())
    return [
        Row("requests", f"{count:,} in {took:.0f} s: {kinds}", "", True),
        Row("rate", f"{reached:.0f}/s", f">= {rate * 0.98:.0f}/s", reached >= rate * 0.98),
        Row("latency", f"p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms", "", True),
        Row("errors", f"{errors.total()} {dict(errors.most_common(5)) or ''}".strip(), "0", not errors),
        Row("expired, as the clock jumps", f"{expired / count:.2%}", "<= 2%", expired <= 0.02 * count),
        Row("memory, MiB", ", ".join(f"{at:.0f} s {memory:.0f}" for at, memory in course), "", True),
        Row(
            "growth after the warm-up",
            f"{growth:+.1%} ({slope:+.2f} MiB a minute)",
            f"<= {_GROWTH:.0%}",
            growth <= _GROWTH,
        ),
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives 0, or 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description="Keep an emulator busy and see whether its memory stays flat.")
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=500, help="requests a second (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=3, help="processes that ask (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", nargs=3, type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        serve()
        return 0
    if options.client:
        number, rate, seconds = options.client
        counts = asyncio.run(_ask_for(json.loads(sys.stdin.readline()), int(number), rate, seconds))
        print(json.dumps(vars(counts)))
        return 0
    if not (options.minutes > 0 and options.rate > 0 and 0 < options.clients * _CONNECTIONS <= _USERS):
        parser.error(f"minutes and rate are more than 0, and clients 1 to {_USERS // _CONNECTIONS}")
    if not Path("/proc/self/status").is_file():
        print("The memory of a process cannot be read here: /proc is missing", file=sys.stderr)
        return 2
    rows = _soak(options.minutes * 60, options.rate, options.clients)
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2) if options.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
