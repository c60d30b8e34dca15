"""How flat a style space is: constructed decoders for which every figure is known."""

from types import SimpleNamespace

import pytest
import torch

from vast_core.errors import InputError
from vast_metrics.config import StyleSpaceStage
from vast_metrics.stages import style_space as stage
from vast_metrics.style_space import Range, apart, code_share, error_explained, evenness, monotony, progress

T, V, Z = 6, 4, 2


def path(*positions):
    """Performances (K, T, V, 3) that are all moved by some mm along x from one moving face."""
    moving = torch.randn(T, V, 3, generator=torch.Generator().manual_seed(1))
    return moving + torch.tensor(positions)[:, None, None, None] * torch.tensor([1.0, 0.0, 0.0])


def test_progress_and_monotony_by_hand():
    there_and_back = path(0.0, 3.0, 2.0, 4.0)
    assert progress(there_and_back).tolist() == pytest.approx([0, 0.75, 0.5, 1])
    assert monotony(there_and_back) == pytest.approx(1 / 1.5)
    assert monotony(path(0.0, 1.0, 3.0, 4.0)) == pytest.approx(1)
    assert monotony(path(0.0, 2.0, 1.0, 0.0), 1) == pytest.approx(0, abs=1e-6)
    assert monotony(path(5.0, 5.0, 5.0)) == 0


def test_evenness_by_hand():
    assert evenness(path(0.0, 1.0, 2.0, 3.0)) == pytest.approx(1)
    assert evenness(path(0.0, 0.0, 0.0, 3.0)) == pytest.approx(1 / 3)
    assert evenness(path(0.0, 0.5, 1.0, 4.0)) == pytest.approx((4 / 3) / 3)
    assert evenness(path(5.0, 5.0, 5.0)) == 0
    assert apart(*path(1.0, 3.5)) == pytest.approx(2.5)


def test_shares_of_variance_by_hand():
    words = torch.tensor([0.0, 6.0])[:, None, None] * torch.ones(2, V, 3)  # variance 9 a coordinate over frames
    codes = torch.tensor([-2.0, 2.0])[:, None, None, None] * torch.ones(2, 1, V, 3)  # variance 4 over codes
    assert code_share(codes + words) == pytest.approx(4 / 13)
    assert code_share(0 * codes + words) == 0
    assert code_share(codes + 0 * words) == pytest.approx(1)
    both = torch.tensor([-1.0, 1.0])
    assert code_share((both[:, None] * both)[..., None, None].expand(2, 2, V, 3)) == pytest.approx(1)
    truth = torch.zeros(2, V, 3)
    assert error_explained(truth, truth + 1, truth + 2) == pytest.approx(0.75)
    assert error_explained(truth, truth + 2, truth + 2) == 0
    assert error_explained(truth, truth + 4, truth + 2) == pytest.approx(-3)


def test_range_contains_the_typical_share_of_real_faces_and_no_strange_ones():
    chance = torch.Generator().manual_seed(2)
    corpus, others, more = (torch.randn(n, 1, 3, generator=chance) for n in (3000, 1000, 1000))
    near = Range.of(corpus, others)
    assert near.plausible(others) == pytest.approx(0.95, abs=0.002)
    assert near.plausible(more.reshape(2, 500, 1, 3)) == pytest.approx(0.95, abs=0.03)
    assert near.plausible(more + 20) == 0
    assert near.plausible(torch.stack([more, more + 20])) == pytest.approx(0.475, abs=0.02)
    assert near.distance(corpus[:5] + torch.tensor([30.0, 0, 0])).min() > 20
    assert near.distance(corpus[:5]).max() < 0.01
    two = Range.of(torch.tensor([0.0, 99.0])[:, None, None].expand(2, 2, 3), corpus[:1].expand(1, 2, 3))
    assert float(two.distance(torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]]))) == pytest.approx(12.5**0.5)


# ------------------------------------------------------------------------------------------------ the stage


class LinearFace:
    """All vertices are moved along x by the first coefficient, and along y by the second, in cm."""

    millimetres = 10.0

    def decode(self, expression, identity):
        moved = torch.cat([expression, torch.zeros_like(expression[..., :1])], -1)
        return identity + moved[..., None, :]


class Shelf:
    """Two training and three held-out clips of as many styles; real faces are normal, 1 cm wide."""

    identities = {"ann": torch.zeros(V, 3), "bob": torch.ones(V, 3)}

    def __init__(self, styles=("c", "d", "e")):
        split = [("train", "a"), ("train", "b"), *(("held_out", style) for style in styles)]
        self.clips = [
            SimpleNamespace(
                name=f"{n}", source=f"{n}", speaker="ann", split=where, style=style, heard=True, frames=T, number=n
            )
            for n, (where, style) in enumerate(split)
        ]

    def of(self, split):
        return (clip for clip in self.clips if clip.split == split)

    def read(self, clip, name, start=0, stop=None):
        if name == "valid":
            return torch.ones(T, dtype=torch.bool)
        return torch.randn(T, 2, generator=torch.Generator().manual_seed(clip.number))

    def features(self, clip, audio, start=0, stop=None):
        return torch.linspace(-1, 1, T)[start:stop, None]


