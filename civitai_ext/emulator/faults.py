"""Faults on demand: what goes wrong with which request. Decisions only; `fault_middleware` carries them out.

Examples:
    emulator.faults.add("GET /api/v1/models", status=503, retry_after="2", times=2)
    emulator.faults.add("GET *", delay=0.05)
    emulator.faults.add("GET /storage/*", cut_body=100_000, end="reset", after=1, times=3)
    emulator.faults.chaos(seed=7)
    emulator.faults.chaos(seed=7, rate=0.4, kinds=[429, 503, "lost_answer", "repeat_cursor"], route="GET *")

"""

from __future__ import annotations

import json
import math
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, Literal, NamedTuple

Kind = Literal[
    "status", "html_page", "lost_answer", "doubled", "duplicate_items", "repeat_cursor", "fields",
    "cut_body", "gzip", "ignore_range", "shift_range", "changed", "headers",
    "delay", "rate", "advance", "skew",
]  # fmt: skip
"""What a fault is called in the journal."""
End = Literal["close", "reset", "stall"]
"""How an answer ends that does not come whole."""

REVISION = "civitai_ext.emulator.revision"
"""Where the scope of a request says how often its file has become another one."""

ANY = "* *"
CHAOS_RATE = 0.2
"""How many requests of all go wrong when `Faults.chaos` is not told otherwise."""
CHAOS: tuple[int | Kind, ...] = (
    429, 500, 503, "html_page", "lost_answer", "cut_body", "duplicate_items", "repeat_cursor", "delay", "skew",
)  # fmt: skip
"""What `Faults.chaos` draws from when it is not told otherwise: nothing that does work twice."""

ON_THE_WAY: frozenset[Kind] = frozenset({"cut_body", "gzip", "ignore_range", "shift_range", "changed", "headers"})
"""What a fault does to the way that an answer takes; of these it may do several at the same time."""

_ENDS: tuple[End, ...] = ("close", "reset", "stall")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_PAGING = frozenset({"cursor", "page", "token"})
_PATH = re.compile(r"[/*][^?#\s]*")
_VERB = re.compile(r"[A-Z*]+")
_LOWEST_STATUS, _HIGHEST_STATUS = 200, 999
_WHOLE: Mapping[str, int | None] = {
    "times": 0, "every": 1, "after": 0, "duplicate_items": 0, "repeat_cursor": 0, "cut_body": 0, "shift_range": None,
}  # fmt: skip
"""Arguments that are whole numbers, and the lowest of them."""
_LONGEST = 100 * 365 * 86_400
"""The seconds of a century: no clock is moved, and no date is off, by more."""
_IN_A_ROW = 2
# Codes and refresh tokens work once: whoever does not get the answer cannot ask for it again.
_ONCE = "/api/auth/*token"
_AFTER_THE_WORK: frozenset[int | Kind] = frozenset({"lost_answer", "cut_body"})
_CHAOS_SKEW = 3600
# What a drawn failure with one of these statuses brings along.
_CHAOS_RETRY_AFTER = {429: "1", 503: "1"}


