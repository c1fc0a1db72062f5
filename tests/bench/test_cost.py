"""What is counted among what a profiler lists; the figures themselves only a GPU has."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from repro.bench import cost


def event(name, *, device="CUDA", annotation=False):
    return SimpleNamespace(name=name, device_type=SimpleNamespace(name=device), is_user_annotation=annotation)


@pytest.fixture
def listed(monkeypatch):
    """Has the profiler list given events, and says in which order the device was waited for."""
    order = []

    def use(events):
        @contextmanager
        def profile(**_):
            order.append("begin")
            yield SimpleNamespace(events=lambda: events)
            order.append("end")

        monkeypatch.setattr(cost, "profile", profile)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: order.append("wait"))
        return order

    return use


def test_kernels_copies_and_fills_are_counted_and_nothing_else(listed):
    listed(
        [event("_forward"), event("Memcpy DtoD"), event("Memset"), event("aten::mul", device="CPU")]
        + [event("a range", annotation=True)]
        + [event(name) for name in ("Context Sync", "Stream Sync", "Event Sync", "Stream Wait Event")]
    )
    assert cost.launches(lambda: None) == 3


@pytest.mark.parametrize("events", [None, [], [event("Context Sync")]])
def test_a_profiler_that_sees_no_kernel_is_not_taken_for_none(listed, events):
    listed(events)
    assert cost.launches(lambda: None) is None


def test_the_device_is_waited_for_outside_the_profile(listed):
    order = listed([event("_forward")])
    cost.launches(lambda: order.append("work"))
    assert order == ["wait", "begin", "work", "end", "wait"]
