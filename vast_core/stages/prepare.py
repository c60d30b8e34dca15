"""Clips to prepared clips: track, correct the sound, learn the expression basis, encode.

The face component tracks every clip that has no true track. The offset of the sound is estimated and corrected if the
recipe asks for it, the expression basis is learned on the training part, and each shot becomes one or two prepared
clips. A clip that cannot be used is listed with the reason, and the others are prepared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress_over
from safetensors.numpy import save_file
from safetensors.torch import load_file
from torch import Tensor

from ..errors import SURROUNDINGS, InputError
from ..files.atomic import remove_left, replacing
from ..files.names import composed
from ..files.remote import sent
from ..interfaces import SAMPLE_RATE, Clip, Face, listen, unposed
from ..media.hearing import is_silent
from ..media.lip_regression import LipSync
from ..media.same_footage import doubles, glimpse
from ..media.sync import Offset, estimate_offsets, shift_wave
from ..places import cache_root
from ..registry.core_stages import PrepareStage
from ..runs.keys import code_digest, component_key, digest
from ..runs.lock import awaited
from ..runs.store import PreparedClip, RejectedClip, reasons
from ..runs.weights import load_into, load_weights, save_weights
from ..speak.parts import load_part
from .context import StageContext
from .shots import FURTHER, Shot, Tracks


def inputs(context: StageContext) -> dict[str, Any]:
    """Inputs of the preparation."""
    return {
        **context.component_inputs("corpus", "face", "audio"),
        "fps": context.recipe.fps,
        "seed": context.recipe.seed if context.trains_audio else None,
        "clips": context.clip_inputs(),
    }


def track_inputs(context: StageContext) -> dict[str, Any]:
    """What the tracks of a clip depend on besides its digest.

    Options of the corpus do not count: if they change a clip's pictures, they change its digest.
    """
    return {
        "code": code_digest(__name__),
        **context.component_inputs("face"),
        "corpus": component_key(context.recipe.part("corpus").component),
        "fps": context.recipe.fps,
    }


GLIMPSES = "glimpses.safetensors"
"""What a tracked clip shows, beside its tracks; not of clips whose tracks the corpus has."""


def run(context: StageContext) -> list[Path]:
    """Fill the store, unless an earlier run did, and write ``weights/face.safetensors``."""
    store, face = context.store, context.pipeline.face
    weights = context.run.weights / "face.safetensors"
    with awaited(store.path, context.say):
        if store.complete:
            context.console.print(f"prepared clips of an earlier run are used: {store.path}", style="dim")
        else:
            remove_left(store.path, alone=True)
            _fill(context)
        sent(store.path)
    for line in reasons(store.rejected):
        context.console.print(f"left out {line}", style="yellow")
    state, _ = load_weights(store.path / "face.safetensors")
    load_into(face, state, store.path / "face.safetensors")
    save_weights(weights, state, {**_header(context), "speakers": sorted(store.identities)})
    seconds = {
        split: sum(c.frames for c in store.of(split)) / context.run.recipe.fps for split in ("train", "held_out")
    }
    context.console.print(
        f"{len(store.clips)} clips of {len(store.identities)} speakers: {seconds['train']:.0f} s to train on, "
        f"{seconds['held_out']:.0f} s held out"
    )
    return [weights]


def _fill(context: StageContext) -> None:
    """Prepare all clips; the index is written last."""
    store, rejected = context.store, list[RejectedClip]()
    shots = _once(context, list(_tracked(context, rejected)), rejected)
    if not shots:
        raise InputError("no clip of the corpus can be used:\n" + _reasons(rejected))
    identities = _fit(context, shots)
    sounds, offsets = _features(context, shots, rejected)
    clips = _write(context, shots, identities, sounds, offsets, rejected)
    if not any(clip.split == "train" and clip.heard for clip in clips):
        raise InputError("no clip to train on has usable sound and a usable face:\n" + _reasons(rejected))
    save_weights(store.path / "face.safetensors", context.pipeline.face.state_dict(), _header(context))
    store.write_identities({name: torch.from_numpy(shape) for name, shape in identities.items()})
    store.write_index(clips, rejected)


def _reasons(rejected: list[RejectedClip]) -> str:
    return "\n".join(f"  {line}" for line in reasons(rejected)[:20])


def _header(context: StageContext) -> dict[str, Any]:
    return {"what": "face", **context.run.made_of(), "sizes": context.pipeline.sizes.known()}


def _tracked(context: StageContext, rejected: list[RejectedClip]) -> Iterator[Shot]:
    """Every shot of every clip, with its track on disk; clips that cannot be tracked are added to ``rejected``."""
    face, fps = context.pipeline.face, context.run.recipe.fps
    least = context.options("prepare", PrepareStage).min_seconds
    clips = list(context.pipeline.corpus.clips())
    speakers = {composed(clip.speaker) for clip in clips}
    if unknown := sorted(_held_out_speakers(context) - speakers):
        raise InputError(
            f"stages.prepare.held_out_speakers: no speaker {unknown[0]!r} in the corpus; "
            f"its speakers are {', '.join(sorted(speakers))}"
        )
    common = track_inputs(context)
    for clip in progress_over(clips, "tracking", console=context.console, transient=True):
        folder = cache_root() / "tracks" / digest({**common, "clip": clip.digest})
        try:
            if not (folder / "done").is_file():
                with awaited(folder, context.say):
                    _track(clip, face, fps, folder)
            shots = [Shot.of(clip, file) for file in sorted(folder.glob("[0-9]*.safetensors"))]
            usable = [shot for shot in shots if shot.frames >= least * fps]
            if not usable:
                longest = max(shot.frames for shot in shots)
                raise InputError(
                    f"the longest shot with a face lasts {longest / fps:.2f} s; at least {least} s are needed"
                )
        except SURROUNDINGS:
            raise
        except InputError as error:
            rejected.append(RejectedClip(clip=clip.name, reason=str(error)))
            continue
        yield from usable


def _track(clip: Clip, face: Face, fps: float, folder: Path) -> None:
    """Write the tracks of one clip, one file per shot, unless another run did while this one waited."""
    if (folder / "done").is_file():
        return
    remove_left(folder, alone=True)
    size: list[tuple[int, int]] = [] if clip.size is None else [clip.size]
    seen: list[NDArray[np.float32]] = []

    def frames() -> Iterator[NDArray[np.uint8]]:
        for frame in clip.footage.frames():
            if not size:
                size.append((frame.shape[0], frame.shape[1]))
            seen.append(glimpse(frame))
            yield frame

    tracks = [clip.track] if clip.track is not None else face.track(frames(), fps)
    if seen:
        with replacing(folder / GLIMPSES) as temporary:
            save_file({"levels": np.stack(seen)}, temporary)
    if not size:
        first = next(clip.footage.frames())
        size.append((first.shape[0], first.shape[1]))
    for number, track in enumerate(tracks):
        arrays = {"vertices": track.vertices, "pose": track.pose, "valid": track.valid}
        arrays |= {FURTHER + name: rows for name, rows in track.coefficients.items()}
        meta = {"start": str(track.start), "notes": "\n".join(track.notes), "size": f"{size[0][0]} {size[0][1]}"}
        with replacing(folder / f"{number:04d}.safetensors") as temporary:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, metadata=meta)
    with replacing(folder / "done") as temporary:
        temporary.write_text(f"{clip.speaker}\n{clip.name}\n", encoding="utf-8")


def _once(context: StageContext, shots: list[Shot], rejected: list[RejectedClip]) -> list[Shot]:
    """The shots without those of clips that show the same as another one, which would be trained on and held out.

    Of such clips one with sound is kept, of these the longest, and of equally long ones that which is held out.
    """
    first = {shot.clip.name: shot for shot in reversed(shots)}
    files = {name: file for name, shot in first.items() if (file := shot.file.with_name(GLIMPSES)).is_file()}
    levels = {name: load_file(file)["levels"].numpy() for name, file in files.items()}

    def order(name: str) -> tuple[bool, int, bool]:
        shot = first[name]
        return not _audible(shot.clip), -len(levels[name]), _training_frames(context, shot) > 0

    found = doubles(levels)
    found = doubles({name: levels[name] for name in sorted({*found, *found.values()}, key=order)})
    rejected += [
        RejectedClip(clip=name, reason=f"shows the same as {one}, which is kept") for name, one in found.items()
    ]
    return [shot for shot in shots if shot.clip.name not in found]


def _audible(clip: Clip) -> bool:
    """Whether a clip has sound that can be read and is not silent."""
    try:
        wave = clip.footage.wave()
    except SURROUNDINGS:
        raise
    except InputError:
        return False
    return wave is not None and len(wave) > 0 and not is_silent(wave)


def _training_frames(context: StageContext, shot: Shot) -> int:
    """Number of a shot's frames, from the first, that are training data."""
    settings, fps = context.options("prepare", PrepareStage), context.run.recipe.fps
    if composed(shot.clip.speaker) in _held_out_speakers(context):
        return 0
    if shot.clip.split is not None:
        return shot.frames if shot.clip.split == "train" else 0
    held_out = round(settings.held_out * shot.frames)
    # an end that is too short for a clip of its own is training data
    return shot.frames - held_out if held_out >= settings.min_seconds * fps else shot.frames


