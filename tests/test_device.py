"""The number of threads: as wanted, or the faster one of a measurement."""

from __future__ import annotations

import cv2
import pytest
import torch

from vast_core import device
from vast_core.device import use_threads


@pytest.fixture
def four():
    """torch takes four threads by itself; afterwards all is as before."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_a_wanted_number_is_taken_without_a_measurement(four, monkeypatch):
    monkeypatch.setattr(device, "_seconds_of_one_over", None)
    assert use_threads(3) == "computing with 3 threads"
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 3)


@pytest.mark.parametrize(("gain", "count"), [(3.1, 4), (1.1, 1), (0.3, 1)])
def test_several_are_taken_if_they_are_clearly_faster(four, monkeypatch, gain, count):
    monkeypatch.setattr(device, "_seconds_of_one_over", lambda most: gain)
    assert f"{gain:.1f} times as long" in use_threads()
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (count, count)


@pytest.mark.parametrize(("slow", "expected"), [(1, 4.0), (4, 0.25)])
def test_the_measurement_compares_seconds(four, monkeypatch, slow, expected):
    """Time stands still but for the work, which takes four times as long with ``slow`` threads."""
    now = [0.0]
    monkeypatch.setattr(device, "Thread", lambda target: SimpleThread())
    monkeypatch.setattr(device.time, "perf_counter", lambda: now[0])

    def work():
        now[0] += 4.0 if torch.get_num_threads() == slow else 1.0

    monkeypatch.setattr(device, "_work", work)
    assert device._seconds_of_one_over(4) == pytest.approx(expected)


@pytest.mark.parametrize(("facts", "precise"), [({"amx_bf16": True}, False), ({"amx_bf16": False}, True), ({}, True)])
def test_pictures_are_drawn_in_bfloat16_where_the_processor_multiplies_in_it(monkeypatch, facts, precise):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: facts, raising=False)
    one = torch.full((1, 1), 1 + 2**-12)
    with device.drawing_precision(torch.device("cpu")):
        assert (float(one @ one) > 1) == precise
    with device.drawing_precision(torch.device("meta")):
        assert (one @ one).is_cpu


class SimpleThread:
    def start(self):
        pass

    def join(self):
        pass
