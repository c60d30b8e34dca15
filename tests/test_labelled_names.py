"""Names of labelled clips, and names that only look like them."""

import pytest

from vast_core.media import ClipLabel, read_label


@pytest.mark.parametrize(
    ("stem", "speaker", "emotion"),
    [
        ("M030_front_happy_level3_001", "M030", "happy"),
        ("M030_front_neutral_level1_001", "M030", "neutral"),
        ("M030_happy_1", "M030", "happy"),
        ("W009_left_60_sad_level2_014", "W009", "sad"),
        ("W009_right30_Fear_level2_014", "W009", "fear"),
        ("anna-smith-surprised-2", "anna-smith", "surprised"),
        ("Anna Smith angry 3", "Anna Smith", "angry"),
        ("id_07.disgust.12", "id_07", "disgust"),
    ],
)
def test_speaker_and_emotion_are_read(stem, speaker, emotion):
    assert read_label(stem) == ClipLabel(speaker, emotion)


@pytest.mark.parametrize(
    "stem",
    [
        "Obama_clip1",
        "furious_talk1_clip2",
        "sad_emotion_clip1",
        "happyenglish_clip2",
        "M030",
        "M030_happy",
        "happy_1",
        "M030_interview_1",
        "M030_happy_1_short",
        "unhappy_1",
    ],
)
def test_other_names_have_no_label(stem):
    assert read_label(stem) is None
