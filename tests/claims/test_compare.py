"""Differences between recipes, paired by seed and never between unlike things."""

import io
import json
import re

import numpy as np
import pytest
import yaml
from rich.console import Console

from repro.claims import start
from repro.claims.compare import compare, read
from repro.claims.evidence import store
from repro.claims.statistics.power import smallest_detectable
from repro.errors import RecipeError, RunError
from repro.recipe import load
from tests.claims import made
from tests.claims.evidence.test_runs import MACHINE, VERSIONS, table

METRICS = {"step": 1, "loss": 8.0, "validation_loss": 9.0, "tokens_per_second": 1.0, "samples_per_second": 1.0}


@pytest.fixture
def runs(tmp_path):
    """Writes finished runs of an activation's smoke recipe whose validation losses are given by seed."""

    def write(
        name,
        losses,
        *,
        given=(),
        finished=True,
        diverged=(),
        family="dense",
        scale="smoke",
        machine=MACHINE,
        **versions,
    ):
        recipe = load(f"{family}-{scale}-{name}", given)
        for seed, values in losses.items():
            folder = tmp_path / name / f"seed-{seed}"
            folder.mkdir(parents=True)
            (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
            (folder / "origin.yaml").write_text(yaml.safe_dump(recipe.origin))
            (folder / "machine.yaml").write_text(yaml.safe_dump(machine))
            (folder / "versions.json").write_text(json.dumps(VERSIONS | versions))
            table(folder / "metrics.csv", [METRICS])
            np.save(folder / "validation.npy", np.array([[9.0] * len(values), values], dtype=np.float32))
            if finished:
                step = dict(diverged).get(seed)
                (folder / "result.json").write_text(json.dumps({"steps": recipe.steps, "diverged_at": step}))
        return tmp_path / name

    return write


@pytest.fixture
def arm(runs):
    """The same, read."""
    return lambda name, losses, **how: read(runs(name, losses, **how))


def shown(pairs):
    console = Console(width=120, file=io.StringIO())
    console.print(start._table(pairs))
    return console.file.getvalue()


def told(capsys, *folders, as_json=False):
    """What the command prints."""
    console = Console(width=400, file=io.StringIO())
    start.start([str(folder) for folder in folders], as_json=as_json, console=console)
    return console.file.getvalue() or json.loads(capsys.readouterr().out)


def test_the_difference_is_that_of_the_last_validation_seed_by_seed(arm):
    a = arm("relu", {0: [1.0, 2.0], 1: [2.0, 2.0]})
    b = arm("gelu", {0: [2.0, 2.0], 1: [2.0, 4.0], 2: [0.0, 0.0]})
    (pair,) = compare([a, b])
    assert (pair.a, pair.b) == ("dense-smoke-relu", "dense-smoke-gelu")
    assert pair.differences == {0: -0.5, 1: -1.0}


def test_a_run_of_a_version_without_a_key_does_not_differ_in_it(runs):
    """As what it did: without a mixture, a filter and a mask."""
    old, new = runs("relu", {0: [1.0]}), runs("gelu", {0: [2.0]})
    file = old / "seed-0" / "recipe.yaml"
    tree = yaml.safe_load(file.read_text())
    for key in ("mixture", "repetition", "document_mask"):
        assert tree["data"].pop(key) in (None, False)
    file.write_text(yaml.safe_dump(tree))
    assert compare([read(old), read(new)])[0].also == ()


KEYS = ("a", "b", "verdict", "difference", "interval", "p", "p_adjusted", "pairs", "smallest_detectable")


def test_the_keys_of_the_json_stay_and_of_one_pair_what_needs_statistics_is_null(arm):
    (pair,) = compare([arm("relu", {0: [1.0]}), arm("gelu", {0: [2.0]})])
    row = pair.row()
    assert [row[key] for key in KEYS[2:]] == [None, -1.0, None, None, None, 1, None]


LOWER = {seed: [3.0 - 0.02 - 0.001 * seed] * 2 for seed in range(4)}
HIGHER = {seed: [3.0 + 0.002 * (seed % 2)] * 2 for seed in range(4)}


def test_several_pairs_have_an_interval_and_a_verdict(arm):
    (pair,) = compare([arm("relu", LOWER), arm("gelu", HIGHER)])
    row = pair.row()
    assert (row["verdict"], row["pairs"], row["p"], row["p_adjusted"]) == ("supported", 4, pair.estimate.p, row["p"])
    assert row["interval"][0] < row["difference"] < row["interval"][1] < 0
    assert row["smallest_detectable"] > 0
    assert compare([arm("relu6", HIGHER), arm("silu", LOWER)])[0].verdict == "contradicted"
    noisy = {0: [3.0], 1: [3.1], 2: [2.9]}
    assert compare([arm("mish", noisy), arm("elu", {0: [3.1], 1: [2.9], 2: [3.0]})])[0].verdict == "not resolved"


def test_the_verdict_is_by_the_rule_of_studies(arm, monkeypatch):
    asked = []
    monkeypatch.setattr("repro.claims.compare.status", lambda *of: asked.append(of) or "supported")
    (pair,) = compare([arm("relu", HIGHER), arm("gelu", HIGHER)])
    assert pair.verdict == "supported"
    assert asked == [(pair.statement, pair.estimate.mean, pair.p_adjusted)]


def test_of_several_pairs_p_is_adjusted_for_all(arm):
    pairs = compare([arm("relu", LOWER), arm("gelu", HIGHER), arm("silu", HIGHER)])
    assert [pair.p_adjusted for pair in pairs] == pytest.approx([3 * pairs[0].estimate.p, 3 * pairs[0].estimate.p, 1.0])


def test_several_arms_give_every_pair(arm):
    arms = [arm(name, {0: [1.0]}) for name in ("relu", "gelu", "silu")]
    found = [(pair.a[12:], pair.b[12:]) for pair in compare(arms)]
    assert found == [("relu", "gelu"), ("relu", "silu"), ("gelu", "silu")]


def test_a_run_folder_of_one_seed_is_an_arm(runs):
    assert list(read(runs("relu", {0: [1.0], 7: [1.0]}) / "seed-7").losses) == [7]


def test_a_run_that_has_not_finished_is_no_evidence(arm):
    with pytest.raises(RunError, match="holds no finished run; `repro run` starts one"):
        arm("relu", {0: [1.0]}, finished=False)


def test_arms_without_a_common_seed_are_refused(arm):
    with pytest.raises(RunError, match=r"relu has seeds \[0\] and dense-smoke-gelu has \[1\]: no seed in common"):
        compare([arm("relu", {0: [1.0]}), arm("gelu", {1: [1.0]})])


@pytest.mark.parametrize(("values", "how"), [([1.0, 1.0], {}), ([1.0], {"data": "d1"})], ids=["sequences", "data"])
def test_losses_of_different_sequences_are_not_compared(arm, values, how):
    with pytest.raises(RunError, match="validated on different data"):
        compare([arm("relu", {0: [1.0]}), arm("gelu", {0: values}, **how)])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"given": ["model.d_ff=267"]}, "FFN matrices differ by -1.12 %: dense-smoke-relu has 67,584 weights, "),
        ({"given": ["budget.tokens=512000"]}, "mixed tokens: dense-smoke-relu went through 256,000 tokens, dense-"),
        ({"device": "NVIDIA H100"}, "mixed device: dense-smoke-relu ran on AMD EPYC, dense-smoke-gelu ran on NVIDIA"),
        ({"machine": MACHINE | {"accelerator": "cuda"}}, "mixed precision: dense-smoke-relu ran in float32, dense-"),
    ],
    ids=["FFN matrices", "budget", "device", "precision"],
)
def test_unlike_runs_are_refused_in_a_line(arm, how, why):
    with pytest.raises(RunError) as error:
        compare([arm("relu", {0: [1.0], 1: [2.0]}), arm("gelu", {0: [1.0], 1: [2.0]}, **how)])
    assert str(error.value).startswith(f"dense-smoke-relu and dense-smoke-gelu cannot be compared: {why}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("commit", "why"),
    [
        ("0.1.0+aaa", "seed 0 is of two commits: dense-smoke-relu of 0.1.0+0ce561f, dense-smoke-gelu of 0.1.0+aaa"),
        ("0.1.0+0ce561f-dirty", "dense-smoke-gelu at seed 0 ran from 0.1.0+0ce561f-dirty, which is no commit"),
        ("0.1.0", "dense-smoke-gelu at seed 0 ran from 0.1.0, which is no commit that others can look at"),
    ],
    ids=["two", "changed files", "unknown"],
)
def test_runs_of_other_commits_have_a_difference_and_no_verdict_unless_asked_for(runs, capsys, commit, why):
    folders = runs("relu", LOWER), runs("gelu", HIGHER, repro=commit)
    (row,) = told(capsys, *folders, as_json=True)
    assert (row["verdict"], row["p_adjusted"], row["difference"]) == (None, None, pytest.approx(-0.0225, abs=1e-6))
    assert row["why"].startswith(why)
    said = told(capsys, *folders)
    assert f"dense-smoke-relu < dense-smoke-gelu: no verdict, since {why}" in said
    assert "any_commit=true judges them all the same" in said
    assert "-0.0225 [" in said
    assert told(capsys, *folders, "any_commit=true", as_json=True)[0]["verdict"] == "supported"


