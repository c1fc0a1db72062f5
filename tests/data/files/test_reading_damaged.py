"""Files that are damaged or end early, how far a file is read, and in what memory."""

import bz2
import gzip
import io
import json
import random
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from repro.data.files.reading import documents
from repro.errors import DataError
from tests.data.written import zipped, zstd

PACKED = {".gz": gzip.compress, ".zst": zstd, ".zstd": zstd, ".bz2": bz2.compress}
MANY = 20_000  # lines, of which no format makes less than a megabyte
LONG = b"".join(json.dumps({"text": random.Random(n).randbytes(75).hex()}).encode() + b"\n" for n in range(MANY))
AGAIN = "; expected the whole file, so fetch or write it again"


@pytest.fixture
def refusal(tmp_path):
    """The one line in which a file is refused, and where the documents stand that came before."""

    def refusal(name, raw):
        read = []
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(DataError) as caught:
            read.extend(each.at for each in documents(tmp_path / name, name, "text"))
        assert "\n" not in str(caught.value)
        return str(caught.value), read

    return refusal


@pytest.fixture(scope="module")
def packed():
    """``LONG``, by the suffix of its compression."""
    return {suffix: pack(LONG) for suffix, pack in PACKED.items()}


def parquet(texts, **options):
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("lost", [1, 200_000])
def test_a_truncated_file_is_refused_after_its_last_line(refusal, packed, tmp_path, suffix, lost):
    said, read = refusal(f"a.jsonl{suffix}", packed[suffix][:-lost])
    where = f"{tmp_path}/a.jsonl{suffix}"
    assert said == f"{where} is damaged or ends early, after {read[-1]}: Truncated compressed stream{AGAIN}"
    assert 0 < len(read) < MANY


@pytest.mark.parametrize("suffix", PACKED)
def test_what_is_not_packed_as_its_name_says_is_refused(refusal, suffix):
    said, _ = refusal(f"a.jsonl{suffix}", LONG)
    assert f"a.jsonl{suffix} is damaged or ends early, after its beginning: " in said
    assert said.endswith(AGAIN)


def test_a_truncated_parquet_file_is_refused(refusal):
    said, _ = refusal("a.parquet", parquet(["a", "b"])[:-20])
    assert "a.parquet is damaged or ends early, after its beginning: Parquet magic bytes not found in footer" in said
    assert said.endswith(AGAIN)


def test_a_damaged_parquet_file_is_refused_after_its_last_row(refusal):
    raw = bytearray(parquet([f"{number} " * 50 for number in range(5000)], row_group_size=1000))
    middle = len(raw) // 2
    raw[middle : middle + 400] = bytes(400)
    said, read = refusal("a.parquet", bytes(raw))
    assert f"a.parquet is damaged or ends early, after {read[-1]}: " in said
    assert 900 < len(read) < 4000


def test_a_truncated_archive_is_refused(refusal):
    said, _ = refusal("a.zip", zipped({"a.jsonl": LONG})[:-10])
    assert said.endswith(f"a.zip is damaged or ends early, after its beginning: File is not a zip file{AGAIN}")


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_a_damaged_member_is_named_with_its_last_line(refusal, place):
    raw = bytearray(zipped({"a.txt": b"hej", "b.jsonl": LONG}))
    raw[int(place * len(raw))] ^= 0xFF
    said, read = refusal("a.zip", bytes(raw))
    last = read[-1].removeprefix("b.jsonl, ") if len(read) > 1 else "its beginning"
    assert f"a.zip, b.jsonl is damaged or ends early, after {last}: " in said
    assert said.endswith(AGAIN)


def test_a_member_that_cannot_be_unpacked_is_named(refusal):
    raw = bytearray(zipped({"a.txt": b"hej", "b.jsonl": LONG}))
    raw[raw.index(b"b.jsonl") + len("b.jsonl")] = 0b111  # a kind of block that there is not
    said, _ = refusal("a.zip", bytes(raw))
    assert "a.zip is damaged or ends early, after b.jsonl: Error -3 while decompressing data" in said


@pytest.mark.parametrize(
    ("place", "value", "why"), [(8, 1, "is encrypted, password required for extraction"), (10, 99, "not supported")]
)
def test_an_archive_that_cannot_be_opened_here_names_the_member_and_the_way_out(refusal, place, value, why):
    raw = bytearray(zipped({"a.txt": b"hej", "b.jsonl": LONG}))
    raw[raw.rindex(b"PK\x01\x02") + place] = value  # of b.jsonl, in the directory at the end
    raw[raw.index(b"PK\x03\x04", 1) + place - 2] = value  # and before its content
    said, read = refusal("a.zip", bytes(raw))
    assert "a.zip cannot be unpacked at b.jsonl: " in said
    assert said.endswith(f"{why}; unpack it yourself and prepare the folder")
    assert read == ["a.txt, byte 0"]


def test_how_far_a_file_is_read_is_told_in_bytes_as_stored(tmp_path, packed):
    contents = {f"a.jsonl{suffix}": raw for suffix, raw in packed.items()}
    contents |= {"a.jsonl": LONG, "a.parquet": parquet([str(number) for number in range(999)])}
    contents["a.zip"] = zipped({f"{number}.jsonl": LONG[: 2**20] for number in range(5)})
    for name, raw in contents.items():
        (tmp_path / name).write_bytes(raw)
        read = [each.read for each in documents(tmp_path / name, name, "text")]
        assert read == sorted(read), name
        assert read[0] < read[-1] <= len(raw), name
        assert read[-1] > 0.7 * len(raw), name


MEMORY = """
    import sys
    from pathlib import Path
    from repro.data.files.reading import documents

    def peak():  # of this process alone: getrusage's is at least that of the one which started it
        return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024

    for path in map(Path, sys.argv[1:]):
        before = peak()
        print(sum(len(found.text) for found in documents(path, path.name, "text")) // 2**20, peak() - before)
"""


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Of 96 MiB in documents of 64 KiB, parquet's in one group of rows and not compressed, less than half is held."""
    text, n = "".join(f"{number:05x}\n" for number in range(2**14))[: 2**16], 96 * 16
    line = json.dumps({"text": text}).encode() + b"\n"
    (tmp_path / "a.jsonl.zst").write_bytes(zstd(line * n))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line * 96, 1) * 16)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode() * 96, 1) * 16)
    stored = {"compression": "none", "use_dictionary": False, "write_batch_size": 16}  # which makes pages of a megabyte
    (tmp_path / "a.parquet").write_bytes(parquet([text] * n, row_group_size=n, **stored))
    paths = sorted(map(str, tmp_path.iterdir()))
    command = [sys.executable, "-c", textwrap.dedent(MEMORY), *paths]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in said.splitlines()]
    assert [size for size, _ in rows] == [96] * len(paths)
    assert all(grown < 48 for _, grown in rows), rows
