"""`repro generate`: a text and what follows it, as it comes; and what is asked wrongly, in one line."""

import copy
import dataclasses
import math

import pytest
from torch import nn

from repro import cli
from repro.evaluation.generating import generate, generation
from repro.evaluation.generating.generate import Asked, texts
from repro.evaluation.generating.generation import Sampling
from repro.evaluation.subject import Subject
from repro.recipe import load
from tests.evaluation import made
from tests.interop import untrained

CONTEXT = 32
HOT = (
    "expected a number above 0, up to 100, such as temperature=0.8; without it and top_k and top_p the likeliest "
    "token is taken"
)
MODEL = made.subject(context=CONTEXT)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's folder, of which the checkpoints of steps 5 and 10 are there."""
    monkeypatch.setattr(Subject, "of", lambda trained, device: MODEL)
    return str(untrained.write(load("dense-smoke-polynorm"), tmp_path / "run", steps=(5, 10)))


@pytest.fixture
def said(run, capsys):
    """What a command writes."""

    def said(prompt, *settings):
        assert cli.status(["generate", run, prompt, *settings, "--on", "cpu"]) == 0
        return capsys.readouterr().out

    return said


@pytest.fixture
def refused(run, capsys):
    """The line of a command that may not write anything."""

    def refused(prompt, *settings, of=run):
        assert cli.status(["generate", of, prompt, *settings, "--on", "cpu"]) == 2
        printed = capsys.readouterr()
        assert not printed.out
        assert printed.err.count("\n") == 1
        return printed.err.removeprefix("repro: ").strip()

    return refused


def expected(prompt, n, sampling=None):
    ids = MODEL.tokenizer.encode(prompt, add_special_tokens=False).ids
    (new,) = generation.generate(MODEL, [ids], tokens=n, sampling=sampling)
    return MODEL.tokenizer.decode([*ids, *new]) + "\n"


def test_the_text_is_told_and_what_follows_it(said):
    assert said("the graph of", "tokens=7") == expected("the graph of", 7)


def test_as_much_follows_as_there_is_room_for(said):
    read = len(MODEL.tokenizer.encode("the page").ids)
    assert said("the page") == expected("the page", CONTEXT - read)


def test_an_empty_prompt_begins_a_document(said):
    assert said("", "tokens=5") == expected("", 5)


def test_it_is_drawn_where_that_is_asked(said):
    drawn = said("the", "tokens=9", "temperature=1.5", "top_k=50", "top_p=0.9", "seed=4")
    assert drawn == expected("the", 9, Sampling(1.5, 50, 0.9, 4))
    assert drawn != said("the", "tokens=9")


