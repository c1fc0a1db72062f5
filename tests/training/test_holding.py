"""A lock is held by one process, waited for or told of; what the disk refuses is a line that names the file."""

import errno
import subprocess
import sys

import pytest

from repro.errors import RunError
from repro.training.holding import held, told

OTHER = """
import sys
from pathlib import Path
from repro.training.holding import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
    Path(sys.argv[1]).with_name("ended").touch()
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds a lock, of a folder that was not there, until its input ends."""
    lock = tmp_path / "folder/.lock"
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield lock, process


def test_what_another_process_holds_is_told(other):
    lock, _ = other
    with pytest.raises(RunError, match=r"^the folder is in use$"), held(lock, refusal="the folder is in use"):
        pytest.fail("nothing was held")


def test_without_a_refusal_it_is_waited_for(other):
    lock, process = other
    process.stdin.close()
    with held(lock):
        assert lock.with_name("ended").is_file()


def test_the_lock_of_a_process_that_was_killed_is_free(other):
    lock, process = other
    process.kill()
    process.wait()
    with held(lock, refusal="the folder is in use"):
        assert not lock.with_name("ended").exists()


def test_what_the_disk_refuses_names_the_file_or_the_folder_it_is_in(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError) as refused, told(tmp_path, also="; the rest is kept"):
        (tmp_path / "file").mkdir()
    assert str(refused.value) == f"cannot write {tmp_path}/file: File exists; the rest is kept"
    with pytest.raises(RunError) as refused, told(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(refused.value) == f"cannot write {tmp_path}: No space left on device"


def test_an_error_that_is_no_disks_is_passed_on(tmp_path):
    with pytest.raises(OSError, match=r"^the archive is damaged$"), told(tmp_path):
        raise OSError("the archive is damaged")
