"""What was learned, measured on held-out clips; every figure of the report is in ``evaluation.json``.

Three questions, each against a named alternative: does the style of an unseen prompt reach the face (against the
counterfactual truth, the zero code and a wrong prompt); do the lips follow the audio (against a ridge regression on the
same features); is the avatar drawn better than by repeating the nearest training frame (where the recipe trains one).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from ..files.atomic import write_picture, write_text
from ..interfaces import Performance, Posterior, RendererBatch, State, unposed
from ..media.lip_regression import LipRidge, LipSync
from ..mesh.scene import erosion_radius
from ..pipeline import Pipeline
from ..registry.core_stages import EvaluateStage
from ..report.scores import Scores
from ..runs.store import PreparedClip, Store
from ..speak.style_model import StyleModel, decode_whole
from ..speak.trained import load_face, load_renderer, load_style
from ..training.bound import gaussian_kl, gaussian_log_likelihood, standard_normal_log_prob
from .avatar_pictures import AvatarPictures, Piece, image_vertices, make_avatar
from .context import StageContext
from .style import posterior_of, prompt_code

KL_SAMPLES, LIKELIHOOD_SAMPLES = 512, 8
"""Of the style code, for a clip's bound; decoding takes the time."""


def inputs(context: StageContext) -> dict[str, Any]:
    """What the figures depend on."""
    recipe = context.recipe
    return {
        "style": context.key("style"),
        "renderer": context.key("renderer") if recipe.runs("renderer") else None,
        **context.component_inputs("metric"),
    }


def run(context: StageContext) -> list[Path]:
    """Measure, and write ``evaluation.json`` and the pictures beside it."""
    load_face(context.run.weights, context.pipeline.to(context.device))
    model = load_style(context.run.weights, context.pipeline)
    figures: dict[str, Any] = {"protocol": "held-out clips; see each section's `measure`"}
    with context.console.status("style transfer"):
        transfer = style_transfer(context, model)
    if transfer is not None:
        figures["style_transfer"] = transfer
    with context.console.status("held-out clips"):
        figures |= held_out(context, model)
    if context.recipe.runs("renderer"):
        with context.console.status("renderer"):
            figures["renderer"] = rendering(context)
    path = context.run.path / "evaluation.json"
    write_text(path, json.dumps(figures, indent=1))
    samples = context.run.samples
    return [path, samples / "lip_opening.json", *sorted(samples.glob("renderer_*.png"))]


# ------------------------------------------------------------------------------------- style transfer


def style_transfer(context: StageContext, model: StyleModel) -> dict[str, Any] | None:
    """Distance (mm) from the counterfactual truth, for ours, the zero code and a wrong prompt.

    The target is a held-out sentence, the prompt another sentence, by another speaker where there is one, in a
    style never trained on; the truth is the target's sentence by its speaker in the prompt's style. None where the
    corpus has no style labels or cannot know counterfactuals.
    """
    store, corpus, face = context.store, context.pipeline.corpus, context.pipeline.face
    trained = {clip.style for clip in store.of("train")}
    unseen = sorted({clip.style for clip in store.of("held_out") if clip.style and clip.style not in trained})
    sources = {clip.name: clip for clip in corpus.clips()} if len(unseen) > 1 else {}
    scores: dict[str, list[float]] = {"ours": [], "zero_code": [], "wrong_prompt": []}
    lips: dict[str, list[float]] = {name: [] for name in scores}
    rows: list[dict[str, Any]] = []
    targets = _one_a_sentence([c for c in store.of("held_out") if c.heard and c.style in unseen], sources)
    for number, target in enumerate(targets):
        for style in unseen:
            truth_clip = corpus.counterfactual(sources[target.source], style)
            if truth_clip is None or truth_clip.track is None:
                return None
            truth = unposed(truth_clip.track)[target.start : target.start + target.frames]
            wrong = unseen[(unseen.index(style) + 1 + number % (len(unseen) - 1)) % len(unseen)]
            codes = {
                "ours": _code(context, model, target, style, sources),
                "wrong_prompt": _code(context, model, target, wrong, sources),
            }
            codes["zero_code"] = torch.zeros_like(codes["ours"])
            audio, identity = store.read(target, "audio"), store.identities[target.speaker]
            row: dict[str, Any] = {"target": target.name, "style": style, "wrong_style": wrong}
            for name, code in codes.items():
                error = (face.decode(decode_whole(model, audio, code), identity) - truth).norm(dim=-1)
                scores[name].append(float(error.mean()) * face.millimetres)
                lips[name].append(float(error[:, face.lips].mean()) * face.millimetres)
                row[name] = scores[name][-1]
            row["lips"] = {name: values[-1] for name, values in lips.items()}
            rows.append(row)
            if len(rows) >= context.options("evaluate", EvaluateStage).max_clips * 2:
                break
    if not rows:
        return None
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    return {
        "measure": "mean vertex distance from the counterfactual truth over the whole face, mm",
        **means,
        "ratio_to_zero_code": means["ours"] / means["zero_code"],
        "ratio_to_wrong_prompt": means["ours"] / means["wrong_prompt"],
        "lips": {name: float(np.mean(values)) for name, values in lips.items()},
        "unseen_styles": len(unseen),
        "pairs": rows,
    }