def test_a_pair_that_gets_no_verdict_counts_among_the_others_all_the_same(arm):
    """Who adds arms of another commit does not make it easier for the rest, nor harder."""
    arms = [arm("relu", LOWER), arm("gelu", HIGHER), arm("silu", HIGHER, repro="0.1.0+aaa")]
    ours, *others = compare(arms)
    assert [pair.p_adjusted for pair in others] == [None, None]
    assert ours.p_adjusted == pytest.approx(3 * ours.estimate.p)


def test_what_pairs_would_show_is_at_the_level_that_holm_asks(arm):
    (alone,) = compare([arm("relu", LOWER), arm("gelu", HIGHER)])
    among = compare([arm("silu", LOWER), arm("elu", HIGHER), arm("mish", HIGHER)])[0]
    sd, n = alone.estimate.sd, alone.estimate.n
    assert alone.smallest_detectable == smallest_detectable(sd, n)
    assert among.smallest_detectable == smallest_detectable(sd, n, level=0.05 / 3)


def test_smoke_runs_are_stamped_and_rates_are_said_to_be_no_brackets(runs, capsys):
    folders = runs("relu", LOWER), runs("gelu", HIGHER)
    said = told(capsys, *folders)
    assert "Mechanism only: at this size it is no evidence about the paper.\n" in said
    assert said.count("Each recipe has its own learning rate: none was chosen for an arm by a bracket") == 1
    (row,) = told(capsys, *folders, as_json=True)
    assert (row["mechanism_only"], len(row["caveats"])) == (True, 2)


