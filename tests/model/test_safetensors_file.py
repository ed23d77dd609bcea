"""Model files: what is written comes back bit for bit, and what is not ours is refused with its reason."""

from __future__ import annotations

import errno
import math
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from smidgen.errors import ModelFileError
from smidgen.model import Model, flatten_arrays, load_safetensors, named_arrays, save_safetensors
from smidgen.model.safetensors_file import CLASSES_KEY, SHAPE_KEY, SPEC_KEY
from smidgen.records import Weights
from smidgen.spec import Shape, parse_spec
from smidgen.spec.families import FAMILIES, family

SHAPE = (2, 12, 12)
ALL_LAYERS = (
    "conv 3x3x2 relu, batchnorm leaky_relu(0.1), depthwise 3x3 same relu, pointwise 4, maxpool 2, "
    "avgpool 2, dropout 0.5, globalavgpool, dense 5 relu, batchnorm, dense 3"
)


def weight_count(text: str, shape: Shape) -> int:
    return sum(plan.parameters + plan.running_stats for plan in parse_spec(text).plan(shape))


def a_model(text: str = ALL_LAYERS, shape: Shape = SHAPE, seed: int = 0) -> Model:
    spec = parse_spec(text)
    weights = np.random.default_rng(seed).standard_normal(weight_count(text, shape)).astype(np.float32)
    classes = tuple(f"class {n}" for n in range(spec.output_shape(shape)[0]))
    return Model(spec, shape, classes, weights, {"data": "digits", "floor": "97 %"})


def assert_same(left: Model, right: Model) -> None:
    assert (left.spec, left.input_shape) == (right.spec, right.input_shape)
    assert (left.class_names, left.metadata) == (right.class_names, right.metadata)
    assert left.weights.dtype == np.float32
    assert left.weights.tobytes() == right.weights.tobytes()


# --- weights <-> named arrays ----------------------------------------------------------------


def test_the_flat_order_is_weight_bias_mean_variance_layer_by_layer() -> None:
    spec = parse_spec("conv 2x1x2, batchnorm, dense 1")
    arrays = named_arrays(spec, (1, 1, 2), np.arange(17, dtype=np.float32))
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "0.weight": [[[[0, 1]]], [[[2, 3]]]],
        "0.bias": [4, 5],
        "1.weight": [6, 7],
        "1.bias": [8, 9],
        "1.mean": [10, 11],
        "1.variance": [12, 13],
        "2.weight": [[14, 15]],
        "2.bias": [16],
    }


def test_named_arrays_have_the_shapes_of_the_plan() -> None:
    model = a_model()
    arrays = named_arrays(model.spec, SHAPE, model.weights)
    assert arrays["0.weight"].shape == (3, 2, 3, 2)
    assert arrays["2.weight"].shape == (3, 1, 3, 3)
    assert arrays["8.weight"].shape == (5, 4)
    assert sum(array.size for array in arrays.values()) == model.weights.size


