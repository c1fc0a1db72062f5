"""How a model does on tasks: what lm-eval asks it, and what comes of the answers."""

import math

import numpy as np
import pytest
from lm_eval.api.instance import Instance

from repro.evaluation.tasks import answers, harness, tasks
from repro.evaluation.tasks.language_model import Harness
from tests.evaluation.questions import uniform, write
from tests.training.ranks import on_ranks

pytestmark = pytest.mark.usefixtures("few_items")
NATS = math.log(257)  # of a byte, where each is as likely


def asked(context, continuation, task="other", number=0):
    return Instance("loglikelihood", {}, (context, continuation), 0, metadata=(task, number, 1))


def arc(folder, *answers_of):
    """Questions of ARC-E, by the answers, of which the first is right."""
    rows = [
        {"question": f"Which {n}?", "choices": {"text": each, "label": [*"ABCD"][: len(each)]}, "answerKey": "A"}
        for n, each in enumerate(answers_of)
    ]
    return write(folder, "ai2_arc__ARC-Easy.validation", rows)


def test_accuracies_are_those_worked_out_by_hand(tmp_path):
    # Each byte costs the same. So the shortest answer is the likeliest; and by its characters the longest, since the
    # space before it weighs least.
    folder = arc(tmp_path, ["a", "bbb"], ["ccc", "d"], ["e", "ff"], ["gg", "h", "iii"])
    (result,) = harness.evaluate(uniform(), tasks.load(["olmo_arc_easy"], files=folder))
    assert (result.task, result.table, result.split, result.items) == ("olmo_arc_easy", "Table 3", "validation", 4)
    assert (result.metric, result.value) == ("acc", 0.5)
    assert result.metrics == {"acc": 0.5, "acc_norm": 0.25, "cut": 0.0}
    assert result.error == pytest.approx(np.std([1, 0, 1, 0], ddof=1) / 2)
    assert result.rows[0]["log_likelihoods"] == pytest.approx([-2 * NATS, -4 * NATS])
    assert [(row["item"], row["acc"], row["acc_norm"]) for row in result.rows] == [
        (0, 1, 0),
        (1, 0, 1),
        (2, 1, 0),
        (3, 0, 0),
    ]


def test_winogrande_compares_contexts(tmp_path):
    rows = [
        {"sentence": "_ sat.", "option1": "Max", "option2": "Al", "answer": "1"},
        {"sentence": "_ sat.", "option1": "Al", "option2": "Max", "answer": "1"},
    ]
    files = write(tmp_path, "winogrande__winogrande_xl.validation", rows)
    loaded = tasks.load(["olmo_winogrande", "winogrande"], files=files)
    for result in harness.evaluate(uniform(likes=[("x", " ")]), loaded):
        assert [row["acc"] for row in result.rows] == [1.0, 0.0]


def test_items_that_did_not_fit_the_context_are_counted(tmp_path):
    folder = arc(tmp_path, ["a", "b"], ["a", "b" * 40])
    (result,) = harness.evaluate(uniform(context=30), tasks.load(["olmo_arc_easy"], files=folder))
    assert result.metrics["cut"] == 0.5
    assert [row["cut"] for row in result.rows] == [0.0, 1.0]


def test_what_a_task_has_read_is_cut_from_the_left_and_keeps_the_answer():
    subject = uniform(context=50)
    model = Harness(subject, rooms={"olmo": 20})
    contexts = ["c" * 18, "b" + "c" * 18, "a" * 50]
    requests = [asked(context, "xyz", task, n) for task in ("olmo", "other") for n, context in enumerate(contexts)]
    model.loglikelihood(requests)
    # The last token of an answer is not read.
    read = {subject.tokenizer.decode(row.tolist()) for batch in subject.network.read for row in batch}
    expected = {"c" * 18 + "xy", "a" * 18 + "xy", "b" + "c" * 18 + "xy", "a" * 48 + "xy"}
    assert {text.replace("<|endoftext|>", "") for text in read} == expected
    assert model.cut == {("olmo", 1), ("olmo", 2), ("other", 2)}
    assert (model.room("olmo"), model.room("other"), Harness(uniform(context=8), rooms={"olmo": 20}).room("olmo")) == (
        20,
        50,
        8,
    )


def test_an_answer_longer_than_what_a_task_has_read_is_scored_whole():
    model = Harness(uniform(context=50), rooms={"olmo": 20})
    ((nats, _),) = model.loglikelihood([asked("context", "x" * 30, "olmo")])
    assert nats == pytest.approx(-30 * NATS)