def _one_a_sentence(clips: Sequence[PreparedClip], sources: dict[str, Any]) -> list[PreparedClip]:
    """One clip of each speaker and sentence."""
    chosen: dict[tuple[str, str | None], PreparedClip] = {}
    for clip in clips:
        chosen.setdefault((clip.speaker, sources[clip.source].transcript), clip)
    return list(chosen.values())


def _code(
    context: StageContext, model: StyleModel, target: PreparedClip, style: str, sources: dict[str, Any]
) -> Tensor:
    """The code of a prompt in ``style``: another sentence, by another speaker where there is one."""
    said = sources[target.source].transcript
    prompts = [c for c in context.store.of("held_out", style=style) if sources[c.source].transcript != said]
    strangers = [c for c in prompts if c.speaker != target.speaker]
    return prompt_code(model, context.store, (strangers or prompts)[:1], context.device)


# -------------------------------------------------------------------------------------- held-out clips


def held_out(context: StageContext, model: StyleModel) -> dict[str, Any]:
    """Every metric on held-out clips, prompted by a training clip of the same manner, and the lips against ridge."""
    store, pipeline, settings = context.store, context.pipeline, context.options("evaluate", EvaluateStage)
    heard = [clip for clip in store.of("held_out") if clip.heard]
    trained = {clip.style for clip in store.of("train")}
    clips = [clip for clip in heard if clip.style is None or clip.style in trained] or heard
    clips = _spread(clips, settings.max_clips)
    training = [_lip_sync(pipeline, store, clip) for clip in store.of("train") if clip.heard] if settings.ridge else []
    ridge = LipRidge.fit(training) if training else None
    scores = Scores(metric for metric in pipeline.metrics if metric.needs == "vertices")
    rows, curves = [], {}
    for clip in clips:
        prompts = _prompts(store, clip)
        code = prompt_code(model, store, prompts, context.device)
        identity = store.identities[clip.speaker]
        predicted = pipeline.face.decode(decode_whole(model, store.read(clip, "audio"), code), identity)
        truth = store.vertices(clip)
        real = performance_of(context, clip)
        ours = attrs.evolve(real, vertices=predicted, prompt=performance_of(context, prompts[0]))
        row: dict[str, Any] = {"clip": clip.name, "speaker": clip.speaker, "offset_ms": clip.offset_ms}
        row["measures"] = scores.add(ours, real)
        opening = {"tracked": pipeline.face.lip_opening(truth), "ours": pipeline.face.lip_opening(predicted)}
        row["bound"] = measured_bound(model, store, clip, prompts[0], context.device)
        row["lip_opening_correlation"] = _pearson(opening["ours"], opening["tracked"])
        if ridge is not None:
            row["lip_opening_correlation_ridge"] = ridge.correlation(_lip_sync(pipeline, store, clip))
        curves[clip.name] = {name: [round(float(v), 5) for v in values] for name, values in opening.items()}
        rows.append(row)
    directions = {m.name: {"better": m.better, "unit": m.unit} for metric in pipeline.metrics for m in metric.measures}
    write_text(context.run.samples / "lip_opening.json", json.dumps(curves))
    figures: dict[str, Any] = {"measures": directions, "held_out": {"clips": rows}}
    if rows:
        figures["bound"] = {
            "measure": "negative bound (VAST, eq. 7) and reconstruction in nats a frame, KL in nats, mean over clips",
            **{name: float(np.mean([row["bound"][name] for row in rows])) for name in rows[0]["bound"]},
        }
        figures["held_out"] |= {
            "measure": "mean over held-out clips, prompted by a training clip of the same manner",
            **scores.overall(),
        }
        if scores.not_computed:
            figures["held_out"]["not_computed"] = scores.not_computed
        figures["lips"] = {
            "measure": "Pearson correlation of predicted and tracked inner-lip opening, mean over held-out clips",
            "ours": float(np.mean([row["lip_opening_correlation"] for row in rows])),
        }
        if ridge is not None:
            figures["lips"]["ridge"] = float(np.mean([row["lip_opening_correlation_ridge"] for row in rows]))
    return figures


