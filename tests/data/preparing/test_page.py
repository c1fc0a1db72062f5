"""The page about a prepared set: what it says, and that no document or name can break it.

Write the golden page anew with ``REPRO_WRITE_GOLDEN=1 python -m pytest tests/data/preparing/test_page.py`` and read the
diff.
"""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from repro.data import shards, tokenizer
from repro.data.manifest import (
    TOKENIZER,
    Duplicates,
    Entropies,
    Longest,
    Manifest,
    Piece,
    Prepared,
    TokenizerFile,
    fingerprint,
    in_order,
    totals,
)
from repro.data.preparing.page import _entropies as entropies_said
from repro.data.preparing.page import _training as training_said
from repro.data.preparing.page import page
from repro.data.preparing.samples import CHARACTERS, SAMPLES, samples
from repro.data.shards import Shard
from repro.recipe import load

GOLDEN = Path(__file__).parents[2] / "golden" / "page.md"
VOCABULARY = tokenizer.SMALLEST_VOCABULARY  # a token for every byte
TITLES = [
    "What it holds",
    "What was left out",
    "The longest documents",
    "Documents that come again",
    "What a loss means",
    "Some documents",
    "Training on it",
    "Made with",
]


def manifest_of(pieces, **changes):
    """A manifest that holds together, whatever is changed in it."""
    made = in_order(pieces)
    file = TokenizerFile(kind=changes.pop("kind", "bpe"), sha256="5e" * 32, made_from="")
    vocab_size = changes.pop("vocab_size", VOCABULARY)
    values = {
        "corpus": "letters",
        "found_in": "a drawer",
        "vocab_size": vocab_size,
        "eos_id": tokenizer.EOS_ID,
        "dtype": shards.stored_as(vocab_size),
        "tokenizer": file,
        "pieces": tuple(pieces),
        "totals": totals(made),
        "split_rule": "by the day of the week",
        "left_out": {},
        "entropies": None,
        "duplicates": None,
        "versions": {"python": "3.11.7", "tokenizers": "0.23.3"},
        "fingerprint": fingerprint(vocab_size, tokenizer.EOS_ID, file, made),
    }
    return Manifest.model_validate(values | changes)


@pytest.fixture
def made(tmp_path):
    """A set of documents, as ``{(subset, split): texts}``, each a shard of one piece."""

    def made(texts, **changes):
        by = tokenizer.train([], VOCABULARY)
        by.save(str(tmp_path / TOKENIZER))
        entries = []
        for number, ((subset, split), documents) in enumerate(texts.items()):
            file = f"{split}/{number:05d}.bin"
            ids = [id for text in documents for id in [*by.encode(text).ids, tokenizer.EOS_ID]]
            with shards.writing(tmp_path / file, VOCABULARY) as writer:
                writer.add(np.array(ids, dtype=np.uint32))
            size = sum(len(text.encode()) for text in documents)
            counts = {"tokens": len(ids), "documents": len(documents), "bytes_of_text": size}
            entries.append(Shard(file=file, split=split, subset=subset, sha256=f"{number}", **counts))
        pieces = [Piece(name="00000", made_from="", shards=tuple(entries))]
        return Prepared(tmp_path, manifest_of(changes.pop("pieces", pieces), **changes))

    return made


def written(prepared):
    return page(prepared.folder, prepared.manifest)


def section(text, title):
    return text.partition(f"## {title}\n\n")[2].partition("\n\n## ")[0]


