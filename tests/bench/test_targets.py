"""Figures and verdicts follow from the times."""

import pytest

from repro.bench.measurement import Case, Measurement
from repro.bench.targets import Bound, judged, verdicts
from tests.bench.conftest import LARGE, made_up


def test_speed_counts_the_bytes_that_have_to_be_moved():
    case = Case("polynorm", 1000, 1000)
    assert [made_up(case, "ours", way, 2.0).gb_per_s for way in ("forward", "backward", "both")] == [2.0, 3.0, 5.0]
    assert made_up(case, "ours", "forward", 2.0, ceiling=1.5).share == 75.0


def test_what_has_no_time_has_no_speed():
    absent = Measurement(LARGE, "official", "forward", note="out of memory")
    assert (absent.gb_per_s, absent.share, absent.row()["median_ms"]) == (None, None, None)
    assert absent.row()["note"] == "out of memory"


def test_a_row_has_memory_by_element_and_the_launches_of_its_direction():
    case = Case("polynorm", 10, 100)
    rows = {way: made_up(case, "ours", way, 1.0).row() for way in ("forward", "backward", "both")}
    assert {way: row["launches"] for way, row in rows.items()} == {"forward": 1, "backward": 2, "both": 3}
    assert (rows["both"]["peak_bytes_per_element"], rows["both"]["kept_bytes_per_element"]) == (4.0, 2.0)


def outcomes(measured, absent=(), planned=(LARGE,)):
    return [(verdict.outcome, verdict.found) for verdict in verdicts(measured, planned, dict(absent))]


def measured(**milliseconds):
    """Each way of each implementation, at 8,256 columns."""
    ways = ("forward", "backward", "both")
    return [
        made_up(LARGE, name.replace("_", " "), way, time)
        for name, times in milliseconds.items()
        for way, time in zip(ways, times, strict=True)
    ]


def test_all_targets_reached():
    found = [*measured(ours=(1.05, 1.1, 2.2), liger=(1.05, 1.5, 2.4)), made_up(LARGE, "torch.compile", "backward", 2.3)]
    assert [outcome for outcome, _ in outcomes(found)] == ["reached"] * 5
    assert outcomes(found)[0][1] == "95.24 % at worst (polynorm, 16,384 x 8,256, forward); below at 0 of 1 cases"


def test_the_faster_form_of_liger_counts_and_every_direction():
    found = measured(ours=(1.0, 1.1, 2.2), liger=(2.0, 2.0, 4.0), liger_in_place=(0.9, 1.2, 2.3))
    slower, at_8256 = outcomes(found)[2:4]
    assert slower == (
        "missed",
        "0.9 times its speed at worst (polynorm, 16,384 x 8,256, forward); below at 1 of 3 cases",
    )
    assert at_8256[0] == "missed"
    assert at_8256[1].startswith("1.091 times its speed")


def test_a_share_below_the_target_is_missed_and_small_cases_do_not_count():
    small = made_up(Case("polynorm", 64, 64), "ours", "forward", 100.0)
    assert outcomes([small, *measured(ours=(1.05, 1.3, 2.2))])[:2] == [
        ("reached", "95.24 % at worst (polynorm, 16,384 x 8,256, forward); below at 0 of 1 cases"),
        ("missed", "76.92 % at worst (polynorm, 16,384 x 8,256, backward); below at 1 of 1 cases"),
    ]


def test_a_peer_that_is_absent_is_said():
    absent = {"liger": "liger-kernel is not installed"}
    assert outcomes(measured(ours=(1, 1, 2)), absent)[2:] == [
        ("not measured", "at none of 3 cases: liger is absent, liger-kernel is not installed"),
        ("not measured", "at none of 1 cases: liger is absent, liger-kernel is not installed"),
        ("not measured", "at none of 1 cases: there are no times"),
    ]


WIDE = Case("polyrelu", 32768, 4096)


def test_what_ours_was_not_timed_at_is_no_target_reached():
    found = [*measured(ours=(1.05, 1.1, 2.2), liger=(1.05, 1.5, 2.4)), made_up(LARGE, "torch.compile", "backward", 2.3)]
    told = outcomes(found, planned=[LARGE, WIDE])
    assert [outcome for outcome, _ in told] == ["partly", "partly", "reached", "reached", "partly"]
    assert told[0][1].endswith("; below at 0 of 2 cases, 1 without a time")
    assert told[2][1].endswith("; below at 0 of 3 cases")  # Liger has no PolyReLU


def test_missed_is_missed_whatever_else_there_was_to_measure():
    assert outcomes(measured(ours=(2.0, 2.0, 4.0)), planned=[LARGE, WIDE])[0] == (
        "missed",
        "50 % at worst (polynorm, 16,384 x 8,256, forward); below at 1 of 2 cases, 1 without a time",
    )


def test_a_peer_without_a_time_does_not_keep_ours_from_a_target_but_is_counted():
    found = [*measured(ours=(1.0, 1.1, 2.2)), made_up(LARGE, "liger", "forward", 1.2)]
    assert outcomes(found)[2] == (
        "reached",
        "1.2 times its speed at worst (polynorm, 16,384 x 8,256, forward); below at 0 of 3 cases, 2 without a time",
    )


def test_nothing_measured_is_said_of_every_target():
    assert {outcome for outcome, _ in outcomes([], planned=[LARGE, WIDE])} == {"not measured"}
    assert outcomes([], planned=[LARGE, WIDE])[0][1] == "at none of 2 cases: there are no times"


@pytest.mark.parametrize("way", ["forward", "both"])
def test_only_the_backward_pass_is_held_against_torch_compile(way):
    assert outcomes([*measured(ours=(1, 1, 2)), made_up(LARGE, "torch.compile", way, 0.1)])[4][0] == "not measured"


FAST = Bound("fast", ("a", "b"), "images/s", least=10)
LIGHT = Bound("light", ("a", "b"), "times", most=1.5)


@pytest.mark.parametrize(
    ("bound", "figures", "outcome", "found"),
    [
        (FAST, (10.0, 12.0), "reached", "10 images/s (a)"),
        (FAST, (12.0, 9.876543), "missed", "9.877 images/s (b)"),
        (LIGHT, (1.2, 1.5), "reached", "1.5 times (b)"),
        (LIGHT, (1.6, 1.1), "missed", "1.6 times (a)"),
        (FAST, (float("nan"), 12.0), "missed", "nan images/s (a)"),
        (FAST, (11.0,), "partly", "11 images/s (a); 1 of 2 cases without a figure"),
        (FAST, (9.0,), "missed", "9 images/s (a); 1 of 2 cases without a figure"),
        (FAST, (), "not measured", "there is no figure"),
    ],
)
def test_a_bound_is_judged_at_its_worst_case(bound, figures, outcome, found):
    told = {(case, bound.unit): value for case, value in zip("ab", figures, strict=False)}
    (verdict,) = judged([bound], told | {("b", "ms"): 5.0})
    assert (verdict.target, verdict.outcome, verdict.found) == (bound.text, outcome, found)
