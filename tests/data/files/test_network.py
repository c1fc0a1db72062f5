"""Requests: patient with what passes, and one line for what does not."""

import socket
from itertools import repeat

import pytest
from huggingface_hub import constants

from repro.data.files import network
from repro.data.files.network import LONGEST_WAIT, WAITS, Patience, Setback
from repro.errors import DataError
from tests.data.servers import drops, stalls, status

CONTENT = b"a line of text\n" * 1000


@pytest.fixture
def address(server):
    """Of a file of the hub."""
    return address_of(server)


def address_of(server, **options):
    commit = server.publish("someone/books", {"a.jsonl": CONTENT}, **options)
    return f"{server.address}/datasets/someone/books/resolve/{commit}/a.jsonl"


def content(address):
    def whole():
        with network.get(address) as answer:
            return b"".join(answer.chunks)

    return network.patiently(whole, address)


def refused(address):
    """The one line that asking for ``address`` ends with."""
    with pytest.raises(DataError) as caught:
        content(address)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("code", [408, 429, 500, 503, 599])
def test_a_server_that_cannot_answer_just_now_is_asked_again_and_waited_for_longer_each_time(code, server, address):
    server.fails("a.jsonl", [status(code)] * 3)
    assert content(address) == CONTENT
    assert server.waits == list(WAITS[:3])


def test_it_is_given_up_after_five_more_attempts(server, address):
    server.fails("a.jsonl", repeat(status(503)))
    host = f"127.0.0.1:{server.port}"
    assert refused(address) == f"{host} answers 503 (Service Unavailable) to {address}; run the same command again"
    assert len(server.requests) == 6
    assert server.waits == list(WAITS)


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry_After": "40"}, 40),
        ({"Retry_After": "100000"}, LONGEST_WAIT),
        ({"Retry_After": "Fri, 31 Dec 2027 23:59:59 GMT"}, WAITS[0]),
        ({"RateLimit": '"resolvers";r=0;t=55'}, 55),
        ({"RateLimit": '"resolvers";r=12;t=55'}, WAITS[0]),
    ],
)
def test_a_server_that_asks_to_be_left_alone_is_for_as_long(headers, waited, server, address):
    server.fails("a.jsonl", [status(429, **headers)])
    assert content(address) == CONTENT
    assert server.waits == [waited]


def test_waiting_is_told(server):
    told = []
    Patience("huggingface.co", lambda *report: told.append(report)).wait(Setback("it is busy"))
    assert told == [("wait for huggingface.co", 0, 0)]


def test_a_connection_that_breaks_is_made_again(server, address):
    server.fails("a.jsonl", [drops(0), drops(100)])
    assert content(address) == CONTENT


def test_a_server_that_stalls_is_a_connection_lost(server, address, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    server.fails("a.jsonl", [stalls()])
    assert content(address) == CONTENT
    assert server.waits == [WAITS[0]]


def test_without_a_network_one_line_says_who_cannot_be_reached(server):
    with socket.socket() as closed:  # bound, and listening to nobody
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        message = refused(f"http://someone:secret@{host}/a.jsonl")
    assert message.startswith(f"cannot reach {host}: ")
    assert "refused" in message
    assert message.endswith("; run the same command again")
    assert server.waits == list(WAITS)


def test_offline_mode_is_named_and_not_waited_for(server, address, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refused(address) == f"cannot reach 127.0.0.1:{server.port}: HF_HUB_OFFLINE is set; unset it to go on"
    assert not server.waits


def test_what_is_not_there_is_not_asked_for_again(server):
    address = f"{server.address}/a.jsonl"
    host = f"127.0.0.1:{server.port}"
    assert refused(address) == f"{host} answers 404 (Not Found) to {address}: expected a file there"
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_a_gated_repository_says_where_to_ask(code, server):
    message = refused(address_of(server, gated=code))
    assert "someone/books is gated: accept its terms at https://huggingface.co/datasets/someone/books, then" in message
    assert message.endswith("`hf auth login` or set HF_TOKEN")
    assert len(server.requests) == 1


@pytest.mark.parametrize(("hub", "way_out"), [(True, "`hf auth login`, or set HF_TOKEN"), (False, "a public file")])
def test_a_refusal_without_a_reason_says_what_may_help(hub, way_out, server, address, monkeypatch):
    if not hub:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    server.fails("a.jsonl", [status(403)])
    assert f"answers 403 (Forbidden) to {address}: " in refused(address)
    server.fails("a.jsonl", [status(403)])
    assert refused(address).endswith(way_out)


def test_the_token_goes_to_the_hub_and_not_where_it_leads(server, address, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.elsewhere = True
    assert content(address) == CONTENT
    asked = {path.startswith("/elsewhere"): headers.get("Authorization") for path, headers in server.requests}
    assert asked == {False: "Bearer hf_secret", True: None}


def test_the_token_goes_to_nobody_whose_address_begins_like_the_hubs(server, address, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", server.address[:-1])
    assert content(address) == CONTENT
    assert "Authorization" not in server.asked("a.jsonl")[0]