def test_settings_are_what_they_say():
    assert Asked.of([]) == Asked(None, None, None)
    assert Asked.of(["top_p=0.5", "step=10"]) == Asked(None, Sampling(top_p=0.5), 10)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["tmperature=1"], "generate has no setting 'tmperature'. Did you mean 'temperature'?"),
        (["x=1"], "generate has no setting 'x'. There is: tokens, temperature, top_k, top_p, seed, step."),
        (["graph"], "'graph' is not key=value, such as tokens=64; a prompt of several words stands in quotes"),
        (["seed=1", "seed=2"], "seed is set twice"),
        (["seed=1"], "seed=1: nothing is drawn without temperature, top_k or top_p"),
        (["tokens=0"], "tokens=0: expected a whole number from 1 to 2147483647, such as tokens=64"),
        (["top_k=1.5"], "top_k=1.5: expected a whole number from 1 to 2147483647, such as top_k=50"),
        (["top_p=1.5"], "top_p=1.5: expected a number above 0, up to 1, such as top_p=0.9"),
        (["temperature=hot"], f"temperature=hot: {HOT}"),
        (["temperature=nan"], f"temperature=nan: {HOT}"),
        (["temperature=0"], f"temperature=0: {HOT}"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_setting_is_refused(refused, settings, line):
    assert refused("the", *settings) == line


def test_a_checkpoint_that_is_not_there_is_refused(refused, run):
    assert refused("the", "step=7") == f"{run} has no complete checkpoint of step=7; there are those of 5, 10"


def test_a_prompt_that_leaves_no_room_is_refused_with_both_numbers(refused):
    n = len(MODEL.tokenizer.encode("!" * 40).ids)
    assert refused("!" * 40) == f"the prompt has {n} tokens, and the model sees {CONTEXT} with what follows"
    assert refused("!", f"tokens={CONTEXT}") == (
        f"tokens={CONTEXT}: there is room for {CONTEXT - 1} after the prompt's 1 of the {CONTEXT} that the model sees"
    )


def test_a_prompt_of_other_bytes_is_refused(refused):
    prompt = b"caf\xe9".decode("utf-8", "surrogateescape")  # as Python reads a command line
    assert refused(prompt) == "the prompt is not UTF-8 from character 4 on; tokens are of UTF-8"


@pytest.mark.parametrize("settings", [(), ("temperature=0.8",)], ids=["the likeliest", "drawn"])
def test_a_model_whose_logits_are_no_numbers_is_told_after_the_prompt(run, capsys, monkeypatch, settings):
    broken = dataclasses.replace(MODEL, network=copy.deepcopy(MODEL.network))
    nn.init.constant_(broken.network.embed_tokens.weight, math.nan)
    monkeypatch.setattr(Subject, "of", lambda trained, device: broken)
    assert cli.status(["generate", run, "the", *settings, "--on", "cpu"]) == 2
    printed = capsys.readouterr()
    line = "the model's logits are not finite, as of a training that diverged: nothing can be chosen"
    assert (printed.out, printed.err) == ("the\n", f"repro: {line}\n")


def test_a_classifier_of_images_is_refused(refused, tmp_path, monkeypatch):
    monkeypatch.undo()
    run = untrained.write(load("mlp-smoke-polynorm"), tmp_path / "images")
    assert refused("a cat", of=str(run)) == (
        f"{run} is a run of mlp-smoke-polynorm, which classifies images and has no tokenizer"
    )


def test_no_such_run_and_no_such_machine_are_refused(refused, run, capsys):
    assert refused("the", of="runs/nothing").startswith("runs/nothing: there is no such folder")
    assert cli.status(["generate", run, "the", "--on", "gpuu"]) == 2
    assert "no machine is called 'gpuu'" in capsys.readouterr().err


def test_ctrl_c_ends_the_line(run, capsys, monkeypatch):
    def interrupted(*_, **__):
        yield [MODEL.tokenizer.token_to_id("t")]
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "going_on", interrupted)
    assert cli.status(["generate", run, "the", "--on", "cpu"]) == 130
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("thet\n", "repro: interrupted\n")


def test_a_character_comes_whole():
    text = "für π, 語 und 😀!"
    ids = MODEL.tokenizer.encode(text).ids
    pieces = list(texts(MODEL.tokenizer, ids[:1], iter(ids[1:])))
    assert "".join(pieces) == text.removeprefix(MODEL.tokenizer.decode(ids[:1]))
    assert not any("\ufffd" in piece for piece in pieces)
    assert len(pieces) > 10


def test_what_is_no_character_comes_at_the_end():
    ids = MODEL.tokenizer.encode("a😀").ids
    assert "".join(texts(MODEL.tokenizer, [], iter(ids[:-1]))) == "a\ufffd"


def test_a_piece_is_written_when_it_is_known():
    ids = MODEL.tokenizer.encode("the order of a").ids
    given = []

    def coming():
        for id_ in ids:
            given.append(id_)
            yield id_

    first = next(texts(MODEL.tokenizer, [], coming()))
    assert first == MODEL.tokenizer.decode(given)
    assert len(given) == 1
