"""Sets of a few documents, and models that nobody trained, for tests of evaluation."""

import hashlib
import json

import numpy as np
import torch

from repro import models
from repro.data import manifest, shards, tokenizer
from repro.data.manifest import Piece, Prepared, TokenizerFile
from repro.evaluation.subject import Subject
from repro.recipe import load

VOCABULARY = 300
CONTEXT = 16
WORDS = "the order of a polynomial decides how many times its graph can turn before it leaves the page for good"
EOS = 0


def text(seed, words=30):
    """Some words, and letters of more than one byte."""
    random = np.random.default_rng(seed)
    return " ".join([*random.choice(WORDS.split(), words), "für", "π"])


def a_tokenizer():
    return tokenizer.train([text(seed) for seed in range(50)], VOCABULARY)


def a_set(folder, subsets, *, made_with=None, ended=True):
    """A prepared set of ``subsets``: names, and of each shard the texts. Unless ``ended`` nothing ends a last one."""
    folder.mkdir(parents=True)
    by = made_with or a_tokenizer()
    by.save(str(folder / "tokenizer.json"))
    found = []
    for subset, files in subsets.items():
        for texts in files:
            found.append(shard(folder, by, subset, len(found), texts, ended=ended))
    pieces = (Piece(name="00000", made_from="tests", shards=tuple(found)),)
    made_by = TokenizerFile(kind="bpe", sha256=shards.sha256(folder / "tokenizer.json"), made_from="tests")
    content = {
        "schema_version": manifest.SCHEMA,
        "corpus": folder.parent.name,
        "found_in": "a test",
        "vocab_size": VOCABULARY,
        "eos_id": EOS,
        "dtype": "uint16",
        "tokenizer": made_by.model_dump(),
        "pieces": [piece.model_dump() for piece in pieces],
        "totals": {split: total.model_dump() for split, total in manifest.totals(tuple(found)).items()},
        "split_rule": "all",
        "left_out": {},
        "entropies": None,
        "duplicates": None,
        "versions": {},
        "fingerprint": manifest.fingerprint(VOCABULARY, EOS, made_by, tuple(found)),
    }
    (folder / "manifest.json").write_text(json.dumps(content))
    return Prepared.open(folder)


def shard(folder, by, subset, number, texts, *, ended):
    """Write one."""
    ids = [id_ for each in texts for id_ in [*by.encode(each, add_special_tokens=False).ids, EOS]]
    tokens = np.array(ids if ended else ids[:-1], dtype="<u2")
    path = folder / "validation" / f"{number:05d}.bin"
    path.parent.mkdir(exist_ok=True)
    tokens.tofile(path)
    return shards.Shard(
        file=f"validation/{path.name}",
        split="validation",
        subset=subset,
        tokens=len(tokens),
        documents=len(texts),
        bytes_of_text=sum(len(each.encode()) for each in texts),
        sha256=hashlib.sha256(tokens.tobytes()).hexdigest(),
    )


def subject(*, within_documents=False, family="dense", context=CONTEXT):
    """A model of random weights."""
    settings = [f"model.vocab_size={VOCABULARY}", "model.d_model=16", "model.n_layers=2", f"data.context={context}"]
    recipe = load(f"{family}-smoke-polynorm", [*settings, *(["model.d_ff=48"] if family == "dense" else [])])
    torch.manual_seed(0)
    network = models.from_recipe(recipe.model)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.requires_grad_(False).eval()
    return Subject(network, a_tokenizer(), EOS, context, within_documents, torch.device("cpu"))