def test_a_larger_scale_is_not_stamped(arm):
    (pair,) = compare([arm("relu", {0: [1.0]}, scale="4m"), arm("gelu", {0: [1.0]}, scale="4m")])
    assert (pair.mechanism_only, len(pair.caveats)) == (False, 1)


@pytest.mark.parametrize("word", ["any_comit=true", "any_commit=yes", "any_commit"])
def test_what_is_set_is_checked(runs, capsys, word):
    with pytest.raises(RecipeError, match="any_comm"):
        told(capsys, runs("relu", {0: [1.0]}), runs("gelu", {0: [1.0]}), word)


def test_runs_of_one_recipe_on_different_data_are_not_averaged(runs):
    runs("relu", {0: [1.0]}, data="d0")
    with pytest.raises(RunError, match=r"were trained on different data \(d0, d1\)"):
        read(runs("relu", {1: [1.0]}, data="d1"))


def test_recipes_that_differ_in_more_than_the_activation_are_told_apart(arm):
    (pair,) = compare([arm("relu", {0: [1.0]}), arm("gelu", {0: [2.0]}, given=["weight_decay.matrices=0.2"])])
    assert pair.also == ("optim.weight_decay.matrices",)
    (same,) = compare([arm("silu", {0: [1.0]}), arm("elu", {0: [2.0]})])
    assert same.also == ()


