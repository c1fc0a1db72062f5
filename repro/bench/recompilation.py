"""What each implementation compiles anew when the number of tokens changes."""

import time
from dataclasses import replace

import torch

from repro.bench import agreement, cost
from repro.bench.measurement import Case
from repro.bench.peers import OURS, Bound, Peer, first_line, peers

WIDTH = 1536  # columns at which it is counted
TOKENS = [131 + 257 * i for i in range(64)]
SECONDS = 60.0  # after which an implementation is stopped


def recompilations(case: Case, device: torch.device, *, seconds: float = SECONDS) -> dict[str, str]:
    """How often each implementation compiles for the numbers of tokens after the first, such as ``1 of 63``.

    One that takes longer than ``seconds`` says how far it came: ``41 of 48, stopped``; so does one that fails. Ours may
    not. torch.compile has its default here, dynamic shapes from the second one on.
    """
    torch.compiler.reset()
    here = peers(case.function, dynamic=None)
    # Who shares kernels shares what was compiled: the second would find all of it there.
    first = {peer.compilations: peer for peer in reversed(here)}
    counted = {compilations: _counted(peer, case, device, seconds) for compilations, peer in first.items()}
    return {peer.name: counted[peer.compilations] for peer in here}


def _counted(peer: Peer, case: Case, device: torch.device, seconds: float) -> str:
    """Of how many, and what ended it early."""
    end, done, before, ended = time.perf_counter() + seconds, 0, 0, ""
    for tokens in TOKENS:
        try:
            _both(peer, replace(case, rows=tokens), device)
        except Exception as error:  # of somebody else's code, whatever it is
            if peer.name == OURS:
                raise
            ended = f", {first_line(error):.60s}"
            break
        done, before = done + 1, before if done else peer.compilations()
        if time.perf_counter() > end and done < len(TOKENS):
            ended = ", stopped"
            break
    cost.free()
    return f"{peer.compilations() - before if done else 0} of {max(0, done - 1)}{ended}"


def _both(peer: Peer, case: Case, device: torch.device) -> None:
    bound = Bound(peer, agreement.inputs(case, device))
    bound.backward(bound.forward(), bound.incoming())
