"""Let an exported avatar speak without vast: sound to the vertices of a face, with onnxruntime alone.

    python example.py speech.wav face.npy [STYLE]

speech.wav is mono, 16 bits, at 16 kHz; face.npy has the vertices (T, V, 3) of each frame, in centimetres. STYLE is the
name of one of the avatar's styles, neutral if it is left out.
"""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).parent
FACTS = json.loads((HERE / "avatar.json").read_text())


def graph(name: str) -> onnxruntime.InferenceSession:
    """One of the avatar's graphs, ready to run."""
    return onnxruntime.InferenceSession(HERE / FACTS["graphs"][name]["file"], providers=["CPUExecutionProvider"])


def hear(sound: np.ndarray, frames: int) -> np.ndarray:
    """Audio features (T, A) of a sound (S,), block by block; each block is heard in a window of sound around it."""
    audio, fact = graph("audio"), FACTS["audio"]
    rows = []
    for first in range(0, frames, fact["frames"]):
        low = round((first - fact["lead"]) / FACTS["fps"] * FACTS["sample_rate"])
        window = np.zeros((1, fact["samples"]), np.float32)
        own = sound[max(low, 0) : max(low + fact["samples"], 0)]
        window[0, max(-low, 0) : max(-low, 0) + len(own)] = own
        rows.append(audio.run(["rows"], {"wave": window})[0][0])
    return np.concatenate(rows)[:frames]


def speak(sound: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Vertices (T, V, 3) of the face that says a sound (S,) in the style ``code`` (Z,)."""
    frames = max(1, int(np.ceil(len(sound) / FACTS["sample_rate"] * FACTS["fps"] - 1e-6)))
    rows, ahead = hear(sound, frames), FACTS["lookahead"]
    padded = np.concatenate([rows, np.zeros((ahead, rows.shape[1]), np.float32)])
    decoder, face = graph("decoder"), graph("face")
    about = FACTS["graphs"]["decoder"]
    state = {name: np.zeros(about["inputs"]["state_" + name]["shape"], np.float32) for name in about["states"]}
    vertices = []
    for frame in range(frames):
        given = {"audio": padded[None, frame : frame + 1 + ahead], "code": code[None]}
        if ahead:
            given["known"] = np.arange(frame + 1, frame + 1 + ahead)[None] < frames
        given |= {"state_" + name: value for name, value in state.items()}
        found = dict(zip(about["outputs"], decoder.run(about["outputs"], given), strict=True))
        state = {name: found["next_" + name] for name in state}
        # the frame of the avatar's footage, from which blinks come; the pose of the head does not change the shape
        still = {"played": np.zeros(1, np.int64), "pose": np.eye(3, 4, dtype=np.float32)[None]}
        vertices.append(face.run(["shape"], {"expression": found["expression"][0], **still})[0][0])
    return np.stack(vertices)


if __name__ == "__main__":
    with wave.open(sys.argv[1]) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (FACTS["sample_rate"], 1, 2):
            sys.exit(f"{sys.argv[1]}: give a sound of one channel, 16 bits, at {FACTS['sample_rate']} Hz")
        heard = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    code = np.zeros(FACTS["style_size"], np.float32)
    if len(sys.argv) > 3:
        if sys.argv[3] not in FACTS["styles"]:
            sys.exit(f"{sys.argv[3]}: no style of this avatar; it has {', '.join(FACTS['styles']) or 'none'}")
        code = np.array(FACTS["styles"][sys.argv[3]]["code"], np.float32)
    face = speak(heard, code)
    np.save(sys.argv[2], face)
    sys.stdout.write(f"{sys.argv[2]}: {len(face)} frames of {face.shape[1]} vertices\n")
