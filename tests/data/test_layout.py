"""Which axes of an array are time, rows and channels: what is found from its shape, and what the user states."""

from pathlib import Path

import numpy as np
import pytest

from smidgen.data import from_arrays, load
from smidgen.data.layout import LAYOUTS, Layout, arranged_like, find_layout
from smidgen.errors import DataError


@pytest.mark.parametrize(
    ("shape", "are_bytes", "axes"),
    [
        ((9, 30), False, ""),
        ((9, 30, 1, 1), False, ""),
        ((9, 128, 3), False, "time-channels"),
        ((9, 3, 128), False, "channels-time"),
        ((9, 128, 3), True, "time-channels"),
        ((9, 12, 29), False, "channels-time"),  # JapaneseVowels
        ((9, 1, 24), False, "channels-time"),
        ((9, 24, 1), False, "time-channels"),
        ((9, 3, 1, 128), False, "channels-time"),
        ((9, 128, 1, 3), False, "time-channels"),
        ((9, 1, 128, 3), False, "time-channels"),
        ((9, 1, 1, 50), False, "channels-time"),
        ((9, 28, 28), True, "height-width"),
        ((9, 12, 29), True, "height-width"),
        ((9, 64, 64), False, "height-width"),
        ((9, 40, 60), False, "height-width"),
        ((9, 28, 28, 1), True, "height-width-channels"),
        ((9, 1, 28, 28), True, "channels-height-width"),
        ((9, 32, 40, 3), True, "height-width-channels"),
        ((9, 3, 32, 40), True, "channels-height-width"),
        ((9, 32, 32, 16), False, "height-width-channels"),
        ((9, 5, 32, 32), False, "channels-height-width"),
        ((9, 8, 8, 16), False, "height-width-channels"),
        ((9, 4, 6, 9), False, "channels-height-width"),
    ],
)
def test_axes_are_found_from_the_shape(shape: tuple[int, ...], are_bytes: bool, axes: str) -> None:
    layout = find_layout(shape, lambda: are_bytes)
    assert layout is not None and layout.axes == axes


@pytest.mark.parametrize("shape", [(9,), (9, 17, 20, 18), (9, 2, 2, 2, 2)])
def test_what_is_no_example_has_no_layout(shape: tuple[int, ...]) -> None:
    assert find_layout(shape, lambda: False) is None


def test_a_signal_keeps_its_samples_and_its_channels() -> None:
    X = np.random.default_rng(0).normal(size=(40, 50, 3)).astype(np.float32)
    y = np.arange(40) % 2
    wanted = X.transpose(0, 2, 1)[:, :, None, :]
    for given in (X, X.transpose(0, 2, 1), wanted, X[:, :, None, :], X[:, None]):
        data = from_arrays(given, y)
        assert (data.input.kind, data.input_shape) == ("signal", (3, 1, 50))
        np.testing.assert_allclose(data.input.to_units(data.train.images), wanted[data.train.rows], atol=1e-6)


def test_the_user_states_the_axes() -> None:
    X, y = np.random.default_rng(0).normal(size=(20, 24, 30)), np.arange(20) % 2
    shapes = {axes: from_arrays(X, y, layout=axes).input_shape for axes in LAYOUTS[:3]}
    assert shapes == {"time-channels": (30, 1, 24), "channels-time": (24, 1, 30), "height-width": (1, 24, 30)}
    assert from_arrays(X[:, 0], y, layout="time-channels").input_shape == (1, 1, 30)
    with pytest.raises(DataError, match=r"--layout time is not known; use one of time-channels, channels-time"):
        from_arrays(X, y, layout="time")
    with pytest.raises(DataError, match=r"\[n, 24, 30\], which is not laid out as channels-height-width"):
        from_arrays(X, y, layout="channels-height-width")


def test_a_network_gets_the_axes_of_its_training_and_others_where_only_they_fit() -> None:
    square = np.arange(2 * 4 * 4).reshape(2, 4, 4)
    for axes, wanted in (("time-channels", square.transpose(0, 2, 1)), ("channels-time", square)):
        found = arranged_like(square, axes, (4, 1, 4))
        assert found is not None
        np.testing.assert_array_equal(found[:, :, 0], wanted)
    windows = np.zeros((2, 3, 50))
    for given in (windows, windows.transpose(0, 2, 1), windows[:, :, None]):
        found = arranged_like(given, "time-channels", (3, 1, 50))
        assert found is not None and found.shape == (2, 3, 1, 50)
    assert arranged_like(windows, "time-channels", (3, 1, 51)) is None


def test_a_layout_is_for_arrays_in_files_and_rows_of_tables_and_not_for_pictures(tmp_path: Path) -> None:
    X, y = np.random.default_rng(0).normal(size=(40, 30)), np.arange(40) % 2
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    np.savetxt(tmp_path / "rows.csv", np.column_stack([X, y]), delimiter=",")
    for name in ("rows.npz", "rows.csv"):
        assert load(tmp_path / name, layout="time-channels").input_shape == (1, 1, 30)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="is a folder of images, whose axes are known; leave out --layout"):
        load(tmp_path / "photos", layout="height-width")


def test_a_layout_names_its_kind() -> None:
    assert [Layout(axes).kind for axes in ("", "time-channels", "height-width")] == ["vector", "signal", "image"]