@torch.no_grad()
def measured_bound(
    model: StyleModel, store: Store, clip: PreparedClip, prompt: PreparedClip, device: torch.device
) -> dict[str, float]:
    """The bound on -ln p(X | A) of a clip's T frames with q read from ``prompt``, and its terms, in nats.

    Of a frame, ``reconstruction`` = -E[ln p(X | zK, A)] / T and ``negative_bound`` = that + ``kl_after_flow`` / T.
    The KL divergences from N(0, I) are of the whole clip: of z0 in closed form, of z0 and of zK at the same samples
    (an orthogonal flow changes not one of them). The samples depend on nothing but the clip's name and Z, so that two
    flows are compared at the same ones.
    """
    posterior = posterior_of(model, store, prompt, device)
    chance = torch.Generator().manual_seed(zlib.crc32(clip.name.encode()))
    noise = torch.randn(KL_SAMPLES, posterior.mean.shape[1], generator=chance).to(device)
    many = Posterior(*(part.expand(KL_SAMPLES, -1) for part in (posterior.mean, posterior.log_std, posterior.context)))
    z0 = many.sample(noise)
    flowed = model.flow(z0, many.context)
    log_q0 = many.log_prob(z0)
    at_z0 = log_q0 - standard_normal_log_prob(z0)
    at_zk = log_q0 - flowed.log_det - standard_normal_log_prob(flowed.z)
    expression, audio, valid = (store.read(clip, n)[None].to(device) for n in ("expression", "audio", "valid"))
    heard = model.hear(audio)
    likelihoods = [
        gaussian_log_likelihood(model.decoder(heard, z[None], valid).expression, expression, valid, model.log_std)
        for z in flowed.z[:LIKELIHOOD_SAMPLES]
    ]
    reconstruction, kl = -float(torch.cat(likelihoods).mean()), float(at_zk.mean())
    return {
        "negative_bound": reconstruction + kl / max(int(valid.sum()), 1),
        "reconstruction": reconstruction,
        "kl_before_flow": float(gaussian_kl(posterior).sum()),
        "kl_before_flow_sampled": float(at_z0.mean()),
        "kl_after_flow": kl,
    }


def _spread(clips: list[PreparedClip], most: int) -> list[PreparedClip]:
    if len(clips) <= most:
        return clips
    return [clips[i] for i in np.linspace(0, len(clips) - 1, most).astype(int)]


def _prompts(store: Store, clip: PreparedClip) -> list[PreparedClip]:
    """A training clip of the same recording, else of the same speaker and style, else of the speaker, else itself."""
    own = list(store.of("train", speaker=clip.speaker))
    for kin in (
        [c for c in own if c.source == clip.source],
        [c for c in own if c.style == clip.style and clip.style is not None],
        own,
    ):
        if kin:
            return kin[:1]
    return [clip]


def _lip_sync(pipeline: Pipeline, store: Store, clip: PreparedClip) -> LipSync:
    return LipSync(
        name=clip.name,
        audio=store.read(clip, "audio").numpy(),
        opening=pipeline.face.lip_opening(store.vertices(clip)).numpy(),
        valid=store.read(clip, "valid").numpy(),
    )


def _pearson(a: Tensor, b: Tensor) -> float:
    pair = torch.stack([a, b])
    return 0.0 if float(pair.std(dim=1).min()) < 1e-9 else float(torch.corrcoef(pair)[0, 1])


def performance_of(context: StageContext, clip: PreparedClip) -> Performance:
    """A prepared clip as it was tracked; the pose is left out, as no model here moves the head."""
    store, pipeline = context.store, context.pipeline
    return Performance(
        face=pipeline.face,
        fps=pipeline.sizes.fps,
        vertices=store.vertices(clip),
        neutral=store.identities[clip.speaker],
        audio=store.read(clip, "audio") if clip.heard else None,
        name=clip.name,
        speaker=clip.speaker,
        style=clip.style or "",
    )


# -------------------------------------------------------------------------------------------- renderer