def test_limit_takes_the_first_items(tmp_path):
    folder = arc(tmp_path, ["a", "bbb"], ["ccc", "d"], ["e", "ff"])
    (few,) = harness.evaluate(uniform(), tasks.load(["olmo_arc_easy"], files=folder, limit=2))
    (every,) = harness.evaluate(uniform(), tasks.load(["olmo_arc_easy"], files=folder))
    assert few.rows == every.rows[:2]


def test_of_one_item_there_is_no_standard_error(tmp_path):
    (result,) = harness.evaluate(uniform(), tasks.load(["olmo_arc_easy"], files=arc(tmp_path, ["a", "b"])))
    assert math.isnan(result.error)


def test_the_same_question_is_read_once_by_two_tasks(tmp_path):
    folder = arc(tmp_path, ["a", "b"])
    write(
        tmp_path,
        "ai2_arc__ARC-Easy.test",
        [{"question": "Which 0?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}],
    )
    subject = uniform()
    results = harness.evaluate(subject, tasks.load(["olmo_arc_easy", "arc_easy"], files=folder))
    # "Question: Which 0?\nAnswer:" and " " are the inputs of both answers.
    assert sum(len(batch) for batch in subject.network.read) == 1
    assert [result.value for result in results] == [1.0, 1.0]


def test_evaluating_again_gives_the_same(tmp_path):
    loaded = tasks.load(["olmo_arc_easy"], files=arc(tmp_path, ["a", "bb"], ["cc", "d"]))
    assert harness.evaluate(uniform(), loaded) == harness.evaluate(uniform(), loaded)


def test_context_and_continuation_become_tokens_as_lm_eval_makes_them(prepared):
    subject = uniform()
    model = Harness(subject, apart=frozenset({"apart"}))
    whole, apart = model._pair(asked("a b  ", "c")), model._pair(asked("a b  ", "c", "apart"))
    ids = subject.tokenizer.encode("a b  c").ids
    assert (whole.context, whole.continuation) == (tuple(ids[:3]), tuple(ids[3:]))
    assert (apart.context, apart.continuation) == (tuple(ids[:5]), tuple(ids[5:]))
    assert model._pair(asked("", "c")).context == (subject.eos_id,)


def test_a_whole_text_is_scored_each_byte_once():
    model = Harness(uniform(context=4))
    found = model.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, ("eleven byte",), 0)])
    assert found == pytest.approx([-11 * NATS])


def test_answers_are_written_up_to_what_ends_them():
    model = Harness(uniform(likes=[("?", "y"), ("y", "e"), ("e", "s"), ("s", "\n"), ("\n", "Q"), ("Q", ":")]))
    settings = {"until": ["\nQ:"], "max_gen_toks": 20}
    wanted = [Instance("generate_until", {}, (f"{n}?", settings), 0) for n in ("one", "two", "one")]
    assert model.generate_until(wanted) == ["yes"] * 3
    assert model.generate_until([Instance("generate_until", {}, ("?", {"until": "s"}), 0)]) == ["ye"]
    assert model.generate_until([Instance("generate_until", {}, ("?", {"until": [], "max_gen_toks": 2}), 0)]) == ["ye"]


def test_a_prompt_that_leaves_no_room_for_the_answer_is_cut():
    model = Harness(uniform(context=8, likes=[("?", "y"), ("y", "e"), ("e", "s")]))
    request = Instance("generate_until", {}, ("a long question?", {"until": []}), 0, metadata=("gsm8k", 3, 1))
    assert model.generate_until([request])[0].startswith("yes")
    assert model.cut == {("gsm8k", 3)}


CONVERSATION = {
    "story": "Ann has a cat.",
    "questions": {"input_text": ["Who?", "What?"]},
    "answers": {"input_text": ["Ann", "a cat"]},
    "additional_answers": {"0": {"input_text": ["Ann", "The Cat!"]}, "1": {"input_text": ["she", "her old cat"]}},
}


def test_coqa_asks_the_last_question_and_compares_words(tmp_path):
    loaded = tasks.load(["coqa"], files=write(tmp_path, "coqa__none.validation", [CONVERSATION]))
    task = loaded.defined["coqa"]
    task.build_all_requests()
    text = "Ann has a cat.\n\nQ: Who?\n\nA: Ann\n\nQ: What?\n\nA:"
    assert task.instances[0].args[0] == text
    assert answers.references(CONVERSATION) == ["a cat", "The Cat!", "her old cat"]
    # Each reference is left out once: two of three times another one has the same word, the third has too.
    assert answers.coqa(CONVERSATION, ["the cat.\nQ: more"]) == {"em": 1.0, "f1": 1.0}
    assert answers.coqa(CONVERSATION, ["old cat"]) == pytest.approx({"em": 0.0, "f1": (0.8 + 0.8 + 2 / 3) / 3})
    (result,) = harness.evaluate(uniform(context=200), loaded)
    assert (result.metric, {*result.metrics}) == ("f1", {"em", "f1", "cut"})
    assert isinstance(result.rows[0]["written"], str)


