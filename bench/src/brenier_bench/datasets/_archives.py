"""Where the image data sets are published, and the checksums of their files.

The checksums are those of torchvision (torchvision/prototype/datasets/_builtin/mnist.py and usps.py). For MNIST,
Fashion-MNIST and KMNIST TensorFlow Datasets recorded the same ones (tensorflow_datasets/url_checksums/mnist.txt,
fashion_mnist.txt and kmnist.txt).
"""

from typing import Literal, NamedTuple, TypeAlias

__all__ = ["DIGITS", "FASHION_MNIST", "KMNIST", "MNIST", "USPS", "Archive", "File", "Split"]

Split: TypeAlias = Literal["train", "test"]

DIGITS = tuple("0123456789")
"""Names of classes that are digits."""


class File(NamedTuple):
    """One file of an archive.

    Attributes:
        name: Its original name, the same on every mirror.
        sha256: Its checksum, in hexadecimal digits.
    """

    name: str
    sha256: str


class Archive(NamedTuple):
    """A data set as it is published.

    Attributes:
        title: What messages call it.
        folder: Its folder in the cache; file names of different data sets are equal.
        mirrors: Addresses that the name of a file is appended to, in the order in which they are tried.
        train, test: The files of the two parts; images before labels.
        names: What the labels 0, 1, ... stand for.
    """

    title: str
    folder: str
    mirrors: tuple[str, ...]
    train: tuple[File, ...]
    test: tuple[File, ...]
    names: tuple[str, ...]

    def files(self, split: Split) -> tuple[File, ...]:
        """The files of one part."""
        return self.train if split == "train" else self.test


MNIST = Archive(
    title="MNIST",
    folder="mnist",
    # The original address, yann.lecun.com/exdb/mnist, refuses at most times (pytorch/vision, pull request 8572).
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    train=(
        File("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        File("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ),
    test=(
        File("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        File("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
    names=DIGITS,
)

FASHION_MNIST = Archive(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    train=(
        File("train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        File("train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ),
    test=(
        File("t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        File("t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    names=(
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
)

KMNIST = Archive(
    title="KMNIST",
    folder="kmnist",
    # One host, which is at times out of reach (rois-codh/kmnist, issue 29), by two protocols.
    mirrors=(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ),
    train=(
        File("train-images-idx3-ubyte.gz", "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        File("train-labels-idx1-ubyte.gz", "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
    ),
    test=(
        File("t10k-images-idx3-ubyte.gz", "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        File("t10k-labels-idx1-ubyte.gz", "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    ),
    names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)

USPS = Archive(
    title="USPS",
    folder="usps",
    mirrors=("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",),
    train=(File("usps.bz2", "3771e9dd6ba685185f89867b6e249233dd74652389f263963b3b741e994b034f"),),
    test=(File("usps.t.bz2", "a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e"),),
    names=DIGITS,
)
