"""Data sets of torch and of Hugging Face."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from smidgen.data import from_arrays, from_dataset
from smidgen.errors import DataError


def test_data_of_torch_is_as_from_arrays():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    X, y = generator.random((40, 1, 5, 6)).astype(np.float32), np.arange(40) % 2
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    assert from_dataset(dataset).digest == from_arrays(X, y).digest
    tested = from_dataset(dataset, test=dataset)
    assert len(tested.test) == 40


class Rows(list):
    """What a data set of Hugging Face looks like from outside."""

    def __init__(self, rows, names):
        super().__init__(rows)
        self.features = {"image": None, "label": type("ClassLabel", (), {"names": names})()}


def test_data_of_hugging_face_has_its_names():
    pictures = [Image.fromarray(np.full((4, 5, 3), 3 * place, np.uint8)) for place in range(20)]
    rows = [{"image": picture, "label": place % 2} for place, picture in enumerate(pictures)]
    data = from_dataset(Rows(rows, ["cat", "dog"]))
    assert data.class_names == ("cat", "dog")
    assert data.input_shape == (3, 4, 5)
    assert data.train.images.dtype == np.uint8


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], "the list is empty"),
        ([1, 2], "cannot use item 0 of type int; items must be"),
        ([{"picture_file": 1, "label": 2}], "item 0 has the columns picture_file, label; rename one of them 'image'"),
        ([(np.zeros((2, 2)), 0), (np.zeros((2, 3)), 1)], r"images have shapes \(2, 2\) and \(2, 3\)"),
        ((item for item in ()), "a generator has no length"),
    ],
)
def test_data_sets_that_cannot_be_used(dataset, message):
    with pytest.raises(DataError, match=message):
        from_dataset(dataset)