def _held_out_speakers(context: StageContext) -> set[str]:
    return set(map(composed, context.options("prepare", PrepareStage).held_out_speakers))


def _fit(context: StageContext, shots: list[Shot]) -> dict[str, NDArray[np.float32]]:
    """Fit the face component on the training frames, or load it; returns each speaker's neutral face."""
    face, given = context.pipeline.face, context.options("prepare", PrepareStage).face
    identities = {}
    if given is not None:
        load_part(face, given, context.pipeline, "face")
    with context.console.status("learning the expression basis"):
        seen = [shot for shot in shots if _training_frames(context, shot)]
        frames = [_training_frames(context, shot) for shot in seen]
        if given is None:
            face.learn_neutral(Tracks(seen, frames), [shot.clip.speaker for shot in seen])
        for speaker in dict.fromkeys(shot.clip.speaker for shot in shots):
            own = [shot for shot in shots if shot.clip.speaker == speaker]
            trained = [shot for shot in own if _training_frames(context, shot)] or own
            stops = [_training_frames(context, shot) or shot.frames for shot in trained]
            identities[speaker] = face.identity(Tracks(trained, stops))
        if not seen:
            raise InputError("every clip of the corpus is held out; there is nothing to train on")
        if face.fits and given is None:
            face.fit(Tracks(seen, frames), [identities[shot.clip.speaker] for shot in seen])
    return identities


