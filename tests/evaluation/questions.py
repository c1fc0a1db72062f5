"""What tests of tasks are made of: a model whose likelihoods are known, and items as JSON lines."""

import json

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn

from repro.evaluation.subject import Subject

CPU = torch.device("cpu")


class Bigram(nn.Module):
    """Logits of what follows a token, ``table[token]``; 0 at first, so that each of the V ids is as likely."""

    def __init__(self, entries):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(entries, entries), requires_grad=False)
        self.read = []

    def forward(self, tokens, targets=None, document=None, *, wanted=None):
        self.read.append(tokens)
        logits = self.table[tokens]
        return logits if wanted is None else logits[wanted]


def by_bytes():
    """A tokenizer that has an id for each byte, and 0 for the end of text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {"<|endoftext|>": 0} | {letter: number for number, letter in enumerate(alphabet, start=1)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def uniform(*, context=10_000, likes=()):
    """A model to which each byte is as likely, but for pairs of bytes of ``likes``, of which the second follows."""
    tokenizer = by_bytes()
    network = Bigram(tokenizer.get_vocab_size())
    for before, after in likes:
        network.table[id_of(tokenizer, before), id_of(tokenizer, after)] = 5.0
    return Subject(network, tokenizer, 0, context, False, CPU)


def id_of(tokenizer, letter):
    (id_,) = tokenizer.encode(letter).ids
    return id_


def write(folder, name, rows):
    """Items as JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
