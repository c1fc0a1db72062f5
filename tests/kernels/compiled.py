"""Compiles the kernels for a GPU that need not be there, and prints what the compiler says of each, as JSON.

``python -m tests.kernels.compiled 90 forward`` compiles the forward passes for sm_90. It is a program of its own, since
the tests' process has the kernels in the interpreter. It compiles what ``launch`` launches, with its options: the
functions there run on tensors without values, and a stand-in for each kernel notes how it is called.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor

from repro.kernels import elementwise, fold, launch, rowwise

TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
WIDTHS = (64, 1536, 2112, 8256, 10944, 16384, 32768)
POLYNORM = [  # width, order, dtype
    *((width, 3, torch.bfloat16) for width in WIDTHS),
    (8256, 3, torch.float32),
    *((width, 4, torch.bfloat16) for width in (8256, 16384)),
    *((width, 6, torch.bfloat16) for width in (1536, 8256, 16384)),
    (12288, 3, torch.bfloat16),  # the widest that the backward pass holds
]
POLYRELU = [(2**27, 3), (2**32, 3), (2**27, 6)]  # elements, order
ELEMENTS = 2**32  # of PolyNorm: more than an offset of 32 bits reaches


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel, as ``launch`` writes it."""

    kernel: Any
    grid: tuple[int, ...]
    args: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.kernel.fn.__module__.rpartition('.')[2]}.{self.kernel.fn.__name__}"

    def compiled(self, capability: int) -> Any:
        """The kernel as Triton would compile it for this launch on a GPU of ``capability``."""
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        names = self.kernel.arg_names
        given = dict(zip(names, self.args, strict=False))
        source = ASTSource(
            fn=self.kernel,
            signature={name: _kind(given[name]) if name in given else "constexpr" for name in names},
            constexprs={(names.index(name),): value for name, value in self.options.items() if name in names},
            attrs={(names.index(name),): [["tt.divisibility", 16]] for name in given if self._aligned(name, given)},
        )
        options = {name: value for name, value in self.options.items() if name not in names}
        return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)

    def _aligned(self, name: str, given: dict[str, Any]) -> bool:
        """Whether Triton knows a multiple of 16: each storage of torch, and a number unless told not to look."""
        number = given[name]
        if isinstance(number, Tensor):
            return True
        looks = not self.kernel.params[self.kernel.arg_names.index(name)].do_not_specialize
        return isinstance(number, int) and looks and number % 16 == 0


def _kind(value: Tensor | int | float) -> str:
    if isinstance(value, Tensor):
        return f"*{TYPES[value.dtype]}"
    if isinstance(value, int):
        return "i32" if value < 2**31 else "i64"
    return "fp32"


@dataclass(frozen=True)
class Notebook:
    """Stands in for a kernel, and notes its launches."""

    kernel: Any
    noted: list[Launch]

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return lambda *args, **options: self.noted.append(Launch(self.kernel, grid, args, options))


@contextmanager
def noting() -> Iterator[list[Launch]]:
    """The launches made inside, none of which happens."""
    noted: list[Launch] = []

    def stand_ins(module: Any, *names: str) -> Any:
        return patch.multiple(module, **{name: Notebook(getattr(module, name), noted) for name in names})

    with (
        stand_ins(rowwise, "forward", "forward_wide", "backward", "backward_wide"),
        stand_ins(elementwise, "forward", "backward"),
        stand_ins(fold, "fold"),
    ):
        yield noted


def forward(function: str, shape: tuple[int, ...], order: int, dtype: torch.dtype) -> list[Launch]:
    """The launches of a forward pass over an input of ``shape``."""
    x, coeff = torch.empty(shape, dtype=dtype, device="meta"), torch.empty(order + 1, device="meta")
    with noting() as noted:
        launch.polynorm(x, coeff, 1e-6) if function == "polynorm" else launch.polyrelu(x, coeff)
    return noted


def backward(function: str, shape: tuple[int, ...], order: int, dtype: torch.dtype) -> list[Launch]:
    """The launches of a backward pass over an input of ``shape``."""
    x, coeff = torch.empty(shape, dtype=dtype, device="meta"), torch.empty(order + 1, device="meta")
    with noting() as noted:
        if function == "polynorm":
            launch.polynorm_backward(x, x, coeff, torch.empty((shape[0], order), device="meta"))
        else:
            launch.polyrelu_backward(x, x, coeff)
    return noted


def reports(capability: int, direction: Callable[..., list[Launch]]) -> Iterator[dict[str, Any]]:
    """What the compiler says of each kernel of one direction, in all the cases; of the sums only once an order."""
    seen = set()
    cases = [("polynorm", (ELEMENTS // width, width), order, dtype) for width, order, dtype in POLYNORM]
    cases += [("polyrelu", (elements,), order, torch.bfloat16) for elements, order in POLYRELU]
    for case in cases:
        for made in direction(*case):
            about = (made.name, case[2]) if made.name == "fold.fold" else (made.name, *case[1:])
            if about not in seen:
                seen.add(about)
                facts = {"case": " ".join(map(str, case)), "kernel": made.name, "order": case[2]}
                yield facts | made.options | _report(made.compiled(capability))


def _report(kernel: Any) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(kernel.asm["cubin"])
        usage, code = _tool("cuobjdump", "-res-usage", cubin), _tool("nvdisasm", "-c", "-ndf", cubin)
    resource = dict(re.findall(r"\b(REG|STACK):(\d+)", usage))
    return {
        "registers": int(resource["REG"]),
        "stack": int(resource["STACK"]),
        "spills": _count(r"(?:LDL|STL)\b", code),
        "loads": _count(r"LDG\b", code),
        "wide_loads": _count(r"LDG\.E\.(?:\w+\.)*128\b", code),
        "stores": _count(r"STG\b", code),
        "wide_stores": _count(r"STG\.E\.(?:\w+\.)*128\b", code),
        "atomics": _count(r"(?:ATOM|ATOMG|ATOMS|RED|REDG)\b", code),
        **_rows(kernel.asm["ttir"]),
    }


def _tool(name: str, *args: str | Path) -> str:
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return subprocess.run([path, *args], check=True, capture_output=True, text=True).stdout


def _count(pattern: str, text: str) -> int:
    return len(re.findall(rf"\b{pattern}", text))


def _rows(ttir: str) -> dict[str, int]:
    """How often the program's number is made 64 bits wide, and how often it is used, or cut, without that."""
    numbers = re.findall(r"(%\w+) = tt\.get_program_id", ttir)
    uses = [line for line in ttir.splitlines() for number in numbers if re.search(rf"[^=]* = .*{number}\b", line)]
    widened = sum("arith.extsi" in line and "i32 to i64" in line for line in uses)
    return {"rows_in_64_bits": widened, "rows_in_32_bits": len(uses) - widened + ttir.count("arith.trunci")}


if __name__ == "__main__":
    direction = {"forward": forward, "backward": backward}[sys.argv[2]]
    print(json.dumps(list(reports(int(sys.argv[1]), direction))))