@torch.no_grad()
def rendering(context: StageContext) -> dict[str, Any]:
    """Image metrics over the face of held-out clips, for ours, the nearest training frame and the bare mesh."""
    pipeline, avatar = context.pipeline, make_avatar(context)
    renderer = load_renderer(context.run.weights, pipeline)
    metrics = [metric for metric in pipeline.metrics if metric.needs == "frames"]
    scores = {name: Scores(metrics) for name in ("ours", "nearest training frame", "textured mesh")}
    radius = erosion_radius(pipeline.sizes.image)
    nearest = NearestFrame(context, avatar)
    pieces = avatar.of("held_out")
    rows: list[dict[str, Any]] = []
    strips: dict[str, list[Tensor]] = {"real": [], "ours": [], "nearest training frame": [], "textured mesh": []}
    for piece in pieces:
        drawn: dict[str, list[Tensor]] = {name: [] for name in strips}
        regions: list[Tensor] = []
        state: State | None = None
        for start in range(0, piece.clip.frames, 32):
            stop = min(start + 32, piece.clip.frames)
            batch = avatar.batch(piece, start, stop, radius, context.device)
            out = renderer(batch.scene, state)
            state = out.state
            drawn["real"].append(batch.frames[0].cpu())
            drawn["ours"].append(out.frames[0].float().cpu())
            drawn["nearest training frame"].append(nearest(piece, start, stop))
            drawn["textured mesh"].append(_bare(batch))
            regions.append(batch.face[0].cpu())
        videos = {name: torch.cat(parts) for name, parts in drawn.items()}
        region = torch.cat(regions)
        row: dict[str, Any] = {"clip": piece.clip.name}
        for name, own in scores.items():
            prediction, reference = (
                Performance(
                    face=pipeline.face, fps=pipeline.sizes.fps, frames=videos[v], region=region, name=piece.clip.name
                )
                for v in (name, "real")
            )
            row[name] = own.add(prediction, reference)
        rows.append(row)
        for name, video in videos.items():
            strips[name] += [video[i] for i in np.linspace(0, len(video) - 1, 4).astype(int)]
    if not rows:
        return {"measure": f"avatar {avatar.name} has no held-out footage; nothing was measured"}
    _write_strips(context.run.samples, strips)
    figures: dict[str, Any] = {
        "measure": f"over the face of avatar {avatar.name}'s held-out clips, {pipeline.sizes.image} pixels wide",
        "avatar": avatar.name,
        "clips": rows,
    }
    keys = {"ours": "face", "nearest training frame": "nearest_frame", "textured mesh": "textured_mesh"}
    for name, key in keys.items():
        figures |= {f"{measure}_{key}": value for measure, value in scores[name].overall().items()}
    if reasons := scores["ours"].not_computed:
        figures["not_computed"] = reasons
    return figures


def _bare(batch: RendererBatch) -> Tensor:
    """The textured mesh over the eroded background, with no network."""
    scene = batch.scene
    return (scene.background + scene.coverage * (scene.texture - scene.background))[0].cpu()


class NearestFrame:
    """The baseline that draws nothing: the training frame whose face vertices lie nearest in the crop."""

    def __init__(self, context: StageContext, avatar: AvatarPictures) -> None:
        self._avatar = avatar

        def positions(piece: Piece) -> Tensor:
            return torch.from_numpy(piece.crop.vertices(image_vertices(context, piece.clip))[..., :2]).flatten(1)

        training = avatar.of("train")
        self._places = [(piece, frame) for piece in training for frame in range(piece.clip.frames)]
        self._positions = torch.cat([positions(piece) for piece in training])
        self._of = positions

    def __call__(self, piece: Piece, start: int, stop: int) -> Tensor:
        """Frames (T, 3, Y, X) for frames ``start`` to ``stop`` of a piece."""
        chosen = torch.cdist(self._of(piece)[start:stop], self._positions).argmin(1)
        pictures = []
        for index in chosen.tolist():
            source, frame = self._places[index]
            pictures.append(self._avatar.read(source, frame, frame + 1)["frames"][0, 0])
        return torch.stack(pictures).float() / 255


def _write_strips(folder: Path, strips: dict[str, list[Tensor]]) -> None:
    """A PNG for each row of the report's picture: frames side by side."""
    for name, frames in strips.items():
        chosen = frames[:8]
        row = torch.cat(chosen, dim=2).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
        write_picture(folder / f"renderer_{name.replace(' ', '_')}.png", row)
