"""Move the sound of a clip in time without encoding anything again."""

from __future__ import annotations

from pathlib import Path

import av

from vast_core.errors import MediaError

__all__ = ["with_sound_moved"]


def with_sound_moved(clip: Path, out: Path, seconds: float) -> None:
    """Write ``clip`` to ``out``, with sound that is ``seconds`` later; earlier if that is negative.

    Raises :class:`MediaError` if the file cannot be written in its own format.
    """
    try:
        with av.open(f"file:{clip}") as old, av.open(f"file:{out}", "w") as new:
            streams = [own for own in old.streams if own.type in ("video", "audio")]
            copies = {own.index: new.add_stream_from_template(own) for own in streams}
            for packet in old.demux(streams):
                if packet.dts is None or packet.pts is None:
                    continue
                if packet.stream.type == "audio":
                    shift = round(seconds / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = copies[packet.stream.index]
                new.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"{clip}: its sound cannot be moved ({error}); save the clip as MP4") from error