def _features(
    context: StageContext, shots: list[Shot], rejected: list[RejectedClip]
) -> tuple[dict[str, Tensor], dict[str, Offset]]:
    """Synchronised audio features (T, A) of each clip with usable sound, and the corrected offsets."""
    settings = context.options("prepare", PrepareStage)
    audio = context.pipeline.audio.to(context.device).eval()
    lengths: dict[str, int] = {}
    for shot in shots:
        lengths[shot.clip.name] = max(lengths.get(shot.clip.name, 0), shot.start + shot.frames)
    clips = {shot.clip.name: shot.clip for shot in shots}
    sounds: dict[str, Tensor] = {}
    waves: dict[str, NDArray[np.float32]] = {}
    for name, clip in progress_over(clips.items(), "listening", console=context.console, transient=True):
        try:
            wave = clip.footage.wave()
        except SURROUNDINGS:
            raise
        except InputError as error:
            rejected.append(
                RejectedClip(
                    clip=name, reason=f"its sound cannot be read; its face serves as a style prompt only: {error}"
                )
            )
            continue
        if wave is None or not len(wave):
            rejected.append(RejectedClip(clip=name, reason="no sound; its face serves as a style prompt only"))
        elif is_silent(wave):
            rejected.append(RejectedClip(clip=name, reason="silent sound; its face serves as a style prompt only"))
        else:
            sounds[name] = listen(audio, wave, lengths[name], context.device)
            if settings.synchronise:
                waves[name] = wave
    if not settings.synchronise or not sounds:
        return sounds, {}
    first = {shot.clip.name: shot for shot in reversed(shots)}
    heard = [_lip_sync(context.pipeline.face, first[name], rows) for name, rows in sounds.items()]
    found = estimate_offsets(heard, context.run.recipe.fps, settings.max_offset_ms)
    offsets = dict(zip(sounds, found, strict=True))
    for name, offset in offsets.items():
        if not offset.confident:
            del sounds[name]
            rejected.append(
                RejectedClip(
                    clip=name,
                    reason=f"its sound does not match its lips (best correlation {offset.correlation:.2f} at "
                    f"{offset.milliseconds:+.0f} ms); its face serves as a style prompt only",
                )
            )
        else:
            shifted = shift_wave(waves[name], offset.milliseconds)
            sounds[name] = listen(audio, shifted, lengths[name], context.device)
    return sounds, offsets


