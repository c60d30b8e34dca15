"""What is written, read by programs of others."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import wave

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vast_core.mesh import canonical_face
from vast_motion.live_link import timecode
from vast_motion.names import NAMES
from vast_motion.take import take_of
from vast_motion.writing import as_wav, write_take

HEADER = (
    "Timecode,BlendshapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,"
    "EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,EyeSquintRight,"
    "EyeWideRight,JawForward,JawRight,JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,"
    "MouthSmileLeft,MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,MouthStretchLeft,"
    "MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,MouthShrugUpper,MouthPressLeft,MouthPressRight,"
    "MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,"
    "BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,"
    "TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
)
"""The first line of a recording of Live Link Face."""


def placed(take, frame):
    """The face of ``frame`` (V, 3) in centimetres, as its curves and its head give it."""
    shape = take.neutral + np.einsum("k,kvc->vc", take.curves[frame], take.shapes)
    return shape @ take.rotation[frame].T + take.translation[frame]


def test_csv_has_the_columns_of_live_link_face(take, tmp_path, samples):
    path = tmp_path / "a.csv"
    write_take(take, path, "arkit-csv")
    lines = path.read_text().splitlines()
    assert lines[0] == HEADER
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert len(rows) == samples.frames
    assert {row["BlendshapeCount"] for row in rows} == {"61"}
    found = [[float(row[name[0].upper() + name[1:]]) for name in NAMES] for row in rows]
    assert np.allclose(found, take.curves, atol=1e-8)
    assert [row["Timecode"] for row in rows[23:27]] == [
        "00:00:00:23.000",
        "00:00:00:24.000",
        "00:00:01:00.000",
        "00:00:01:01.000",
    ]
    about_y, about_x, about_z = samples.angles()[7]
    head = [float(rows[7][f"Head{turn}"]) for turn in ("Yaw", "Pitch", "Roll")]
    assert np.allclose(head, [-about_y, about_x, -about_z], atol=1e-6)


def test_timecodes_count_frames_without_drops():
    assert timecode(0, 29.97) == "00:00:00:00.000"
    assert timecode(30 * 60, 29.97) == "00:01:00:00.000"
    assert timecode(60 * 3661 + 59, 60) == "01:01:01:59.000"


def test_bvh_is_read_and_turns_the_head(take, tmp_path, samples):
    pybvh = pytest.importorskip("pybvh", reason="pybvh reads BVH: pip install pybvh")
    path = tmp_path / "a.bvh"
    write_take(take, path, "bvh")
    read = pybvh.read_bvh_file(str(path))
    assert read.frame_count == samples.frames
    assert read.frame_time == pytest.approx(1 / take.fps, abs=1e-12)
    names = [node.name for node in read.nodes]
    assert names[:2] == ["Head", "Jaw"]
    coordinates = read.node_positions() if hasattr(read, "node_positions") else read.get_spatial_coord()
    coordinates = np.asarray(coordinates)
    jaw = np.array([0.0, 0.2, -2.0])
    expected = take.translation + np.einsum("tij,j->ti", take.rotation, jaw)
    assert np.allclose(coordinates[:, 1], expected, atol=1e-4)


def accessors(document):
    """Reads an accessor of a glTF file by its number."""
    data = document.binary_blob()
    kinds, parts = {5126: "<f4", 5123: "<u2"}, {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}

    def read(number):
        accessor = document.accessors[number]
        view = document.bufferViews[accessor.bufferView]
        rows = np.frombuffer(
            data, kinds[accessor.componentType], offset=view.byteOffset, count=accessor.count * parts[accessor.type]
        )
        return rows.reshape(accessor.count, -1)

    return read


def test_gltf_is_read_and_gives_the_same_face(motion, tmp_path):
    pygltflib = pytest.importorskip("pygltflib", reason="pygltflib reads glTF: pip install pygltflib")
    take = take_of(motion, fps=60.0)
    path = tmp_path / "a.glb"
    write_take(take, path, "gltf", tmp_path / "a.wav")
    document = pygltflib.GLTF2().load(str(path))
    assert document.asset.extras == {"frames_per_second": 60.0, "sound": "a.wav"}
    read, mesh = accessors(document), document.meshes[0]
    assert mesh.extras["targetNames"] == list(NAMES)
    primitive, clip = mesh.primitives[0], document.animations[0]
    tracks = {channel.target.path: clip.samplers[channel.sampler] for channel in clip.channels}
    times = read(tracks["weights"].input)[:, 0]
    assert np.array_equal(times, (np.arange(len(take)) / 60).astype(np.float32))
    weights = read(tracks["weights"].output).reshape(len(take), 52)
    rotation = Rotation.from_quat(read(tracks["rotation"].output)).as_matrix()
    for frame in (0, 31, 77):
        shape = read(primitive.attributes.POSITION) + sum(
            weight * read(target["POSITION"]) for weight, target in zip(weights[frame], primitive.targets, strict=True)
        )
        seen = shape @ rotation[frame].T + read(tracks["translation"].output)[frame]
        assert np.allclose(100 * seen, placed(take, frame), atol=1e-3), "in metres"
    triangles = read(primitive.indices).reshape(-1, 3)
    assert len(triangles) == 880, "with eyes, without the inside of the mouth"
    assert np.array_equal(triangles[:852], canonical_face().triangles)
    assert np.allclose(read(primitive.attributes.TEXCOORD_0), canonical_face().uv)
    with wave.open(str(tmp_path / "a.wav")) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (16_000, len(motion.wave))


CHECK = """
const validator = require("gltf-validator"), fs = require("fs");
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[2])))
  .then(report => console.log(JSON.stringify(report)), error => { console.error(error); process.exit(1); });