CODES = {"c": [3.0, 0.0], "d": [0.0, 0.0], "e": [0.0, 4.0]}


def measured(monkeypatch, decoder, shelf=None, **options):
    """The figures of a model that says ``decoder(audio, code)``, expression (B, T, 2)."""

    def speak(audio, code, mask):
        return SimpleNamespace(expression=decoder(audio, code[:, None]))

    monkeypatch.setattr(stage, "prompt_code", lambda model, store, clip, device: torch.tensor([CODES[clip.style]]))
    monkeypatch.setattr(stage, "prompt_for", lambda store, clip: clip)
    context = SimpleNamespace(
        store=shelf or Shelf(),
        device=torch.device("cpu"),
        pipeline=SimpleNamespace(face=LinearFace()),
        options=lambda name, config: StyleSpaceStage(**options),
    )
    model = SimpleNamespace(audio=None, speak=speak, code_from=lambda noise: 0.1 * noise)
    return stage.measured(context, model)


def test_a_linear_decoder_has_straight_even_paths_of_known_length(monkeypatch):
    found = measured(monkeypatch, lambda audio, code: 0.1 * (audio + code))
    # 1 mm for a unit of the code: from c to d 3 mm, from d to e 4 mm, from e to c 5 mm
    assert found["path_length"] == pytest.approx(4, rel=1e-4)
    assert (found["path_monotony"], found["path_evenness"]) == (pytest.approx(1), pytest.approx(1))
    assert found["progress"]["interpolation"] == pytest.approx([k / 8 for k in range(9)], abs=1e-4)
    # the code of d is 0, so nothing changes with its strength
    assert found["strength_monotony"] == pytest.approx(2 / 3)
    assert found["progress"]["strength"] == pytest.approx([2 / 3 * k / 4 for k in range(9)], abs=1e-4)
    # variances over codes: 2 of (3, 0, 0) and 32/9 of (0, 0, 4); of the words -1 to 1 in six steps 7/15, twice
    between = 2 + 32 / 9
    assert found["code_share"] == pytest.approx(between / (between + 14 / 15), rel=1e-4)
    # differences of codes drawn with a deviation of 0.1 are 0.1 sqrt(pi) mm in the mean
    assert found["prior_diversity"] == pytest.approx(0.1 * torch.pi**0.5, rel=0.3)
    assert found["measures"]["path_length"] == {"better": "higher", "unit": "mm"}


def test_a_decoder_that_ignores_its_code_has_zeros(monkeypatch):
    found = measured(monkeypatch, lambda audio, code: 0.1 * audio.expand(len(code), T, 1).repeat(1, 1, 2))
    for name in stage.MEASURES.keys() - {"path_plausibility", "prior_plausibility", "strength_plausibility"}:
        assert found[name] == 0, name


def test_a_cliff_is_uneven_and_a_wave_goes_back(monkeypatch):
    cliff = measured(monkeypatch, lambda audio, code: (code > 1.9).float() + 0 * audio)
    assert cliff["path_monotony"] == pytest.approx(1)
    # one jump of eight steps from c to d and from d to e; from e to c two, at different steps
    assert cliff["path_evenness"] == pytest.approx((1 / 8 + 1 / 8 + 2 / 8) / 3)
    wave = measured(monkeypatch, lambda audio, code: torch.sin(2 * code) + 0 * audio)
    assert wave["path_monotony"] < 0.6


def test_codes_far_outside_are_implausible(monkeypatch):
    far = measured(monkeypatch, lambda audio, code: 100 * code + 0 * audio)
    assert far["prior_plausibility"] == 0
    assert far["strength_plausibility"] < 0.5


def test_error_that_the_prompts_code_removes(monkeypatch):
    shelf = Shelf()
    real = {clip.style: shelf.read(clip, "expression") for clip in shelf.clips}
    codes = torch.tensor([CODES[style] for style in "cde"])

    def oracle(audio, code):
        """The truth for the code of a prompt, and zero otherwise."""
        made = torch.zeros(len(code), T, 2)
        for row, own in enumerate(code[:, 0]):
            for style, known in zip("cde", codes, strict=True):
                if torch.equal(own, known):
                    made[row] = real[style]
        return made

    assert measured(monkeypatch, oracle, shelf)["error_explained"] == pytest.approx(1)


def test_one_style_is_too_few(monkeypatch):
    with pytest.raises(InputError, match="1 held-out styles or recordings"):
        measured(monkeypatch, lambda audio, code: audio + code, Shelf(["c"]))


def test_report_has_every_figure(monkeypatch, tmp_path):
    figures = measured(monkeypatch, lambda audio, code: 0.1 * (audio + code))
    (section,) = stage.report(SimpleNamespace(figures=lambda name: figures))
    (table,) = [block for block in section.blocks if block.kind == "table"]
    assert [row[0] for row in table.rows] == list(stage.MEASURES)
    for block in section.blocks:
        block.view(tmp_path)