class Asked(NamedTuple):
    """A request, as far as faults look at it."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]

    @property
    def cursor(self) -> str | None:
        """The cursor that it carries."""
        return next((value for name, value in self.query if name == "cursor"), None)

    @property
    def listing(self) -> Asked:
        """The list that it asks for a page of."""
        return Asked(self.method, self.path, tuple(pair for pair in self.query if pair[0] not in _PAGING))


@dataclass
class Fault:
    """Something that goes wrong, with which requests and how often; see `Faults.add`.

    Attributes:
        hits: How often it has gone wrong so far.
        id: What tells it apart from the others of its emulator.

    """

    route: str
    status: int | None = None
    body: Any = None
    retry_after: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    html_page: bool = False
    lost_answer: bool = False
    cut_body: bool | int = False
    doubled: bool = False
    duplicate_items: int = 0
    repeat_cursor: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    delay: float = 0.0
    accepted: bool = False
    times: int | None = None
    every: int | None = None
    after: int = 0
    end: End = "close"
    gzip: bool = False
    ignore_range: bool = False
    shift_range: int = 0
    changed: bool = False
    rate: float | None = None
    advance: float = 0.0
    skew: int = 0
    hits: int = 0
    id: int = 0
    _seen: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        effects = self._effects()
        if len(effects) > 1 and not ON_THE_WAY.issuperset(effects):
            raise ValueError(f"a fault does one thing, and {' and '.join(effects)} are several")
        _check_route(self.route)
        self._check_numbers()
        _check_json("body", None if isinstance(self.body, bytes) else self.body)
        _check_json("fields", dict(self.fields))
        if self.accepted and not (self.delay or "status" in effects or "html_page" in effects):
            raise ValueError("accepted goes with status, html_page or delay")
        if self.end not in _ENDS:
            raise ValueError(f"there is no end {self.end!r}; there are {', '.join(_ENDS)}")
        if self.end != "close" and not (self.cuts or self.lost_answer or self.length is not None):
            raise ValueError("end goes with cut_body, lost_answer or a Content-Length among the headers")
        if self.body is not None and self.status is None:
            raise ValueError("body goes with status")
        for name, value in self.headers.items():
            sendable = value is None or (isinstance(value, str) and _HEADER_VALUE.fullmatch(value))
            if not _HEADER_NAME.fullmatch(name) or not sendable:
                raise ValueError(f"the header {name!r} cannot be sent with the value {value!r}: a text or None")
        wait = self.retry_after
        if wait is not None and not (isinstance(wait, str) and _HEADER_VALUE.fullmatch(wait)):
            raise ValueError(f"retry_after is a text, such as '2' or 'date', not {wait!r}")
        if self.length is not None and not (self.length.isascii() and self.length.isdecimal()):
            raise ValueError(f"Content-Length is a number, not {self.length!r}")
        if not (effects or self.delay or self.rate or self.advance or self.skew):
            raise ValueError("a fault does one thing, and this one does nothing")

    def _check_numbers(self) -> None:
        status = self.status
        if status is not None and not (isinstance(status, int) and _LOWEST_STATUS <= status <= _HIGHEST_STATUS):
            raise ValueError(f"status is a number from {_LOWEST_STATUS} to {_HIGHEST_STATUS}, not {status!r}")
        for name, lowest in _WHOLE.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and (lowest is None or value >= lowest)):
                raise ValueError(
                    f"{name} is a whole number{'' if lowest is None else f', {lowest} or more'}, not {value!r}"
                )
        if self.rate is not None and not (_is_number(self.rate) and self.rate > 0):
            raise ValueError(f"rate is a number of bytes a second, more than 0, not {self.rate!r}")
        for name in ("delay", "advance"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= _LONGEST):
                raise ValueError(
                    f"{name} is a number of seconds, 0 to a hundred years, not {value!r}: time does not run backwards"
                )
        if not (isinstance(self.skew, int) and abs(self.skew) <= _LONGEST):
            raise ValueError(f"skew is a number of whole seconds, a hundred years at most, not {self.skew!r}")

    @property
    def cuts(self) -> bool:
        """Whether it cuts the body, be it after no byte at all."""
        return self.cut_body is not False

    @property
    def length(self) -> str | None:
        """The length that it says the answer has."""
        return next((value for name, value in self.headers.items() if name.lower() == "content-length"), None)

    def _effects(self) -> list[Kind]:
        chosen: dict[Kind, object] = {
            "html_page": self.html_page,
            "status": self.status is not None and not self.html_page,
            "lost_answer": self.lost_answer,
            "doubled": self.doubled,
            "duplicate_items": self.duplicate_items,
            "repeat_cursor": self.repeat_cursor,
            "fields": self.fields,
            "cut_body": self.cuts,
            "gzip": self.gzip,
            "ignore_range": self.ignore_range,
            "shift_range": self.shift_range,
            "changed": self.changed,
            "headers": self.headers and self.status is None and not self.html_page,
        }
        return [kind for kind, is_chosen in chosen.items() if is_chosen]

    @property
    def kind(self) -> Kind:
        """What it is called."""
        if effects := self._effects():
            return effects[0]
        return "delay" if self.delay else "rate" if self.rate else "advance" if self.advance else "skew"

    @property
    def is_alone(self) -> bool:
        """Whether it does something, of which there can be one for a request; delays and the like add up."""
        return self.kind not in ("delay", "rate", "advance", "skew")

    def hit(self, asked: Asked) -> bool:
        """Tell whether it goes wrong with this request, and count that."""
        verb, path = self.route.split()
        if not (fnmatchcase(asked.method, verb) and fnmatchcase(asked.path, path)):
            return False
        if (self.repeat_cursor or self.duplicate_items) and asked.cursor is None:
            return False  # nothing was given before
        self._seen += 1
        turn = self._seen - self.after
        if turn < 1 or turn % (self.every or 1) or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


def _check_route(route: str) -> None:
    words = route.split() if isinstance(route, str) else ()
    if len(words) != 2:
        raise ValueError(f"a route is a verb and a path, such as 'GET /api/v1/models' or 'GET *', not {route!r}")
    if not (_VERB.fullmatch(words[0]) and _PATH.fullmatch(words[1])):
        raise ValueError(
            f"no request fits the route {route!r}: verbs are in capitals, paths begin with / or * and have no query"
        )


def _check_json(name: str, value: Any) -> None:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} cannot be sent as JSON: {error}") from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


class Verdict(NamedTuple):
    """What to do with a request.

    Attributes:
        delay: How long to wait.
        fault: What to do wrong then.
        late: How long to wait after the work.
        rate: How many bytes a second to send.
        advance: By how many seconds to move the clock first.
        skew: By how many seconds the dates of the answer are off.
        revision: How often the file has become another one.

    """

    delay: float
    fault: Fault | None
    late: float = 0.0
    rate: float | None = None
    advance: float = 0.0
    skew: int = 0
    revision: int = 0


@dataclass
class Chaos:
    """Faults that are drawn: the same ones for the same requests, in whatever order they come; see `Faults.chaos`.

    Attributes:
        hits: How often something has gone wrong so far.

    """

    route: str
    seed: int
    rate: float
    kinds: Sequence[int | Kind]
    hits: int = 0
    _attempts: dict[Asked, tuple[int, int]] = field(default_factory=dict)  # how many, and how many failed in a row

    def draw(self, asked: Asked) -> Fault | None:
        """Draw what goes wrong with a request, if anything does."""
        count, failed = self._attempts.get(asked, (0, 0))
        choose = random.Random(f"{self.seed} {asked} {count}")  # noqa: S311 - reproducible on purpose
        fault = None
        # Whoever asks often enough gets an answer.
        if choose.random() < self.rate and failed < _IN_A_ROW:
            kind = choose.choice(self.kinds)
            is_lost = kind in _AFTER_THE_WORK and fnmatchcase(asked.path, _ONCE)
            made = _drawn(self.route, HTTPStatus.SERVICE_UNAVAILABLE if is_lost else kind)
            fault = made if made.hit(asked) else None
        self.hits += fault is not None
        self._attempts[asked] = (count + 1, 0 if fault is None else failed + 1)
        return fault


def _drawn(route: str, kind: int | Kind) -> Fault:
    """Make a fault of a kind, with the particulars that it usually has."""
    if isinstance(kind, int):
        return Fault(route, status=kind, retry_after=_CHAOS_RETRY_AFTER.get(kind))
    match kind:
        case "html_page":
            return Fault(route, html_page=True)
        case "lost_answer":
            return Fault(route, lost_answer=True)
        case "cut_body":
            return Fault(route, cut_body=True)
        case "doubled":
            return Fault(route, doubled=True)
        case "gzip":
            return Fault(route, gzip=True)
        case "ignore_range":
            return Fault(route, ignore_range=True)
        case "shift_range":
            return Fault(route, shift_range=1)
        case "duplicate_items":
            return Fault(route, duplicate_items=3)
        case "repeat_cursor":
            return Fault(route, repeat_cursor=1)
        case "delay":
            return Fault(route, delay=0.02)
        case "skew":
            return Fault(route, skew=_CHAOS_SKEW)
    raise ValueError(
        f"{kind!r} cannot be drawn; there are statuses and {', '.join(map(str, CHAOS[3:]))}, doubled,"
        " gzip, ignore_range, shift_range"
    )


@dataclass
class _Listing:
    """What a list has given so far: the cursors that it was asked with, and the items of its last page."""

    cursors: list[str] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)


class Faults:
    """The faults of one emulator; safe from any thread.

    >>> faults = Faults()
    >>> fault = faults.add("GET /api/*", status=503, times=1)
    >>> asked = Asked("GET", "/api/v1/models", ())
    >>> [verdict.fault is fault for verdict in (faults.decide(asked), faults.decide(asked))]
    [True, False]
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._count = 0
        self._chaos: list[Chaos] = []
        self._listings: dict[Asked, _Listing] = {}
        self._revisions: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(
        self,
        route: str = ANY,
        *,
        status: int | None = None,
        body: Any = None,
        retry_after: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        html_page: bool = False,
        lost_answer: bool = False,
        cut_body: bool | int = False,
        doubled: bool = False,
        duplicate_items: int = 0,
        repeat_cursor: int = 0,
        fields: Mapping[str, Any] | None = None,
        delay: float = 0.0,
        accepted: bool = False,
        times: int | None = None,
        every: int | None = None,
        after: int = 0,
        end: End = "close",
        gzip: bool = False,
        ignore_range: bool = False,
        shift_range: int = 0,
        changed: bool = False,
        rate: float | None = None,
        advance: float = 0.0,
        skew: int = 0,
    ) -> Fault:
        """Let something go wrong from now on.

        A fault does one thing. Only `cut_body`, `gzip`, `ignore_range`, `shift_range`, `changed` and `headers` go
        together, and `delay`, `rate`, `advance` and `skew` go with everything. Of several faults for a request the
        first does its thing, all delays, advances and skews add up, and the lowest rate holds.

        Args:
            route: A verb and a path, in which `*` stands for anything: `GET /api/v1/models`, `* /v2/*`.
            status: Answer with this status in place of the work, in the shape in which the service words errors.
            body: The JSON to answer with, where the service's shape is not wanted; bytes are sent as they are.
            retry_after: The header `Retry-After`: seconds, or `date` for a date two seconds from now.
            headers: Headers that the answer has in place of its own, and `None` for those that it does not have. A
                `Content-Length` may lie: what is beyond it is sent all the same, what is missing never comes.
            html_page: Answer with a page as a proxy shows it; `status` is 502 unless it is given.
            lost_answer: Do the work, then close the connection without an answer.
            cut_body: Close the connection in the middle of the answer, or after so many bytes of its body. A shorter
                answer comes whole.
            doubled: Do the work twice, as if a proxy had sent the request again, and give the second answer.
            duplicate_items: Put so many items of the page before in front of a page that a cursor led to.
            repeat_cursor: Give as the next cursor the one that led here (1), the one before that (2), and so on.
            fields: Replace values in the answer, by paths such as `items.0.name` or `items.*.stats`.
            delay: Wait so many real seconds before anything else.
            accepted: Do the work before the status, the page or the delay.
            times: How often it goes wrong; until `clear` when it is not given.
            every: 3 lets it go wrong with every third request that fits.
            after: How many requests that fit are spared first.
            end: How an answer ends that is cut, lost or said to be longer: the connection is closed (`close`) or reset
                (`reset`), or nothing more comes (`stall`). After a reset, what is under way may be lost.
            gzip: Compress the body, though nobody asked for it, and do not say how long it is.
            ignore_range: Answer with the whole file, whatever range was asked for.
            shift_range: Answer with the range that begins and ends so many bytes later than the one asked for.
            changed: Let the file, at that path, be another one from this request on, with other bytes and another
                entity tag, but of the same length. What is published about it stays. Every hit changes it again;
                `clear` brings the first one back.
            rate: Send no more than so many bytes of the body a second.
            advance: Move the clock of the emulator by so many seconds first: signed URLs of files hold 900.
            skew: Let the dates of the answer, in headers and in JSON, be so many seconds later (less than 0: earlier),
                as if the service's clock were wrong.

        Returns:
            The fault, whose `hits` tell how often it went wrong.

        Raises:
            ValueError: The fault does nothing, several things at once, or what cannot be; or no request fits it.

        """
        fault = Fault(
            route, status, body, retry_after, dict(headers or {}), html_page, lost_answer, cut_body, doubled,
            duplicate_items, repeat_cursor, dict(fields or {}), delay, accepted, times, every, after,
            end, gzip, ignore_range, shift_range, changed, rate, advance, skew,
        )  # fmt: skip
        with self._lock:
            self._count += 1
            fault.id = self._count
            self._faults.append(fault)
        return fault

    def remove(self, id: int) -> None:
        """Let one thing not go wrong any more; a file that it has changed stays changed.

        Raises:
            KeyError: There is no such fault.

        """
        with self._lock:
            found = next((fault for fault in self._faults if fault.id == id), None)
            if found is None:
                raise KeyError(id)
            self._faults.remove(found)

    def chaos(
        self, seed: int, rate: float = CHAOS_RATE, kinds: Sequence[int | Kind] = CHAOS, *, route: str = ANY
    ) -> None:
        """Let things go wrong by chance, the same ones for the same requests and seed.

        The same request does not fail more than twice in a row; requests are the same if verb, path and query are.
        Nothing is done twice, unless `kinds` has `doubled`, and no answer is lost that gives tokens: these are given
        once, and whoever lost them would have to log in again.

        Args:
            seed: Chooses what goes wrong.
            rate: How many requests of all go wrong: 0 none, 1 all.
            kinds: What may happen: statuses, and names of kinds.
            route: Which requests it may happen to.

        Raises:
            ValueError: A kind is none that can be drawn, there is none, or the rate or the route is none.

        """
        if not (_is_number(rate) and 0 <= rate <= 1):
            raise ValueError(f"rate is a part of all requests, 0 to 1, not {rate!r}")
        if not kinds or isinstance(kinds, str):
            raise ValueError(f"kinds is a list such as [503, 'lost_answer'], not {kinds!r}")
        for kind in kinds:
            _drawn(route, kind)
        with self._lock:
            self._chaos.append(Chaos(route, seed, rate, tuple(kinds)))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._faults.clear()
            self._chaos.clear()
            self._listings.clear()
            self._revisions.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._faults))

    @property
    def drawn(self) -> list[Chaos]:
        """What `chaos` has let go wrong by chance."""
        return list(self._chaos)

    @property
    def needs_answers(self) -> bool:
        """Whether some fault repeats what was answered before, so that answers are to be remembered."""
        return any(fault.duplicate_items or fault.repeat_cursor for fault in self._faults) or bool(self._chaos)

    def decide(self, asked: Asked) -> Verdict:
        """Decide what goes wrong with a request."""
        with self._lock:
            chosen = None
            hit = []
            for fault in self._faults:
                if (chosen is None or not fault.is_alone) and fault.hit(asked):
                    hit.append(fault)
                    chosen = fault if fault.is_alone else chosen
            for chaos in self._chaos:
                if chosen is None and (drawn := chaos.draw(asked)):
                    hit.append(drawn)
                    chosen = drawn if drawn.is_alone else None
            if chosen is not None and chosen.changed:
                self._revisions[asked.path] += 1
            return Verdict(
                delay=sum(fault.delay for fault in hit if not fault.accepted),
                fault=chosen,
                late=sum(fault.delay for fault in hit if fault.accepted),
                rate=min((fault.rate for fault in hit if fault.rate is not None), default=None),
                advance=sum(fault.advance for fault in hit),
                skew=sum(fault.skew for fault in hit),
                revision=self._revisions[asked.path],
            )

    def remember(self, asked: Asked, answer: Any) -> None:
        """Remember the page of a list."""
        if isinstance(answer, dict) and isinstance(answer.get("items"), list):
            with self._lock:
                listing = self._listings.setdefault(asked.listing, _Listing())
                listing.items = answer["items"]
                if asked.cursor is not None and asked.cursor not in listing.cursors:
                    listing.cursors.append(asked.cursor)

    def alter(self, fault: Fault, asked: Asked, answer: Any) -> Any:
        """Do to an answer what a fault does to answers; what does not fit is left as it is."""
        with self._lock:
            before = self._listings.get(asked.listing, _Listing())
            if fault.duplicate_items and isinstance(answer, dict) and "items" in answer:
                return answer | {"items": before.items[-fault.duplicate_items :] + answer["items"]}
            if fault.repeat_cursor and isinstance(answer, dict) and "nextCursor" in answer.get("metadata", {}):
                return _with_cursor(answer, _earlier(before, asked, fault.repeat_cursor))
        for path, value in fault.fields.items():
            answer = _replaced(answer, path.split("."), value)
        return answer


