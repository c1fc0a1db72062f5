"""What an FFN of the 1b scale keeps for its backward pass, measured; its bytes are the same on every device."""

import pytest
import torch

from repro.bench import ffn
from repro.bench.ffn import Arm, Cost

TOKENS = 3


def kept(arm, device):
    x = torch.randn(TOKENS, ffn.D_MODEL, dtype=torch.bfloat16, device=device, requires_grad=True)
    return Cost(arm, TOKENS, ffn._kept(ffn.network(arm, device), x))


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        (Arm("polynorm", "ours"), "37,120 + 12 in float32"),  # 2048 + 8256 + 8256 numbers, and three scales
        (Arm("polyrelu", "ours"), "37,120"),
        (Arm("polynorm", "torch"), "37,120"),
        (Arm("swiglu", "torch"), "48,128"),  # 2048 + 4 x 5504 numbers: gate, silu(gate), up and their product
    ],
    ids=lambda value: f"{value.activation} {value.backend}" if isinstance(value, Arm) else "",
)
def test_bytes_kept_for_a_token(interpreter, arm, said):
    assert ffn._per_token(kept(arm, interpreter)) == said


def test_a_row_says_what_was_kept_and_has_no_time_without_a_gpu():
    row = Cost(Arm("polynorm", "ours"), 2, ffn.Counter({torch.bfloat16: 20, torch.float32: 4})).row()
    assert (row["d_ff"], row["kept_bytes_per_token"], row["kept_float32_bytes_per_token"]) == (8256, 12, 2)
    assert row["median_ms"] is row["tokens_per_s"] is row["peak_bytes"] is None


def test_the_verdict_holds_polynorm_against_swiglu():
    def measured(ours, gated):
        return [
            Cost(Arm("polynorm", "ours"), 1, ffn.Counter({torch.bfloat16: ours, torch.float32: 12})),
            Cost(Arm("swiglu", "torch"), 1, ffn.Counter({torch.bfloat16: gated})),
        ]

    said = ffn._verdict(measured(37_120, 48_128))
    assert said.startswith("reached: ")
    assert said.endswith("SwiGLU: 37,120 + 12 in float32 against 48,128")
    assert ffn._verdict(measured(37_122, 48_128)).startswith("missed: ")
    assert ffn._verdict(measured(37_120, 37_132)).startswith("missed: ")