"""


@pytest.mark.slow
def test_gltf_passes_the_validator_of_khronos(take, tmp_path):
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("the validator needs node and npm")
    install = ["npm", "install", "--no-audit", "--no-fund", "gltf-validator@2.0.0-dev.3.10"]
    if (got := subprocess.run(install, cwd=tmp_path, capture_output=True, text=True)).returncode:
        pytest.skip(f"the validator cannot be installed: {got.stderr[-300:]}")
    write_take(take, tmp_path / "a.glb", "gltf")
    (tmp_path / "check.js").write_text(CHECK)
    done = subprocess.run(["node", "check.js", "a.glb"], cwd=tmp_path, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["issues"]["numErrors"] == report["issues"]["numWarnings"] == 0, report["issues"]["messages"]
    assert report["info"]["hasMorphTargets"]
    assert report["info"]["animationCount"] == 1


def test_usd_opens_validates_and_bakes_the_same_face(motion, tmp_path):
    pxr = pytest.importorskip("pxr", reason="usd-core reads USD: pip install usd-core")
    from pxr import Usd, UsdGeom, UsdSkel, UsdValidation

    assert pxr
    take = take_of(motion, fps=29.97)
    path = tmp_path / "a.usda"
    write_take(take, path, "usda", tmp_path / "a.wav")
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    problems = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [(problem.GetName(), problem.GetMessage()) for problem in problems] == []
    assert stage.GetTimeCodesPerSecond() == 29.97
    assert stage.GetEndTimeCode() == len(take) - 1
    assert stage.GetPrimAtPath("/Avatar/Sound").GetAttribute("filePath").Get().path == "./a.wav"
    animation = UsdSkel.Animation(stage.GetPrimAtPath("/Avatar/Speech"))
    assert tuple(animation.GetBlendShapesAttr().Get()) == NAMES
    assert UsdSkel.BakeSkinning(UsdSkel.Root(stage.GetPrimAtPath("/Avatar")))
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Avatar/Face")).GetPointsAttr()
    for frame in (0, 20, 41):
        assert np.allclose(points.Get(float(frame)), placed(take, frame), atol=2e-3), "in centimetres"


@pytest.mark.parametrize("name", ["ä.wav", "a@b.wav", "@a@@@b.wav"])
def test_usd_finds_a_sound_of_any_name(take, tmp_path, name):
    pytest.importorskip("pxr", reason="usd-core reads USD: pip install usd-core")
    from pxr import Usd

    write_take(take, tmp_path / "a.usda", "usda", tmp_path / name)
    stage = Usd.Stage.Open(str(tmp_path / "a.usda"))
    assert stage.GetPrimAtPath("/Avatar/Sound").GetAttribute("filePath").Get().path == f"./{name}"


def test_npz_needs_no_pickle(take, motion, tmp_path):
    path = tmp_path / "a.npz"
    write_take(take, path, "npz")
    with np.load(path, allow_pickle=False) as read:
        assert float(read["fps"]) == 25
        assert tuple(read["names"]) == NAMES
        assert np.allclose(read["curves"], take.curves)
        assert np.allclose(read["vertices"], motion.vertices, atol=1e-5)
        assert np.array_equal(read["expression"], motion.expression)
        assert np.allclose(read["head_rotation"], take.rotation)
        assert np.array_equal(read["wave"], motion.wave)
        assert read["vertices"].shape[1:] == read["neutral"].shape == (468, 3)


def test_sound_is_16_bit_and_never_overflows():
    with wave.open(io.BytesIO(as_wav(np.array([0, 1, -1, 2, 0.5], np.float32)))) as sound:
        assert sound.getparams()[:4] == (1, 2, 16_000, 5)
        assert np.frombuffer(sound.readframes(5), "<i2").tolist() == [0, 32767, -32767, 32767, 16384]