def _earlier(listing: _Listing, asked: Asked, steps: int) -> str:
    """Find the cursor that led to this page, or to one before it."""
    cursors = [cursor for cursor in listing.cursors if cursor != asked.cursor]
    return [*cursors, asked.cursor or ""][-min(steps, len(cursors) + 1)]


def _with_cursor(answer: dict[str, Any], cursor: str) -> dict[str, Any]:
    metadata = answer["metadata"] | {"nextCursor": type(answer["metadata"]["nextCursor"])(cursor)}
    metadata.pop("nextPage", None)
    return answer | {"metadata": metadata}


def _replaced(value: Any, path: Sequence[str], new: Any) -> Any:
    """Replace what a path leads to, `*` being every place; a path that leads nowhere changes nothing.

    >>> _replaced({"items": [{"id": 1}, {"id": 2}]}, ["items", "*", "id"], "one")
    {'items': [{'id': 'one'}, {'id': 'one'}]}
    """
    if not path:
        return new
    first, *rest = path
    if isinstance(value, list):
        return [_replaced(item, rest, new) if first in ("*", str(place)) else item for place, item in enumerate(value)]
    if isinstance(value, dict):
        changed = {name: _replaced(item, rest, new) if first in ("*", name) else item for name, item in value.items()}
        return changed if rest or first == "*" else changed | {first: new}
    return value