def parsed(text):
    """As GitHub's dialect reads it, in the parts that matter: tables, and HTML that is passed on."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


NAMES = ("Ann", "Bob", "Cleo", "Dov", "Fred", "Gil", "Hanna", "Ivo")
LETTERS = {
    ("letters", "train"): [f"Dear {name},\n\tI have arrived, but for my {name}'s umbrella.\n" for name in NAMES],
    ("notes_2", "train"): ["Milk, bread."],
    ("letters", "validation"): ["Dear Eve,\n" + "storm, " * 80],
}


def test_the_page_of_a_small_set_is_its_golden_file(made):
    prepared = made(
        LETTERS,
        found_in="the drawer of *one* desk",
        settings={"tokens": "1e3", "text_key": "body"},
        left_out={"empty": 2, "not UTF-8": 31, "exact duplicates": 0},
        entropies=Entropies(unigram=3.2, bigram=2.1, bytes_per_token=0.998),
        duplicates=Duplicates(documents=10, duplicates=1, one_in=1),
    )
    longest = Longest(tokens=611, at="letters/eve.txt, document 1")
    pieces = (prepared.manifest.pieces[0].model_copy(update={"longest": longest}),)
    text = page(prepared.folder, prepared.manifest.model_copy(update={"pieces": pieces}))
    if os.environ.get("REPRO_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), (
        "the page is no longer tests/golden/page.md. If that is meant: "
        "REPRO_WRITE_GOLDEN=1 python -m pytest tests/data/preparing/test_page.py"
    )


def test_nothing_of_this_machine_or_day_is_on_it(made):
    prepared = made(LETTERS)
    assert written(prepared) == written(prepared)
    assert str(prepared.folder) not in written(prepared)


NASTY = [
    "```\n# Not a title\n```",
    "````````` nine",
    "~~~\n</pre></details><script>alert(1)</script>\n<!-- ",
    "red \x1b[31m, back\b, bell \a, a return\rhere, next line \x85, separator \u2028 and \u2029",
    "left \u202e right \u2066 hidden \u200b byte order \ufeff",
    "no-break\u00a0space, accents é, Chinese 中文, and a smile 🙂",
    "x" * 390,
    "",
    "\n\n\n",
    "| a | b |\n|---|---|\n| c | d |",
    "    indented\n\ttabbed  \nand - listed\n1. numbered\n> quoted",
]


def shown(text):
    """How a document stands in its block."""
    seen = "".join(c if c in "\t\n" or c.isprintable() or c == "\u00a0" else f"{c!r}"[1:-1] for c in text)
    return "\n".join(line[at : at + 120] for line in seen.split("\n") for at in range(0, max(1, len(line)), 120))


@pytest.mark.parametrize("nasty", NASTY)
def test_no_document_breaks_out_of_its_block(made, nasty):
    text = written(made({("", "train"): ["before", nasty], ("", "validation"): [nasty]}))
    tokens = parsed(text)
    titles = [after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]
    assert titles == ["letters", *TITLES]
    assert shown(nasty) in [token.content.removesuffix("\n") for token in tokens if token.type == "fence"]
    assert not [token for token in tokens if token.type == "html_block"]
    assert all(character.isprintable() or character in "\n\t\u00a0" for character in text)
    assert max(len(line) for line in section(text, "Some documents").split("\n")) <= 120


WORDS = [
    "a|b",
    "`tick",
    "``",
    r"back\|slash\\",
    "<b>bold</b>",
    "&amp; *stars* __lines__ ~~struck~~ $x$",
    "[link](http://a.example)",
    "two\nlines\n# title",
    "esc\x1b[0m",
    "\u202eturned",
    " ",
]


@pytest.mark.parametrize("word", WORDS)
def test_no_name_breaks_its_line_or_its_table(made, word):
    prepared = made(
        {(word, "train"): ["text"], ("other", "validation"): ["text"]},
        corpus=word,
        found_in=word,
        settings={"text_key": word},
        split_rule=word,
        left_out={word: 3},
        versions={"python": word},
    )
    longest = Longest(tokens=4, at=word)
    pieces = (prepared.manifest.pieces[0].model_copy(update={"longest": longest}),)
    tokens = parsed(page(prepared.folder, prepared.manifest.model_copy(update={"pieces": pieces})))
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h1", *["h2"] * len(TITLES)]
    assert sum(token.type == "th_open" for token in tokens) == 2 + 6 + 2 + 2
    inline = [child for token in tokens if token.type == "inline" for child in token.children]
    assert {child.type for child in inline} <= {"text", "code_inline", "strong_open", "strong_close"}
    # In a cell of a table, in a code span and in a paragraph it reads as it is, but for what cannot be seen.
    said = " ".join(shown(" ".join(word.split())).split())
    cells = [
        "".join(child.content for child in token.children)
        for before, token in itertools.pairwise(tokens)
        if before.type == "td_open"
    ]
    assert cells.count(said) >= (4 if said else 0)


def test_the_samples_are_spread_over_subsets_and_their_shards(made):
    numbered = [f"document {number} " + "filler " * (number % 3) for number in range(300)]
    prepared = made(
        {
            ("large", "train"): numbered[:150],
            ("large", "validation"): numbered[150:200],
            ("small", "train"): numbered[200:210],
            ("none", "train"): [],
        }
    )
    found = [*samples(prepared)]
    assert len(found) == SAMPLES
    assert [sample.shard.subset for sample in found] == 3 * ["large"] + 3 * ["small"]
    numbers = [int(sample.text.split()[1]) for sample in found]
    assert all(sample.is_whole and sample.text == numbered[n] for sample, n in zip(found, numbers, strict=True))
    # A third of the way each, and the first after the middle of it.
    assert numbers[:3] == pytest.approx([33, 100, 167], abs=5)
    assert numbers[3:] == pytest.approx([202, 205, 208.5], abs=1.5)


def test_of_many_subsets_the_largest_are_shown(made):
    prepared = made({(f"subset {n}", "train"): ["a" * 10 * (n + 1), "b"] for n in range(9)})
    shown = [sample.shard.subset for sample in samples(prepared)]
    assert shown == [f"subset {n}" for n in (8, 7, 6, 5, 4, 3)]


def test_a_document_is_shown_once_and_its_beginning_is_said_to_be_one(made):
    (sample,) = samples(made({("", "train"): ["é" * 5000]}))
    assert (sample.start, sample.is_whole) == (0, False)
    assert sample.text == "é" * CHARACTERS
    said = written(made({("", "train"): ["é" * 5000]}))
    assert "`train/00000.bin` from token 0 on, the first 400 characters of a document:" in said


@pytest.mark.parametrize(("length", "whole"), [(CHARACTERS, True), (CHARACTERS + 1, False)])
def test_a_document_that_just_fits_is_whole(made, length, whole):
    (sample,) = samples(made({("", "train"): ["a" * length]}))
    assert sample.is_whole is whole


def test_of_two_thousand_shards_only_those_of_samples_are_opened(made, monkeypatch):
    prepared = made({("", "train"): ["a text"]})
    (shard,) = prepared.manifest.shards
    many = [shard.model_copy(update={"file": f"train/{n:05d}.bin", "subset": f"{n % 3}"}) for n in range(2000)]
    pieces = [Piece(name=f"{n}", made_from="", shards=(each,)) for n, each in enumerate(many)]
    opened, real = [], shards.read
    monkeypatch.setattr(
        shards, "read", lambda path, *a, **k: opened.append(path) or real(path.with_name("00000.bin"), *a, **k)
    )
    text = page(prepared.folder, manifest_of(pieces))
    assert len(opened) == len(set(opened)) == SAMPLES
    assert "2,000 files" in text


def test_imported_tokens_whose_bytes_nobody_counted(made):
    prepared = made(LETTERS)
    (piece,) = prepared.manifest.pieces
    unknown = [s.model_copy(update={"bytes_of_text": None}) if s.subset == "letters" else s for s in piece.shards]
    pieces = [piece.model_copy(update={"shards": tuple(unknown)})]
    entropies = Entropies(unigram=3.2, bigram=2.1, bytes_per_token=None)
    text = page(prepared.folder, manifest_of(pieces, entropies=entropies))
    rows = section(text, "What it holds").split("\n")[2:]
    assert [row.split(" | ")[4:] for row in rows] == [
        ["not known", "not known |"],
        ["12", "0.92 |"],
        ["not known", "not known |"],
        ["not known", "not known |"],
        ["not known", "not known |"],
    ]
    assert "| the token before as well (bigram) | 2.100 | not known |" in text
    assert section(text, "Documents that come again") == "Not known."
    assert section(text, "The longest documents") == "Not known."


@pytest.mark.parametrize("there", ["train", "validation"])
def test_a_set_of_one_split_says_that_no_run_can_train_on_it(made, there):
    other = {"train": "validation", "validation": "train"}[there]
    text = written(made({("", there): ["a text", "another"]}))
    assert section(text, "Training on it") == f"No run can: there is no {other} split."
    assert section(text, "What a loss means") == "Not measured, which takes a training and a validation split."
    assert f"| **{other}** | 0 | 0 | 0.00 % | 0 |  |" in text


def test_an_estimate_of_duplicates_says_what_it_rests_on(made):
    found = Duplicates(documents=16_000_000, duplicates=400_000, one_in=60)
    said = section(written(made(LETTERS, duplicates=found)), "Documents that come again")
    assert said.startswith("About 2.50 %: of the 16,000,000 documents whose hash is 0 modulo 60, 400,000 have the text")
    assert said.endswith("with about 24,000,000 such documents.")


def test_entropies_of_part_of_a_split_say_so(made):
    (train, validation) = made({("", "train"): ["a"], ("", "validation"): ["b"]}).manifest.shards
    large = train.model_copy(update={"tokens": 10**12})
    pieces = [Piece(name="0", made_from="", shards=(large, validation))]
    manifest = manifest_of(pieces, entropies=Entropies(unigram=3.2, bigram=2.1, bytes_per_token=1))
    assert entropies_said(manifest).endswith(
        "From 67,108,864 of 1,000,000,000,000 train tokens, in blocks at even distances."
    )


def test_the_ten_longest_documents_stand_in_order(made):
    pieces = made(LETTERS).manifest.pieces
    more = [
        Piece(name=f"{n}", made_from="", shards=(), longest=Longest(tokens=1000 * n, at=f"file {n}"))
        for n in range(1, 13)
    ]
    said = section(written(made(LETTERS, pieces=[*pieces, *more])), "The longest documents")
    assert said.startswith("The longest of each part that the set was made in; of these 12 the 10 longest:")
    assert [row.split("`")[1] for row in said.split("\n")[4:]] == [f"file {n}" for n in range(12, 2, -1)]


def sized(train):
    """Pieces of so many training tokens, and some of validation."""
    counts = {"documents": 1, "bytes_of_text": 1, "sha256": ""}
    made = [Shard(file="t", split="train", tokens=train, **counts)]
    made.append(Shard(file="v", split="validation", tokens=10**6, **counts))
    return [Piece(name="0", made_from="", shards=tuple(made))]


@pytest.mark.parametrize(
    ("corpus", "kind", "vocab_size", "tokens", "line"),
    [
        ("python-stdlib", "bpe", 4096, 3_000_000, "dense-smoke-polynorm"),
        ("python-stdlib", "bpe", 8192, 3_000_000, "dense-smoke-polynorm model.vocab_size=8192"),
        ("fineweb-edu-sample", "bpe", 8192, 10**10, "dense-4m-polynorm"),
        ("redpajama-1t", "llama-2", 32_000, 10**12, "dense-1b-polynorm"),
        ("olmoe-mix-0924", "olmo", 50_280, 10**12, "moe-1b7b-polynorm"),
        (
            "redpajama-1t",
            "llama-2",
            32_000,
            10**9,
            "dense-4m-polynorm data.corpus=redpajama-1t data.tokenizer=llama-2 model.vocab_size=32000",
        ),
        ("mine", "llama-2", 32_000, 10**11, "dense-1b-polynorm data.corpus=mine"),
        ("mine", "olmo", 50_280, 10**11, "moe-1b7b-polynorm data.corpus=mine"),
        (
            "python-stdlib",
            "bpe",
            4096,
            20_000,
            "dense-smoke-polynorm budget.tokens=80000 optim.warmup_tokens=8000",
        ),
        ("english", "bpe", 8192, 10**8, "dense-4m-polynorm data.corpus=english"),
        (
            "english",
            "bpe",
            300,
            10**6,
            "dense-smoke-polynorm data.corpus=english model.vocab_size=300",
        ),
        (
            "my texts",
            "olmo",
            50_280,
            10**8,
            "dense-4m-polynorm 'data.corpus=my texts' data.tokenizer=olmo model.vocab_size=50280",
        ),
    ],
)
def test_the_line_that_trains_on_it(corpus, kind, vocab_size, tokens, line):
    said = training_said(manifest_of(sized(tokens), corpus=corpus, kind=kind, vocab_size=vocab_size))
    assert f"```bash\nrepro run {line}\n```" in said


def test_how_often_a_run_goes_through_it():
    assert "through the training split 0.95 times:" in training_said(manifest_of(sized(10**8)))
    assert "through the training split 4 times:" in training_said(manifest_of(sized(1000)))


def test_no_advice_goes_through_a_set_more_than_four_times():
    for tokens in (100, 10**6, 10**9, 5 * 10**10):
        for kind, size in (("bpe", 8192), ("llama-2", 32_000), ("olmo", 50_280)):
            words = training_said(manifest_of(sized(tokens), kind=kind, vocab_size=size)).split("```")[1].split()
            assert words[:3] == ["bash", "repro", "run"]
            assert load(words[3], words[4:]).budget.tokens <= 4 * tokens


def test_what_is_known_of_a_published_set_stands_with_its_origin(made):
    said = written(made(LETTERS, corpus="redpajama-1t-sample"))
    assert "| licence | as of RedPajama-1T, each subset's own |\n| inferred | Bytes are the sum" in said
    assert "| note | The card says a billion tokens;" in said
    assert "| licence |" not in written(made(LETTERS, corpus="mine"))
