import itertools
import re
import xml.etree.ElementTree as xml

import pytest

from repro.claims.report import looks, scales, svg

TAG = "{http://www.w3.org/2000/svg}"


def series(count=3, points=5):
    look = looks.looks(["polynorm", "swiglu", "relu"][:count])
    xs = tuple(1e6 * (i + 1) for i in range(points))
    return [
        svg.Series(name, xs, tuple(3 + n / (i + 1) for i in range(points)), of)
        for n, (name, of) in enumerate(look.items())
    ]


def drawing(**values):
    given = {"title": "loss", "x_label": "tokens", "y_label": "nats", "alt": "loss over tokens"}
    return xml.fromstring(svg.lines(**({"series": series()} | given | values)))


def contrast(a, b="#ffffff"):
    def light(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    first, second = sorted((light(a), light(b)))
    return (second + 0.05) / (first + 0.05)


def test_a_drawing_is_well_formed_says_what_it_shows_and_asks_for_nothing_else():
    root = drawing(alt='a < b & "c"', title="<script>")
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.find(f"{TAG}title").text == 'a < b & "c"'
    assert "<script>" in [each.text for each in root.iter(f"{TAG}text")]
    assert not [e for e in root.iter() if e.tag.split("}")[1] in ("image", "use", "style", "script", "foreignObject")]


def test_lines_differ_in_dash_and_marker_as_well_as_in_colour():
    found = looks.looks([f"arm{n}" for n in range(18)])
    assert len({(look.dash, look.shape) for look in found.values()}) == 18
    assert looks.looks(["polynorm", "gelu"])["gelu"] == looks.looks(["gelu", "swiglu"])["gelu"]


def test_colours_are_seen_on_white():
    assert all(contrast(colour) >= 4.5 for colour in (*looks.COLOURS, looks.INK, looks.FAINT))


@pytest.mark.parametrize("points", [2, 500])
def test_points_lie_inside_the_frame_and_curves_keep_their_ends(points):
    drawn = series(points=points)
    root = drawing(series=drawn)
    for line in root.iter(f"{TAG}polyline"):
        xs, ys = zip(*(map(float, pair.split(",")) for pair in line.get("points").split()), strict=True)
        assert svg.LEFT <= xs[0] < xs[-1] <= svg.WIDTH - svg.RIGHT
        assert all(svg.TOP <= y <= svg.HEIGHT - svg.BOTTOM for y in ys)
        assert len(xs) <= svg.MOST_POINTS + 1


def test_one_point_and_a_flat_line_are_drawn():
    look = looks.looks(["a"])["a"]
    for x, y in (((1.0,), (2.0,)), ((1.0, 2.0), (0.0, 0.0))):
        assert drawing(series=[svg.Series("a", x, y, look)], log_x=True) is not None


def test_an_axis_names_round_values_between_its_ends():
    for low, high in ((2.17, 2.39), (0, 1e9), (-0.05, 0.02), (3.0, 3.0), (1e-7, 2e-7)):
        scale = scales.linear([low, high], 0, 100)
        assert 2 <= len(scale.ticks) <= scales.MOST + 1
        assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
        steps = [b - a for a, b in itertools.pairwise(scale.ticks)]
        assert max(steps) == pytest.approx(min(steps))
        assert f"{steps[0]:.0e}"[0] in "125"


def test_equal_ratios_are_equally_far_on_a_logarithmic_axis():
    scale = scales.logarithmic([0.5, 2.0], 0, 100, ticks=(0.5, 1, 2))
    assert scale(1) - scale(0.5) == pytest.approx(scale(2) - scale(1))
    assert scales.named(0.5) == "0.5"
    assert scales.named(2.5e9) == "2.5 B"
    assert len(scales.logarithmic([4.8e6, 2.5e7], 0, 1).ticks) >= 2


def test_intervals_have_their_line_at_zero_and_hollow_marks_where_nothing_is_decided():
    bars = [svg.Bar("a < b", -0.3, -0.2, -0.1), svg.Bar("a < c", -0.1, 0.1, 0.3, faint=True)]
    drawn = svg.intervals(bars, title="t", x_label="x", alt="alt")
    root = xml.fromstring(drawn)
    solid, hollow = root.iter(f"{TAG}circle")
    assert solid.get("fill") != looks.GROUND
    assert hollow.get("fill") == looks.GROUND
    zero = next(line for line in root.iter(f"{TAG}line") if line.get("stroke") == looks.INK)
    assert float(solid.get("cx")) < float(zero.get("x1")) < float(hollow.get("cx"))


def test_a_ring_marks_the_point_that_was_chosen():
    look = looks.looks(["a"])["a"]
    root = drawing(series=[svg.Series("a", (0.5, 1.0, 2.0), (3.0, 2.9, 3.1), look, ringed=1)], log_x=True)
    ring = next(c for c in root.iter(f"{TAG}circle") if c.get("fill") == "none")
    points = re.findall(r"([\d.]+),([\d.]+)", next(root.iter(f"{TAG}polyline")).get("points"))
    assert (ring.get("cx"), ring.get("cy")) == points[1]
