"""Data sets of torch and of Hugging Face."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sample_data import four

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


def named(n: int = 40) -> object:
    """A data set of torch with class names that are not in alphabetical order."""
    torch = pytest.importorskip("torch")

    class Pictures(torch.utils.data.Dataset):
        classes = ("zebra", "ant", "bee")

        def __len__(self) -> int:
            return n

        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            return np.full((4, 5), index, np.uint8), index % 3

    return Pictures()


def test_class_names_come_from_below_a_subset_and_a_loader():
    torch = pytest.importorskip("torch")
    data, tools = named(), torch.utils.data
    parts = tools.Subset(tools.Subset(data, range(38)), range(1, 31))
    for source in (parts, tools.DataLoader(parts, batch_size=7, shuffle=True), tools.ConcatDataset([parts, parts])):
        found = from_dataset(source)
        assert found.class_names == ("zebra", "ant", "bee")
        for split in four(found):
            assert (split.images[:, 0, 0, 0] % 3 == split.labels).all()
    two = from_dataset(tools.Subset(data, [index for index in range(40) if index % 3]))
    assert two.class_names == ("ant", "bee")
    with pytest.raises(DataError, match="a DataLoader with a SubsetRandomSampler does not go through every item once"):
        from_dataset(tools.DataLoader(data, sampler=tools.SubsetRandomSampler([1, 2])))


def test_a_label_without_a_name_is_refused():
    data = named(12)
    type(data).classes = ("zebra", "ant")
    with pytest.raises(DataError, match="item 2 has label 2, and there are 2 class names; correct it"):
        from_dataset(data)


def test_data_frames_are_read_by_column_and_without_their_index():
    pandas = pytest.importorskip("pandas")
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 2
    frame = pandas.DataFrame(X, columns=["a", "b"], index=np.arange(60) * 7)
    labels = pandas.Series(pandas.Categorical.from_codes(y, ["on", "off"]))
    for kinds in (labels, labels.astype(str), labels.astype("string"), labels.to_frame()):
        data = from_arrays(frame.assign(b=frame["b"].astype("Float64")), kinds)
        assert data.origin.feature_names == ("a", "b")
        assert data.digest == from_arrays(X, np.array(["on", "off"])[y]).digest
    gap = frame.assign(b=(frame["b"] * 9).round().astype("Int64"), city="Graz")
    gap.iloc[3, 1] = pandas.NA
    with pytest.raises(
        DataError, match=r"X: column 'b' has no value in 1 row \(the first in row 4\); column 'city' has text"
    ):
        from_arrays(gap, labels)
    with pytest.raises(DataError, match=r"leave out with X.drop\(columns=\['city'\]\)"):
        from_arrays(frame.assign(city="Graz"), labels)
    missing = labels.astype(object).where(y == 1, None)
    with pytest.raises(DataError, match="30 of 60 labels are missing"):
        from_arrays(frame, missing)


def test_tensors_are_arrays():
    torch = pytest.importorskip("torch")
    X, y = torch.rand(40, 3, requires_grad=True), torch.arange(40) % 2
    assert from_arrays(X, y).digest == from_arrays(X.detach().numpy(), y.numpy()).digest
