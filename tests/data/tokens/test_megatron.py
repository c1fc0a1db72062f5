"""What is refused of Megatron's indexed data sets."""

import re

import pytest

from repro.data.tokens import megatron as megatron_module
from repro.data.tokens import token_file
from repro.data.tokens.imports import token_files
from tests.data.token_files import EOS_ID, check, documents, index, joined, megatron, raw, refusal


@pytest.fixture
def part(tmp_path):
    """The prefix of an index that says where three documents of 10 tokens each lie."""
    raw(tmp_path / "part.bin", [1] * 30)
    index(tmp_path / "part.idx", [10, 10, 10], [0, 1, 2, 3])
    return tmp_path / "part"


def test_another_magic_is_refused(part):
    index(part.with_suffix(".idx"), [10, 10, 10], [0, 1, 2, 3], magic=b"TNTIDX\x00\x00")
    said = refusal(check, part)
    assert said.startswith(f"{part}.idx begins with b'TNTIDX")
    assert said.endswith(r"expected the 34 bytes that begin with b'MMIDIDX\x00\x00'")


@pytest.mark.parametrize("keep", [0, 5, 9, 33])
def test_an_index_that_ends_within_its_header_is_refused(part, keep):
    content = part.with_suffix(".idx").read_bytes()[:keep]
    part.with_suffix(".idx").write_bytes(content)
    assert refusal(check, part).startswith(f"{part}.idx begins with {content[:9]!r}: expected the 34 bytes")


def test_another_version_is_refused(part):
    index(part.with_suffix(".idx"), [10, 10, 10], [0, 1, 2, 3], version=2)
    assert refusal(check, part) == f"{part}.idx is a Megatron index of version 2: expected version 1"


@pytest.mark.parametrize(("code", "what"), [(6, "<f8"), (7, "<f4"), (99, "type 99")])
def test_tokens_that_are_no_integers_are_refused(part, code, what):
    index(part.with_suffix(".idx"), [10, 10, 10], [0, 1, 2, 3], code=code)
    said = refusal(check, part)
    assert said == f"{part}.idx says that its tokens are of {what}: expected one of Megatron's integer types"


@pytest.mark.parametrize("change", [-1, 3])
def test_an_index_of_another_size_is_refused(part, change):
    content = part.with_suffix(".idx").read_bytes() + bytes(3)
    part.with_suffix(".idx").write_bytes(content[: change - 3 or None])
    said = refusal(check, part)
    assert said == (
        f"{part}.idx holds {102 + change} bytes: expected 102 for 3 sequences of text and the 4 borders of their "
        "documents"
    )


@pytest.mark.parametrize("tokens", [29, 31])
def test_tokens_of_another_size_than_the_index_says_are_refused(part, tokens):
    raw(part.with_suffix(".bin"), [1] * tokens)
    said = refusal(check, part)
    assert said == f"{part}.bin holds {2 * tokens} bytes: expected 60, as part.idx beside it says"


def test_an_index_without_tokens_is_refused(part):
    part.with_suffix(".bin").unlink()
    assert refusal(check, part) == f"{part}.idx has no tokens: expected part.bin beside it"
    raw(part.with_suffix(".bin"), [])
    index(part.with_suffix(".idx"), [], [0])
    assert refusal(check, part) == f"{part}.bin holds no tokens: remove it and its index, or write them again"


@pytest.mark.parametrize(
    ("lengths", "borders", "what"),
    [([10, 10, 10], [0], "documents"), ([-10, 30, 10], [0, 1, 2, 3], "sequences"), ([-5, 35], [0, 1, 2], "sequences")],
)
def test_an_index_that_is_not_in_order_is_refused_before_its_tokens_are_looked_at(part, lengths, borders, what):
    """As the tokenizer's check would: no documents to choose from, or none where they should begin."""
    index(part.with_suffix(".idx"), lengths, borders)
    assert refusal(token_files, part).startswith(f"{part}.idx does not have all {what} one after the other")


@pytest.fixture(params=[2, 2**16])
def block(request, monkeypatch):
    """Has indexes gone through a few entries at a time, too."""
    monkeypatch.setattr(megatron_module, "_BLOCK", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("borders", [[1, 2, 3], [0, 2, 1, 3], [0, 1, 3, 2, 3], [0, 1, 2], [0, 3, 4]])
def test_documents_that_are_not_one_after_the_other_are_refused(part, borders):
    index(part.with_suffix(".idx"), [10, 10, 10], borders)
    said = refusal(check, part)
    assert said.startswith(
        f"{part}.idx does not have all documents one after the other: expected an index by Megatron's"
    )


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("order", [[1, 0, 2], [1, 1, 2], [0, 0, 2]])
def test_sequences_that_are_not_one_after_the_other_are_refused(part, order):
    path = part.with_suffix(".idx")
    content = path.read_bytes()
    begins = b"".join(content[46 + 8 * n : 54 + 8 * n] for n in order)
    path.write_bytes(content[:46] + begins + content[70:])
    assert refusal(check, part).startswith(f"{part}.idx does not have all sequences one after the other")


@pytest.mark.usefixtures("block")
def test_documents_of_several_sequences_end_with_their_last(tmp_path):
    of = documents(3, 40)
    megatron(tmp_path / "part", of, sentence=7)
    (file,) = token_files(tmp_path)
    (chunk,) = file.chunks(1000, EOS_ID)
    assert chunk.ends.tolist() == [len(joined(of[:n])) for n in range(1, 41)]


@pytest.mark.parametrize("number", [1, 17, 40])
def test_a_document_without_its_end_is_named(tmp_path, monkeypatch, number):
    monkeypatch.setattr(token_file, "_CHUNK", 512)
    of = documents(3, 40)
    ids = joined(of)
    ids[len(joined(of[:number])) - 1] = 11
    megatron(tmp_path / "part", of)
    raw(tmp_path / "part.bin", ids)
    assert refusal(check, tmp_path) == (
        f"{tmp_path}/part.bin: document {number} ends with the token id 11, not with the end of text (7): expected "
        "tokens written with --append-eod and with this tokenizer; if all documents end with 11, give eos_id=11"
    )


def test_tokens_written_without_append_eod_are_refused(tmp_path):
    megatron(tmp_path / "part", [[1, 2, 3]] * 20, eos_id=None)
    assert re.search(r"document 1 ends with the token id 3, not with .*--append-eod", refusal(check, tmp_path))
