"""How far a piece of work is, where there is no terminal."""

import io

from rich.console import Console

from repro.data.progress import Lines, part_of


def lines(*reports, seconds):
    file = io.StringIO()
    say = Lines(Console(file=file, width=200), seconds)
    for report in reports:
        say(*report)
    return file.getvalue().splitlines()


def test_a_stage_is_told_no_more_often_than_asked_for():
    assert lines(("tokenise", 1, 4), ("tokenise", 2, 4), seconds=60) == []
    assert [line.split(",")[0] for line in lines(("tokenise", 1, 4), ("tokenise", 2, 4), seconds=0)] == [
        "tokenise: 25.0%",
        "tokenise: 50.0%",
    ]


def test_what_is_left_is_told_once_something_is_gained():
    first, second = lines(("tokenise", 1, 4), ("tokenise", 2, 4), seconds=0)
    assert first == "tokenise: 25.0%"
    assert second.startswith("tokenise: 50.0%, ")
    assert second.endswith(" left")


def test_one_of_several_things_at_once_is_not_told():
    assert lines((part_of("a.jsonl"), 1, 4), seconds=0) == []


def test_what_waits_or_is_mended_is_told_once_and_at_once():
    mend = ("mend: [red]/a.bin is altered", 0, 0)
    assert lines(mend, mend, ("wait for another process", 0, 0), seconds=60) == [
        "mend: [red]/a.bin is altered",
        "wait for another process",
    ]