@pytest.mark.parametrize("weights", [np.zeros(5, np.float32), np.zeros(7, np.float32), np.zeros(6, np.float64)])
def test_weights_of_another_length_or_dtype_are_refused(weights: Weights) -> None:
    with pytest.raises(ModelFileError, match=r"float32 weights of shape \(6,\) and was given"):
        named_arrays(parse_spec("dense 2"), (2, 1, 1), weights)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"0.weight": np.zeros((2, 2), np.float32)}, "lack 0.bias"),
        ({"0.weight": np.zeros((2, 3), np.float32), "0.bias": np.zeros(2, np.float32)}, r"0.weight .* shape \(2, 3\)"),
        ({"0.weight": np.zeros((2, 2), np.float16), "0.bias": np.zeros(2, np.float32)}, "0.weight is float16"),
        (
            {"0.weight": np.zeros((2, 2), np.float32), "0.bias": np.zeros(2, np.float32), "x": np.zeros(1, np.float32)},
            "have x, which 'dense 2' has not",
        ),
    ],
)
def test_arrays_that_are_not_the_networks_are_refused(arrays: dict[str, Weights], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        flatten_arrays(parse_spec("dense 2"), (2, 1, 1), arrays)


# --- round trips -----------------------------------------------------------------------------

SPECS = [
    (ALL_LAYERS, SHAPE),
    ("dense 10", (64, 1, 1)),
    ("batchnorm, dense 2", (3, 1, 1)),
    ("conv 2x3x3 same leaky_relu(0.25), globalavgpool, dense 4", (1, 5, 7)),
    *((str(family(name, 2)), (1, 28, 28)) for name in FAMILIES),
]


@settings(deadline=None, max_examples=60)
@given(
    spec=st.sampled_from(SPECS),
    seed=st.integers(0, 2**32),
    metadata=st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3),
    odd_value=st.floats(width=32, allow_nan=False, allow_infinity=False),
    name=st.text(max_size=10),
)
def test_a_model_comes_back_bit_for_bit(
    spec: tuple[str, Shape],
    seed: int,
    metadata: dict[str, str],
    odd_value: float,
    name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.safetensors"
    model = a_model(*spec, seed)
    model.weights[-1] = odd_value  # denormals and negative zero come up here
    model = replace(model, metadata=metadata, class_names=(name, *model.class_names[1:]))
    size_bytes = save_safetensors(model, path)
    assert size_bytes == path.stat().st_size
    assert_same(load_safetensors(path), model)


def test_flat_and_named_are_inverses() -> None:
    model = a_model()
    arrays = named_arrays(model.spec, SHAPE, model.weights)
    shuffled = dict(sorted(arrays.items(), reverse=True))
    assert flatten_arrays(model.spec, SHAPE, shuffled).tobytes() == model.weights.tobytes()


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model"
    contents = set()
    for _ in range(8):
        save_safetensors(a_model(), path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_other_readers_of_safetensors_see_the_tensors(tmp_path: Path) -> None:
    model = a_model("dense 3", (2, 1, 1))
    save_safetensors(model, tmp_path / "model.safetensors")
    arrays = load_file(tmp_path / "model.safetensors")
    assert arrays["0.weight"].tolist() == model.weights[:6].reshape(3, 2).tolist()
    assert arrays["0.bias"].tolist() == model.weights[6:].tolist()


def test_a_pinned_file(tmp_path: Path) -> None:
    """These bytes must be read for ever."""
    header = (
        b'{"__metadata__":{"note":"pinned","smidgen_classes":"[\\"no\\", \\"yes\\"]","smidgen_input_shape":"1x1x1",'
        b'"smidgen_spec":"dense 2"},"0.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"0.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]}}'
    )
    header += b" " * (-len(header) % 8)
    pinned = struct.pack("<Q", len(header)) + header + struct.pack("<4f", 0.5, -0.5, 1.0, 2.0)
    (tmp_path / "pinned").write_bytes(pinned)
    model = load_safetensors(tmp_path / "pinned")
    weights = np.array([1, 2, 0.5, -0.5], np.float32)
    assert_same(model, Model(parse_spec("dense 2"), (1, 1, 1), ("no", "yes"), weights, {"note": "pinned"}))
    save_safetensors(model, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == pinned


def test_saving_again_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_safetensors(a_model(seed=1), path)
    save_safetensors(a_model(seed=2), path)
    assert_same(load_safetensors(path), a_model(seed=2))
    assert list(tmp_path.iterdir()) == [path]


# --- models that cannot be saved --------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_not_saved(value: float, tmp_path: Path) -> None:
    model = a_model("dense 3", (2, 1, 1))
    model.weights[[1, 4]] = value
    with pytest.raises(ModelFileError, match="2 of 9 weights are not finite"):
        save_safetensors(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ("only", "two")}, "the data has 2 classes"),
        ({"metadata": {SPEC_KEY: "x"}}, "'smidgen_spec' is the file's own"),
        ({"metadata": {"n": 3}}, "metadata must be text"),
        ({"metadata": {"n": "\udc80"}}, "metadata must be text"),
        ({"weights": np.zeros(3, np.float32)}, r"shape \(9,\)"),
    ],
)
def test_a_model_that_does_not_hold_together_is_not_saved(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=message):
        save_safetensors(replace(a_model("dense 3", (2, 1, 1)), **change), tmp_path / "model")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


# --- files that are not ours, or not whole -----------------------------------------------------


def saved(path: Path) -> bytes:
    save_safetensors(a_model("dense 3", (2, 1, 1)), path)
    return path.read_bytes()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    content = saved(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match="is not a model file"):
            load_safetensors(path)


@pytest.mark.parametrize("garbage", [b"\0", b"more", b"\0" * 4096])
def test_bytes_after_the_end_are_refused(garbage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(saved(path) + garbage)
    with pytest.raises(ModelFileError, match="is not a model file"):
        load_safetensors(path)


def test_a_flipped_byte_gives_a_model_or_our_error(tmp_path: Path) -> None:
    path = tmp_path / "model"
    content = saved(path)
    refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x20]) + content[place + 1 :])
        try:
            load_safetensors(path)
        except ModelFileError:
            refused += 1
    assert refused > len(content) // 4


def test_other_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "other"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", "x")
    refuses(path, "zip archive")
    path.write_bytes(pickle.dumps({"weights": [1.0]}))
    refuses(path, "Python pickle, which is never read")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refuses(path, "HDF5")
    path.write_bytes(b"")
    refuses(path, "it is empty")
    path.write_text("hello, world")
    refuses(path, "it starts with b'hello, w'")
    refuses(tmp_path / "nothing here", "does not exist")
    refuses(tmp_path, "is not a regular file")


