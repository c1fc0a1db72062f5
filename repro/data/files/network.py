"""Requests to the hub and to other web servers: patient with what passes, one line for what does not.

They go through the client of ``huggingface_hub``, so that its proxies, certificates, ``HF_HUB_DOWNLOAD_TIMEOUT`` and
``HF_HUB_OFFLINE`` hold here too. The token goes to addresses below the hub's endpoint, and nowhere else.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from json import JSONDecodeError
from time import sleep
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants, get_session
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, parse_ratelimit_headers  # type: ignore[attr-defined]

from repro.data.progress import Progress, silent
from repro.errors import DataError

T = TypeVar("T")

WAITS = (1, 2, 4, 8, 16)  # seconds between attempts of which none gets further than the one before
LONGEST_WAIT = 300  # seconds, when a server asks to be left alone: the hub's limits are for five minutes
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}  # and all from 500 on
# The base of all errors of the HTTP library, which is httpx or httpx2 by the version of huggingface_hub.
HTTPError: type[Exception] = HfHubHTTPError.__bases__[0]
_OF_HUB = re.compile(r"/datasets/(?P<repository>.+?)/(?:resolve|revision|tree)/(?P<revision>[^/?]+)")


class Setback(DataError):
    """A failure that may be over by the next attempt; ``what`` failed, and the ``seconds`` a server asks to wait."""

    def __init__(self, what: str, *, seconds: int = 0) -> None:
        super().__init__(f"{what}; run the same command again")
        self.what, self.seconds = what, seconds


class Patience:
    """Waits longer after every failure in a row, and is over after a few.

    Args:
        host: that is waited for.
        progress: told so.
    """

    def __init__(self, host: str, progress: Progress = silent) -> None:
        self.host, self.progress, self._waits = host, progress, iter(WAITS)

    def renew(self) -> None:
        """Begin again, since something was achieved."""
        self._waits = iter(WAITS)

    def wait(self, failure: Setback) -> bool:
        """Wait for the next attempt; false, at once, if there should be none."""
        if (seconds := next(self._waits, None)) is None:
            return False
        self.progress(f"wait for {self.host}", 0, 0)
        sleep(max(seconds, min(failure.seconds, LONGEST_WAIT)))
        return True


def patiently(work: Callable[[], T], address: str) -> T:
    """What ``work`` returns, tried again while it has setbacks."""
    patience = Patience(host(address))
    while True:
        try:
            return work()
        except Setback as failure:
            if not patience.wait(failure):
                raise


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; ``chunks`` are the bytes as it stores them, not unpacked."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


@contextmanager
def get(address: str, *, start: int = 0) -> Iterator[Answer]:
    """The answer to a request for what lies at ``address``, from byte ``start`` on, while its body is read.

    Raises:
        Setback: there is no connection, it broke, or the server cannot answer just now.
        DataError: it refuses; but that ``start`` is beyond the end, a status of 416, is an answer.
    """
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if address.startswith(f"{endpoint()}/"):
        headers |= build_hf_headers()
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with (
        in_words(address),
        get_session().stream("GET", address, headers=headers, timeout=timeout, follow_redirects=True) as response,
    ):
        beyond = start and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if response.is_error and not beyond:
            raise _refusal(response.status_code, response.headers, address)
        yield Answer(response.status_code, response.headers, response.iter_raw())


@contextmanager
def in_words(address: str) -> Iterator[None]:
    """Says in one line how a request to ``address`` failed, and whether that passes."""
    try:
        yield
    except HFValidationError as error:
        raise DataError(f"{_line(error)}; expected the name of a repository, such as allenai/c4") from error
    except OfflineModeIsEnabled as error:
        raise DataError(f"cannot reach {host(address)}: HF_HUB_OFFLINE is set; unset it to go on") from error
    except HfHubHTTPError as error:
        response = error.response
        raise _refusal(response.status_code, response.headers, str(response.request.url)) from error
    except JSONDecodeError as error:
        raise Setback(f"{host(address)} answers with something else than the hub does") from error
    except HTTPError as error:
        raise Setback(f"cannot reach {host(address)}: {_line(error)}") from error


def endpoint() -> str:
    """Where the hub is: ``$HF_ENDPOINT``, by default https://huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def host(address: str) -> str:
    """The server of an address, with its port."""
    return urlsplit(address).netloc.rpartition("@")[2]


def _refusal(status: int, headers: Mapping[str, str], address: str) -> DataError:
    """What a status from 400 on means."""
    named, code = _OF_HUB.search(address), headers.get("X-Error-Code", "")
    says = f"{host(address)} answers {status} ({_phrase(status)})"
    if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Setback(f"{says} to {address}", seconds=_asked_to_wait(headers))
    if named and code in _BY_CODE:
        return DataError(_BY_CODE[code].format(says, named["repository"], unquote(named["revision"])))
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        way_out = (
            "`hf auth login`, or set HF_TOKEN" if address.startswith(f"{endpoint()}/") else "expected a public file"
        )
        return DataError(f"{says} to {address}: {way_out}")
    return DataError(f"{says} to {address}: expected a file there")


_BY_CODE = {  # the hub's own, with the answer, the repository and the revision
    "GatedRepo": "{0}, since {1} is gated: accept its terms at https://huggingface.co/datasets/{1}, then "
    "`hf auth login` or set HF_TOKEN",
    "RepoNotFound": "{0}: expected a data set called {1}, or, if it is private, `hf auth login` or HF_TOKEN set",
    "RevisionNotFound": "{0}: {1} has no revision {2}; expected `main` or one of its commits",
}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status of its own"


def _asked_to_wait(headers: Mapping[str, str]) -> int:
    """Seconds, as many web servers and as the hub say it; 0 where a server says nothing."""
    after, limit = headers.get("Retry-After", ""), parse_ratelimit_headers(headers)
    if after.isdecimal():
        return int(after)
    return limit.reset_in_seconds if limit and not limit.remaining else 0


def _line(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
