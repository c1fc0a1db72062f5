"""``repro prepare tasks``."""

import contextlib
import io
import json
import socket
import time

import pytest
from rich.console import Console

from repro.data.preparing.start import start
from repro.data.tasks import facts, fetch, rows
from repro.errors import DataError, ReproError

COPA = facts.task("copa").files[0]


@pytest.fixture(autouse=True)
def prepared_in(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "prepared"))
    return tmp_path / "prepared" / "tasks"


def item(number):
    return {"premise": f"It rained {number}.\u2028", "choice1": "a", "choice2": "é", "question": "effect", "label": 0}


def given(folder, count=COPA.items, file=COPA):
    folder.mkdir(exist_ok=True)
    fetch.write([item(number) for number in range(count)], folder / file.name)
    return folder


def prepare(*settings):
    console = Console(file=io.StringIO(), width=200)
    start(["tasks", *settings], console=console)
    return console.file.getvalue()


def test_a_folder_is_taken_over(tmp_path, prepared_in):
    said = prepare(f"path={given(tmp_path / 'mine')}")
    assert said == f"{prepared_in} holds the data of olmo_copa, copa\nrepro eval RUN --tasks olmo_copa\n"
    assert rows.rows(COPA, prepared_in) == [item(number) for number in range(100)]


def test_only_what_is_asked_for_is_taken_over(tmp_path, prepared_in):
    folder = given(tmp_path / "mine")
    given(folder, 500, facts.task("olmo_openbookqa").files[0])
    prepare("names=copa", f"path={folder}")
    assert [path.name for path in prepared_in.iterdir()] == [COPA.name]


def test_what_is_asked_for_has_to_be_in_the_folder(tmp_path, prepared_in):
    with pytest.raises(
        DataError, match=r"mine lacks piqa__plain_text.validation.jsonl: put them there, or run .* path="
    ):
        prepare("names=copa,piqa", f"path={given(tmp_path / 'mine')}")
    assert not prepared_in.exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["path=nowhere"], "path=nowhere: expected a folder with files such as ai2_arc__ARC-Easy.test.jsonl"),
        (["names=copo"], "no task is called 'copo'. Did you mean 'copa'?"),
        (["tasks=copa"], "prepare tasks has no setting 'tasks'. There is: names, path."),
        (["path=."], "path=. holds no data of a task: expected files such as ai2_arc__ARC-Easy.test.jsonl"),
    ],
)
def test_bad_settings_are_told_in_one_line(settings, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReproError) as caught:
        prepare(*settings)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_number_of_items_is_refused_and_nothing_written(tmp_path, prepared_in):
    folder = given(tmp_path / "mine", 99)
    given(folder, 500, facts.task("olmo_openbookqa").files[0])
    with pytest.raises(DataError, match=r"mine has 99 items for super_glue__copa.validation.jsonl, expected 100"):
        prepare(f"path={folder}")
    assert not prepared_in.exists()


class Hub:
    """In place of the hub's client: what it has, and what was asked for."""

    def __init__(self, count=100, error=None):
        self.count, self.error, self.asked = count, error, []

    def load_dataset(self, path, name=None, *, split):
        self.asked.append((path, name, split))
        if self.error:
            raise self.error
        return [item(number) for number in range(self.count)]


@pytest.fixture
def hub(monkeypatch):
    def put(**options):
        one = Hub(**options)
        monkeypatch.setattr("datasets.load_dataset", one.load_dataset)
        monkeypatch.setattr("repro.data.files.network.get", lambda address: contextlib.nullcontext())
        return one

    return put


def test_data_come_from_the_hub_once(hub, prepared_in):
    one = hub()
    prepare("names=copa,olmo_copa")
    prepare("names=copa")
    assert one.asked == [("aps/super_glue", "copa", "validation")]
    assert [json.loads(line) for line in (prepared_in / COPA.name).read_text().split("\n")[:-1]] == [
        item(number) for number in range(100)
    ]


def test_a_part_is_fetched_again(hub, prepared_in):
    prepared_in.mkdir(parents=True)
    (prepared_in / COPA.name).write_text(json.dumps(item(0)) + "\n" + '{"premise')
    hub()
    prepare("names=copa")
    assert len(rows.rows(COPA, prepared_in)) == 100


def test_without_the_network_it_is_told_which_files_to_put_where(hub, prepared_in):
    hub(error=ConnectionError("Couldn't reach 'aps/super_glue' on the Hub\nmore"))
    with pytest.raises(ReproError) as caught:
        prepare("names=copa,piqa")
    files = "super_glue__copa.validation.jsonl, piqa__plain_text.validation.jsonl"
    assert str(caught.value).endswith(f"on the Hub; to go on without it, put {files} into {prepared_in}")
    assert not prepared_in.exists()


def test_another_version_on_the_hub_is_refused(hub, prepared_in):
    hub(count=101)
    with pytest.raises(DataError, match=r"aps/super_glue on huggingface.co has 101 items .*, expected 100"):
        prepare("names=copa")
    assert not prepared_in.exists()


def test_no_network_is_told_in_one_line_at_once(prepared_in, monkeypatch, capfd):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        there = f"127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", f"http://{there}")
        monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waits {seconds} s"))
        with pytest.raises(DataError, match=rf"^cannot reach {there}: .*; to go on without it, put {COPA.name} into "):
            prepare("names=copa")
    assert capfd.readouterr().err == ""
    assert not prepared_in.exists()


def test_what_was_fetched_before_is_used_offline(hub, prepared_in, monkeypatch):
    hub()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("repro.data.files.network.get", lambda address: pytest.fail("asks the network"))
    prepare("names=copa")
    assert len(rows.rows(COPA, prepared_in)) == 100