def _lip_sync(face: Face, shot: Shot, rows: Tensor) -> LipSync:
    track = shot.track()
    own = rows[track.start : track.start + len(track)]
    return LipSync.of(shot.clip.name, face, unposed(track), own, track.valid)


def _write(
    context: StageContext,
    shots: list[Shot],
    identities: dict[str, NDArray[np.float32]],
    sounds: dict[str, Tensor],
    offsets: dict[str, Offset],
    rejected: list[RejectedClip],
) -> list[PreparedClip]:
    face, settings, fps = context.pipeline.face, context.options("prepare", PrepareStage), context.run.recipe.fps
    clips: list[PreparedClip] = []
    for shot in progress_over(shots, "encoding", console=context.console, transient=True):
        track, identity = shot.track(), identities[shot.clip.speaker]
        expression = torch.from_numpy(face.encode(track, identity))
        displacement = (unposed(track) - torch.from_numpy(identity)).half()
        several = sum(other.clip is shot.clip for other in shots) > 1
        middle = _training_frames(context, shot)
        for split, start, stop in (("train", 0, middle), ("held_out", middle, shot.frames)):
            if stop - start < settings.min_seconds * fps:
                continue
            name = shot.clip.name + (f" from {shot.start / fps:.2f} s" if several else "")
            name += " (end)" if split == "held_out" and start else ""
            if track.valid[start:stop].mean() < 0.5:
                rejected.append(RejectedClip(clip=name, reason="a mouth is seen in less than half of its frames"))
                continue
            sound = sounds.get(shot.clip.name)
            audio = (
                torch.zeros(stop - start, context.pipeline.sizes.audio)
                if sound is None
                else sound[shot.start + start : shot.start + stop]
            )
            offset = offsets.get(shot.clip.name)
            group, weight = context.pipeline.corpus.group(shot.clip)
            prepared = PreparedClip(
                file=f"clips/{len(clips):06d}.safetensors",
                name=name,
                source=shot.clip.name,
                start=shot.start + start,
                frames=stop - start,
                speaker=shot.clip.speaker,
                group=group,
                weight=weight,
                split="train" if split == "train" else "held_out",
                style=shot.clip.style,
                heard=sound is not None,
                offset_ms=offset.milliseconds if offset is not None and offset.confident else 0.0,
                image_size=shot.image_size,
                notes=shot.notes,
            )
            arrays = {
                "expression": expression[start:stop],
                "audio": audio,
                "pose": torch.from_numpy(track.pose[start:stop]),
                "valid": torch.from_numpy(track.valid[start:stop]),
                "displacement": displacement[start:stop],
            }
            arrays |= {FURTHER + name: torch.from_numpy(rows[start:stop]) for name, rows in track.coefficients.items()}
            if context.trains_audio and sound is not None:
                low, high = (round(frame / fps * SAMPLE_RATE) for frame in (prepared.start, shot.start + stop))
                arrays["wave"] = torch.from_numpy(_wave(shot.clip, prepared.offset_ms)[low:high])
            context.store.write_clip(prepared, arrays)
            clips.append(prepared)
    return clips


def _wave(clip: Clip, offset_ms: float) -> NDArray[np.float32]:
    """The sound (S,) of a clip, read again and in sync."""
    wave = clip.footage.wave()
    if wave is None:
        raise InputError(f"{clip.name}: has lost its sound while it was prepared")
    return shift_wave(wave, offset_ms) if offset_ms else wave
