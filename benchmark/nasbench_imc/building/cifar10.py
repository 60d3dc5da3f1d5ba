"""CIFAR-10 in memory, split into training, validation and test images.

Two sources give the same split: the official binary archive, fetched once and checked, and an image folder
(``train/CLASS/*``, ``test/CLASS/*``) whose files, sorted by name, stand in the archive's order within each
class. Images are identified by class and rank within the class, never by a source's own numbering.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_imc.errors import BenchmarkError
from nasbench_imc.files import replacing

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

#: What pixels are normalised by, 0 to 1: the usual figures for CIFAR-10. The training images of the JPEG
#: copy measure 0.4911, 0.4820, 0.4466 and 0.2453, 0.2428, 0.2607.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

VALIDATION_PER_CLASS = 500
SPLIT_SEED = 20_261  # fixes which training images are validation images

_TRAIN, _TEST = 5_000, 1_000  # images a class


@dataclass(frozen=True, eq=False)
class Images:
    """Images and labels; equal to nothing but themselves, so that what is made of them can be kept.

    Attributes
    ----------
    pixels : numpy.ndarray, shape (n, 32, 32, 3), uint8
    labels : numpy.ndarray, shape (n,), int64
        Index into :data:`CLASSES`.
    """

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Cifar10:
    """The three parts: 45,000 training, 5,000 validation and 10,000 test images.

    ``source`` says which pixels they are, ``"official"`` or ``"folder"``.
    """

    train: Images
    validation: Images
    test: Images
    source: str


def validation_ranks() -> np.ndarray:
    """Ranks within each class of the training images that are held out for validation.

    Returns
    -------
    numpy.ndarray, shape (10, 500), int64
        Sorted. Drawn from Philox bits, which NumPy keeps fixed between versions (NEP 19).
    """
    bits = np.random.Philox(key=SPLIT_SEED).random_raw(len(CLASSES) * _TRAIN).reshape(len(CLASSES), _TRAIN)
    return np.sort(np.argsort(bits, axis=1, kind="stable")[:, :VALIDATION_PER_CLASS], axis=1)


def load(folder: Path | None, cache: Path) -> Cifar10:
    """The data set, decoded once and kept below ``cache``.

    Parameters
    ----------
    folder : pathlib.Path, optional
        An image folder. Without one the official archive is fetched (170 MB) and checked.
    cache : pathlib.Path
        Where decoded pixels, and the archive, are kept.

    Raises
    ------
    BenchmarkError
        Where the folder or the archive is not as expected.
    """
    source = "official" if folder is None else "folder"
    packed = cache / f"cifar10-{source}.npz"
    if not packed.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        train, test = (
            _read_archive(cache) if folder is None else (_read_folder(folder, p) for p in ("train", "test"))
        )
        with replacing(packed) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, train=train, test=test)
    with np.load(packed, allow_pickle=False) as arrays:
        return split(arrays["train"], arrays["test"], source)


def split(train: np.ndarray, test: np.ndarray, source: str) -> Cifar10:
    """Split pixels ordered by class and rank.

    Parameters
    ----------
    train : numpy.ndarray, shape (10, 5000, 32, 32, 3), uint8
    test : numpy.ndarray, shape (10, 1000, 32, 32, 3), uint8
    source : str
    """
    held_out = np.zeros((len(CLASSES), _TRAIN), dtype=bool)
    np.put_along_axis(held_out, validation_ranks(), True, axis=1)
    labels = np.repeat(np.arange(len(CLASSES)), _TRAIN).reshape(len(CLASSES), _TRAIN)
    test_labels = np.repeat(np.arange(len(CLASSES)), _TEST)
    return Cifar10(
        Images(train[~held_out], labels[~held_out]),
        Images(train[held_out], labels[held_out]),
        Images(test.reshape(-1, 32, 32, 3), test_labels),
        source,
    )


def _read_folder(folder: Path, part: str) -> np.ndarray:
    from PIL import Image

    count = {"train": _TRAIN, "test": _TEST}[part]
    pixels = np.empty((len(CLASSES), count, 32, 32, 3), dtype=np.uint8)
    for index, name in enumerate(CLASSES):
        paths = sorted(path for path in (folder / part / name).glob("*") if path.suffix in (".jpg", ".png"))
        if len(paths) != count:
            raise BenchmarkError(f"{folder / part / name} has {len(paths)} images, expected {count}")
        for rank, path in enumerate(paths):
            pixels[index, rank] = np.asarray(Image.open(path).convert("RGB"))
    return pixels


def _read_archive(cache: Path) -> tuple[np.ndarray, np.ndarray]:
    import pooch

    path = pooch.retrieve(ARCHIVE_URL, known_hash=f"md5:{ARCHIVE_MD5}", path=cache, progressbar=True)
    train_files = [f"cifar-10-batches-bin/data_batch_{k}.bin" for k in range(1, 6)]
    with tarfile.open(path) as archive:
        return _ordered(archive, train_files), _ordered(archive, ["cifar-10-batches-bin/test_batch.bin"])


def _ordered(archive: tarfile.TarFile, names: list[str]) -> np.ndarray:
    """Images by class and rank from binary batches: a label byte, then 3 x 32 x 32 pixel bytes each."""
    batches = []
    for name in names:
        member = archive.extractfile(name)
        if member is None:
            raise BenchmarkError(f"the CIFAR-10 archive has no {name}")
        batches.append(np.frombuffer(member.read(), dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32))
    rows = np.concatenate(batches)
    pixels = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.stack([pixels[rows[:, 0] == index] for index in range(len(CLASSES))])
