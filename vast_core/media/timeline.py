"""One clock for all packets of a file, also where its own clocks start anew.

Recordings that were joined end to end, as Ogg, MPEG-TS and others allow, and clocks that overflow have time stamps that
jump. There the next part begins where the last one ended, with the same shift for pictures and sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import attrs
from av.container import InputContainer

BACK = 0.1
"""Seconds back in time from which a clock has started anew; encoders are off by a few milliseconds (our choice)."""

AHEAD = 10.0
"""Seconds ahead from which a clock has started anew, in formats whose clocks do (FFmpeg's choice). Less is a pause."""

TS_DISCONT = 0x200
"""Flag of such formats in FFmpeg, AVFMT_TS_DISCONT."""

_LOOK = 400
"""Packets that are read ahead where one clock has jumped, to see whether and from when the others go on."""


@attrs.define
class _Clock:
    """The clock of one stream."""

    last: float
    """Decoding time of its last packet in the file."""
    part: int = 0
    """How often it has started anew."""


def packets(container: InputContainer) -> Iterator[Any]:
    """The packets of all streams in the order of the file, with times that never jump back."""
    clocks: dict[int, _Clock] = {}
    shifts, reached = [0.0], 0.0
    leaps = bool(container.format.flags & TS_DISCONT)
    source = container.demux()
    waiting: deque[Any] = deque()

    def ahead() -> Iterator[Any]:
        number = 0
        while number < _LOOK:
            if number == len(waiting):
                packet = next(source, None)
                if packet is None:
                    return
                waiting.append(packet)
            yield waiting[number]
            number += 1

    while True:
        packet = waiting.popleft() if waiting else next(source, None)
        if packet is None:
            return
        if packet.size and packet.stream.type in ("video", "audio"):
            time = _time(packet)
            clock = clocks.setdefault(packet.stream.index, _Clock(time or 0.0))
            if time is not None:
                if _jumps(clock.last, time, leaps):
                    begins, ends, common = _others(clocks, packet, ahead(), leaps)
                    if time < clock.last or common:
                        clock.part += 1
                        if clock.part == len(shifts):
                            shifts.append(max(reached, ends + shifts[-1]) - begins)
                clock.last = time
            _move(packet, shifts[clock.part])
            reached = max(reached, _end(packet))
        yield packet


def _others(clocks: dict[int, _Clock], packet: Any, ahead: Iterator[Any], leaps: bool) -> tuple[float, float, bool]:
    """Where a clock has jumped with ``packet``: the first second of what begins there, and the last of what ends.

    Also whether the clocks of all streams jump there.
    """
    part = clocks[packet.stream.index].part
    last = {number: clock.last for number, clock in clocks.items() if clock.part == part}
    begins, ends = {packet.stream.index: _begin(packet)}, 0.0
    for other in ahead:
        if len(begins) == len(last):
            break
        number, time = other.stream.index, _time(other)
        if time is None or number not in last or number in begins:
            continue
        if _jumps(last[number], time, leaps):
            begins[number] = _begin(other)
        else:
            last[number] = time
            ends = max(ends, _end(other))
    return min(begins.values()), ends, len(begins) == len(last)


def _jumps(last: float, time: float, leaps: bool) -> bool:
    return time < last - BACK or (leaps and time > last + AHEAD)


def _move(packet: Any, seconds: float) -> None:
    ticks = round(seconds / float(packet.time_base))
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks


def _time(packet: Any) -> float | None:
    """Decoding time in seconds, which never decreases in one recording, unlike the time at which a picture is shown."""
    return None if packet.dts is None or not packet.size else float(packet.dts * packet.time_base)


def _begin(packet: Any) -> float:
    stamp = packet.dts if packet.pts is None else packet.pts
    return 0.0 if stamp is None else float(stamp * packet.time_base)


def _end(packet: Any) -> float:
    return _begin(packet) + float((packet.duration or 0) * packet.time_base)