def test_words_of_answers_are_compared_as_squad_does():
    assert answers.words("The  cat's, an A-1!") == ["cats", "a1"]
    assert answers.f1("", "") == 1.0
    assert answers.f1("cat", "the") == 0.0


def test_the_solutions_of_humaneval_are_scored_in_bits_per_byte(tmp_path):
    rows = [
        {"prompt": "def f():\n", "canonical_solution": "    return 'é'\n"},
        {"prompt": "x", "canonical_solution": " 1"},
    ]
    files = write(tmp_path, "openai_humaneval__none.test", rows)
    (result,) = harness.evaluate(uniform(), tasks.load(["humaneval_reference"], files=files))
    assert result.value == pytest.approx(math.log2(257), rel=1e-6)  # a byte is a token
    assert result.error == pytest.approx(0, abs=1e-6)


def test_gsm8k_shows_solved_examples_and_reads_off_the_number(tmp_path):
    solved = [{"question": f"{n}+0?", "answer": f"It is.\n#### {n}"} for n in range(8)]
    write(tmp_path, "gsm8k__main.train", solved)
    loaded = tasks.load(["gsm8k"], files=write(tmp_path, "gsm8k__main.test", solved[3:5]))
    first = harness.evaluate(uniform(context=600), loaded)
    task = loaded.defined["gsm8k"]
    assert task.instances[0].args[0].count("Question:") == 6
    (result,) = first
    assert {*result.metrics} == {"exact_match,strict-match", "exact_match,flexible-extract", "cut"}
    loaded.begin()
    again = [request.args for request in task.instances]
    task.build_all_requests()
    assert [request.args for request in task.instances] == again


def test_xcopa_weighs_each_item_of_each_language_the_same(tmp_path):
    for number, language in enumerate(["et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"]):
        row = {
            "premise": "It rained.",
            "choice1": "Wet.",
            "choice2": "Wetter.",
            "question": "effect",
            "label": number % 2,
        }
        write(tmp_path, f"xcopa__{language}.test", [row] * (1 + number))
    (result,) = harness.evaluate(uniform(), tasks.load(["xcopa"], files=tmp_path))
    assert result.items == len(result.rows) == 66
    assert result.value == pytest.approx((1 + 3 + 5 + 7 + 9 + 11) / 66)
    assert result.rows[-1]["part"] == "xcopa_zh"


def test_the_error_of_a_ratio_is_that_of_its_simulated_spread():
    rng = np.random.default_rng(0)
    drawn = [harness.ratio(np.column_stack([rng.normal(2, 1, 50), rng.uniform(1, 3, 50)])) for _ in range(2000)]
    values, errors = np.array(drawn).T
    assert np.median(errors) == pytest.approx(values.std(), rel=0.1)  # the spread of 2,000 is known to 1.6 %


BODY = """
from pathlib import Path
import torch.distributed as dist
from repro.evaluation.tasks import harness, scoring, tasks
from tests.evaluation.questions import uniform

scoring.TOKENS["cpu"] = 100
tasks.check_items = lambda *_: None
likes = [("?", "y"), ("y", "e"), ("e", "s")]
loaded = tasks.load(["olmo_arc_easy", "coqa"], files=Path(os.environ["FILES"]))
found = harness.evaluate(uniform(context=300, likes=likes), loaded)
everyone = [None] * ranks
dist.all_gather_object(everyone, found)
assert all(repr(each) == repr(found) for each in everyone)
dist.is_initialized = lambda: False
assert repr(harness.evaluate(uniform(context=300, likes=likes), loaded)) == repr(found)
dist.is_initialized = lambda: True
"""


def test_two_ranks_have_the_results_of_one(tmp_path):
    folder = arc(tmp_path / "files", ["a", "bbb"], ["ccc", "d"], ["e", "ff"], ["gg", "h", "iii"])
    write(folder, "coqa__none.validation", [CONVERSATION])
    on_ranks(2, BODY, tmp_path, FILES=str(folder))