@pytest.mark.parametrize("file", ["versions.json", "recipe.yaml", "validation.npy"])
def test_a_run_with_a_file_missing_or_broken_is_told_in_a_line(runs, file):
    folder = runs("relu", {0: [1.0]})
    (folder / "seed-0" / file).write_bytes(b"\0")
    with pytest.raises(RunError, match=r"the run in .* is damaged"):
        read(folder)
    (folder / "seed-0" / file).unlink()
    with pytest.raises(RunError, match="is damaged"):
        read(folder)


def test_a_run_that_diverged_is_told_with_its_step_and_gives_no_difference(arm):
    a = arm("relu", {0: [1.0], 1: [2.0]})
    b = arm("gelu", {0: [3.0], 1: [9.0]}, diverged={1: 1500})
    (pair,) = compare([a, b])
    row = json.loads(json.dumps(pair.row(), allow_nan=False))
    assert (row["difference"], row["pairs"], row["by_seed"]) == (None, 1, {"0": -2.0, "1": None})
    assert (row["without"], row["verdict"]) == ({"1": "b diverged at step 1,500"}, "not resolved")
    assert "none  0: -2.0000  1: b diverged at step 1,500" in shown([pair])


def test_a_run_that_diverged_needs_no_validation(runs, arm):
    folder = runs("relu", {0: [1.0]}, diverged={0: 15})
    (folder / "seed-0" / "validation.npy").unlink()
    (pair,) = compare([read(folder), arm("gelu", {0: [1.0]}, diverged={0: 3})])
    assert pair.without == {0: "a diverged at step 15, b diverged at step 3"}
    assert pair.difference is None


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_validation_that_is_not_finite_gives_no_difference(arm, loss):
    (pair,) = compare([arm("relu", {0: [1.0, loss]}), arm("gelu", {0: [1.0, 2.0]})])
    assert (pair.difference, pair.without) == (None, {0: "a is not finite"})
    assert "nan" not in shown([pair])
    assert "a is not finite" in shown([pair])


@pytest.mark.parametrize(("family", "unit"), [("resnet50", "image"), ("dense", "token")])
def test_a_loss_is_that_of_an_image_or_of_a_token(arm, family, unit):
    pairs = compare([arm(name, {0: [1.0]}, family=family) for name in ("relu", "gelu")])
    assert f"validation loss, nats per {unit} " in shown(pairs)


def test_a_difference_beyond_all_bounds_is_told_shortly(arm):
    (pair,) = compare([arm("relu", {0: [2.2406787e16]}), arm("gelu", {0: [1.0]})])
    assert "0: +2.241e+16" in shown([pair])


def test_a_single_seed_tells_its_two_models_apart_and_says_that_this_is_not_about_training(runs, capsys):
    a, b = runs("relu", {0: [1.0, 2.0, 3.0]}), runs("gelu", {0: [1.5, 2.6, 3.4]})
    said = told(capsys, a, b)
    assert "seed 0: [-0.7484, -0.2516] over 3 sequences: of these two models, not of two ways to train" in said
    assert "supported" not in said
    (row,) = told(capsys, a, b, as_json=True)
    assert row["these_models"]["0"] == pytest.approx([-0.7484, -0.2516], abs=1e-4)