def refuses(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        load_safetensors(path)


GOOD = {SPEC_KEY: "dense 2", SHAPE_KEY: "1x1x1", CLASSES_KEY: '["a", "b"]'}


def tensors(**arrays: Weights) -> dict[str, Weights]:
    return {f"0.{name}": array for name, array in arrays.items()}


TWO = tensors(weight=np.zeros((2, 1), np.float32), bias=np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, r"holds tensors \(0.bias, 0.weight\) and no smidgen_spec"),
        ({SPEC_KEY: "dense 2"}, "and no smidgen_spec"),
        ({**GOOD, SPEC_KEY: "dence 2"}, "unknown layer 'dence 2'"),
        ({**GOOD, SPEC_KEY: "maxpool 2, dense 2"}, "map of 1x1"),
        ({**GOOD, SPEC_KEY: "dense " + "9" * 5000}, "do not describe a network"),
        ({**GOOD, SPEC_KEY: "dense 2 relu"}, "must give logits"),
        ({**GOOD, SPEC_KEY: "dense 3", CLASSES_KEY: '["a", "b", "c"]'}, r"0.weight .* shape \(2, 1\)"),
        ({**GOOD, SPEC_KEY: "dense 2, dense 2"}, "lack 1.bias, 1.weight"),
        ({**GOOD, SHAPE_KEY: "28x28"}, "smidgen_input_shape='28x28' is not like 1x28x28"),
        ({**GOOD, SHAPE_KEY: "0x1x1"}, "is not like"),
        ({**GOOD, CLASSES_KEY: '["a", "b", "c"]'}, "3 classes"),
        ({**GOOD, CLASSES_KEY: "[1, 2]"}, "must be a JSON list of names"),
        ({**GOOD, CLASSES_KEY: "a, b"}, "do not describe a network"),
        ({**GOOD, CLASSES_KEY: "[" * 100_000}, "do not describe a network"),
    ],
)
def test_metadata_that_do_not_describe_the_tensors_are_refused(
    metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    save_file(TWO, tmp_path / "model", metadata)
    refuses(tmp_path / "model", message)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (tensors(weight=np.zeros((1, 2), np.float32), bias=np.zeros(2, np.float32)), r"0.weight .* shape \(1, 2\)"),
        (tensors(weight=np.zeros((2, 1), np.float16), bias=np.zeros(2, np.float32)), "0.weight is float16"),
        (TWO | tensors(mean=np.zeros(2, np.float32)), "have 0.mean, which 'dense 2' has not"),
        (
            tensors(weight=np.array([[math.nan], [0]], np.float32), bias=np.zeros(2, np.float32)),
            "1 of 4 weights are not finite",
        ),
    ],
)
def test_tensors_that_are_not_the_networks_are_refused(
    arrays: dict[str, Weights], message: str, tmp_path: Path
) -> None:
    save_file(arrays, tmp_path / "model", GOOD)
    refuses(tmp_path / "model", message)


# --- places that cannot hold a file --------------------------------------------------------------


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file or directory; make that directory first"):
        save_safetensors(a_model(), tmp_path / "missing" / "model")


def test_a_directory_or_device_is_not_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(ModelFileError, match="is not a regular file"):
            save_safetensors(a_model(), path)
    assert not Path(os.devnull).is_file()


posix = pytest.mark.skipif(os.name != "posix", reason="users, limits and mounts are POSIX")


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A directory of root's that anyone may enter and nobody else may write to, as nobody else; or a read-only one."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "model").write_bytes(b"what was there")
    place.chmod(0o500)
    root = os.geteuid() == 0
    if root:
        open_to_all(place, tmp_path)
        os.seteuid(65534)
    try:
        yield place
    finally:
        if root:
            os.seteuid(0)
        place.chmod(0o700)


def open_to_all(place: Path, tmp_path: Path) -> None:
    place.chmod(0o555)
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(directory.stat().st_mode | 0o055)


@posix
def test_no_permission_is_said_and_nothing_changes(unprivileged: Path) -> None:
    with pytest.raises(ModelFileError, match="Permission denied; give a place that you may write to"):
        save_safetensors(a_model(), unprivileged / "model")
    assert (unprivileged / "model").read_bytes() == b"what was there"
    assert len(list(unprivileged.iterdir())) == 1


SAVES = """
import resource, sys
from pathlib import Path
import numpy as np
from smidgen.errors import ModelFileError
from smidgen.model import Model, save_safetensors
from smidgen.spec import parse_spec

model = Model(parse_spec("dense 2"), (100_000, 1, 1), ("a", "b"), np.ones(200_002, np.float32))
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    save_safetensors(model, Path(sys.argv[1]))
except ModelFileError as error:
    print(error, end="")
"""


def run(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@posix
def test_a_limit_on_the_size_of_a_file_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"what was there")
    printed = run([sys.executable, "-c", SAVES, str(path), "300000"])
    assert os.strerror(errno.EFBIG) in printed
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=256k tmpfs "$1" || exit 77
echo before > "$1/model"
"$2" -c "$3" "$1/model" || exit 1
echo; cat "$1/model"; ls -A "$1"
"""


@posix
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", ON_A_SMALL_DISK, "sh"]
    command += [str(tmp_path), sys.executable, SAVES]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare (Linux)")
    if finished.returncode == 77 or "unshare" in finished.stderr:
        pytest.skip(f"no small disk can be mounted here: {finished.stderr.strip()}")
    assert finished.returncode == 0, finished.stderr
    message, content, listing = finished.stdout.splitlines()
    assert os.strerror(errno.ENOSPC) in message
    assert "free some space" in message
    assert (content, listing) == ("before", "model")