def test_a_verdict_is_told_with_what_it_rests_on(runs, capsys):
    said = told(capsys, runs("relu", LOWER), runs("gelu", HIGHER))
    found = re.search(r"dense-smoke-relu < dense-smoke-gelu: (.*), (.*) \[(.*), (.*)\] over 4 seeds, p = (.*)\n", said)
    assert found.groups()[:2] == ("supported", "-0.0225")
    assert "of these two models" not in said


def evaluated(folder, answers, *, task="copa", metric="acc", fingerprint="f0", step=250):
    """Keeps answers to items beside a run, as ``repro eval`` does."""
    kept = folder / "seed-0" / "evaluation"
    (kept / f"step-{step:08}").mkdir(parents=True)
    row = {"task": task, "step": step, "metric": metric, "task_fingerprint": fingerprint}
    (kept / "tasks.json").write_text(json.dumps({"rows": [row]}))
    rows = [{"item": item, "id": f"id{item}", metric: answer} for item, answer in answers]
    (kept / f"step-{step:08}" / f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_tasks_that_both_runs_have_answered_are_tested_item_by_item(runs, capsys):
    right = [(item, 1.0) for item in range(12)]
    a = evaluated(runs("relu", {0: [1.0]}), right)
    b = evaluated(runs("gelu", {0: [2.0]}), [(item, float(item < 3)) for item in range(12)])
    ((task,),) = [row["tasks"] for row in told(capsys, a, b, as_json=True)]
    assert (task["task"], task["metric"], task["seed"], task["items"]) == ("copa", "acc", 0, 12)
    assert (task["only_a"], task["only_b"], task["difference"], task["p"]) == (9, 0, 0.75, 2 / 2**9)
    assert "seed 0, copa: +75.0% acc [" in told(capsys, a, b)


@pytest.mark.parametrize(
    ("answers", "how"),
    [
        ([(0, 1.0), (1, 0.0), (3, 1.0)], {}),
        ([(0, 1.0), (1, 0.0), (2, 1.0)], {"fingerprint": "f1"}),
        ([(0, 1.0), (1, 0.5), (2, 1.0)], {}),
        ([(0, 1.0), (1, 0.0), (1, 1.0), (2, 1.0)], {}),
        ([(0, 1.0), (1, 0.0), (2, 1.0)], {"metric": "acc_norm"}),
    ],
    ids=["other items", "another definition", "neither right nor wrong", "asked twice", "another metric"],
)
def test_answers_that_are_not_to_the_same_questions_are_not_tested(runs, capsys, answers, how):
    a = evaluated(runs("relu", {0: [1.0]}), [(0, 1.0), (1, 0.0), (2, 1.0)])
    b = evaluated(runs("gelu", {0: [2.0]}), answers, **how)
    assert told(capsys, a, b, as_json=True)[0]["tasks"] == []


def test_answers_that_are_damaged_are_told_in_a_line(runs):
    a = evaluated(runs("relu", {0: [1.0]}), [(0, 1.0), (1, 0.0)])
    (a / "seed-0" / "evaluation" / "step-00000250" / "copa.jsonl").write_text("{")
    with pytest.raises(RunError, match=r"the answers in .*evaluation cannot be read: "):
        compare([read(a), read(a)])


def test_a_difference_without_bound_is_null_in_json(tmp_path, monkeypatch, capsys):
    """Of a magnitude that was not finite, which is judged by signs and ranks."""
    monkeypatch.chdir(tmp_path)
    study = made.study(primary="polynorm < polyrelu in largest_magnitude", secondary=())
    monkeypatch.setattr(start, "names", lambda: ("made",))
    monkeypatch.setattr("repro.claims.of_study.load", lambda name: study)
    grown = made.results(study, "10m", {"polynorm": -1.0})
    rows = [
        made.dataclasses.replace(row, largest_magnitude=float("inf")) if row.arm == "polyrelu" else row
        for row in grown.rows
    ]
    store.write(made.gather(rows), store.place("made", "10m", store.folders()[0]))
    (row,) = of_study(capsys, as_json=True)
    assert (row["by_seed"]["0"], row["verdict"]) == (None, "supported")
    assert "Infinity" not in json.dumps(row)


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A study of two forms with results in the current folder."""
    monkeypatch.chdir(tmp_path)
    study = made.study(
        secondary=("polynorm < relu",), forms=(("smoke", ("smoke",)), ("10m", ("10m",)), ("1b", ("1b",)))
    )
    monkeypatch.setattr(start, "names", lambda: ("made",))
    monkeypatch.setattr("repro.claims.of_study.load", lambda name: study)

    def write(form, **values):
        store.write(
            made.results(study, form, {"polynorm": -0.02}, **values), store.place("made", form, store.folders()[0])
        )

    return write


def of_study(capsys, *settings, as_json=False):
    console = Console(width=200, file=io.StringIO())
    start.start(["made", *settings], as_json=as_json, console=console)
    return console.file.getvalue() or json.loads(capsys.readouterr().out)


def test_a_study_is_compared_by_its_name(measured, capsys):
    measured("10m")
    measured("smoke")
    rows = of_study(capsys, as_json=True)
    assert [(row["form"], row["stated"], row["verdict"]) for row in rows] == [
        (form, stated, "supported") for form in ("smoke", "10m") for stated in ("polynorm < swiglu", "polynorm < relu")
    ]
    assert [row["mechanism_only"] for row in rows] == [True, True, False, False]
    assert all(rows[0].keys() >= {key} for key in KEYS)
    said = of_study(capsys)
    assert "made smoke (mechanism only: at this size it is no evidence about the paper)" in said
    assert "polynorm < swiglu (primary)" in said
    assert "polynorm < swiglu: not resolved (supported at 10m alone; two sizes have to agree)" in said


def test_results_that_were_passed_over_for_the_kits_are_told(measured, monkeypatch, capsys):
    measured("10m")
    found = store.find("made", "10m")
    monkeypatch.setattr(store, "find", lambda *_: made.dataclasses.replace(found, passed_over="mine was passed over"))
    assert "\nmine was passed over\n" in of_study(capsys)


def test_one_form_of_a_study_can_be_asked_for(measured, capsys):
    measured("10m")
    measured("smoke")
    assert {row["form"] for row in of_study(capsys, "scale=10m", as_json=True)} == {"10m"}


def test_runs_of_two_commits_are_paired_only_if_asked_for(measured, capsys):
    measured("10m", changed={"polynorm": {"repro": "0.1.0+aaa"}})
    first = of_study(capsys, as_json=True)[0]
    assert (first["verdict"], first["interval"]) == ("not resolved", None)
    assert "of two commits" in first["why"]
    assert of_study(capsys, "any_commit=true", as_json=True)[0]["verdict"] == "supported"


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ((), RunError, "made has no results yet; `repro study made` makes them"),
        (("scale=1b",), RunError, "made has no results at 1b yet; `repro study made scale=1b` makes them"),
        (("scale=10",), RecipeError, "made has no scale '10'. Did you mean '10m'?"),
        (("any_comit=true",), RecipeError, "compare has no setting 'any_comit'. Did you mean 'any_commit'?"),
        (("any_commit=yes",), RecipeError, "any_commit=yes: expected true or false"),
        (
            ("dense-smoke-relu",),
            RecipeError,
            "a study is compared by itself, and takes no 'dense-smoke-relu'; expected scale=FORM or any_",
        ),
    ],
)
def test_what_is_asked_of_a_study_is_checked(measured, capsys, settings, error, told):
    with pytest.raises(error) as found:
        of_study(capsys, *settings)
    assert told in str(found.value)


def test_one_word_that_is_no_study_is_told(measured, capsys):
    with pytest.raises(RecipeError, match=r"compare needs two arms or more, .*, or a study. Did you mean 'made'\?"):
        start.start(["mad"], as_json=False, console=Console())
