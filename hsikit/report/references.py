"""References of methods and measures, as author and year for a sentence and as BibTeX for a bibliography."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hsikit.version import __version__


@dataclass(frozen=True)
class Reference:
    """One work.

    Attributes:
        key: of its BibTeX entry.
        cite: author and year, as in a sentence.
        kind: of the BibTeX entry: article, book, inproceedings, misc, software.
        fields: of the entry, in their order.
    """

    key: str
    cite: str
    kind: str
    fields: tuple[tuple[str, str], ...]

    def bibtex(self) -> str:
        """The BibTeX entry."""
        width = max(len(name) for name, _ in self.fields)
        body = ",\n".join(f"  {name:<{width}} = {{{value}}}" for name, value in self.fields)
        return f"@{self.kind}{{{self.key},\n{body}\n}}"


def _article(key: str, cite: str, author: str, title: str, journal: str, year: int, volume: str, pages: str, doi: str = "") -> Reference:
    fields = [("author", author), ("title", f"{{{title}}}"), ("journal", journal), ("year", str(year)), ("volume", volume), ("pages", pages)]
    return Reference(key, cite, "article", (*fields, *([("doi", doi)] if doi else [])))


HSIKIT = Reference("hsikit", "hsikit", "software", (
    ("author", "{The hsikit developers}"), ("title", "{hsikit: spectral scenes into georeferenced maps}"), ("version", __version__), ("license", "Apache-2.0"),
))  # fmt: skip
TGRS = "IEEE Transactions on Geoscience and Remote Sensing"
WORKS = {work.key: work for work in (
    HSIKIT,
    _article("green1988", "Green et al., 1988", "Green, A. A. and Berman, M. and Switzer, P. and Craig, M. D.",
             "A transformation for ordering multispectral data in terms of image quality with implications for noise removal",
             TGRS, 1988, "26(1)", "65--74", "10.1109/36.3001"),
    _article("ledoit2004", "Ledoit and Wolf, 2004", "Ledoit, O. and Wolf, M.", "A well-conditioned estimator for large-dimensional covariance matrices",
             "Journal of Multivariate Analysis", 2004, "88(2)", "365--411", "10.1016/S0047-259X(03)00096-4"),
    Reference("wiener1949", "Wiener, 1949", "book", (
        ("author", "Wiener, N."), ("title", "{Extrapolation, Interpolation, and Smoothing of Stationary Time Series}"), ("publisher", "MIT Press"),
        ("year", "1949"))),
    _article("perona1990", "Perona and Malik, 1990", "Perona, P. and Malik, J.", "Scale-space and edge detection using anisotropic diffusion",
             "IEEE Transactions on Pattern Analysis and Machine Intelligence", 1990, "12(7)", "629--639", "10.1109/34.56205"),
    _article("cortes1995", "Cortes and Vapnik, 1995", "Cortes, C. and Vapnik, V.", "Support-vector networks",
             "Machine Learning", 1995, "20", "273--297", "10.1007/BF00994018"),
    _article("melgani2004", "Melgani and Bruzzone, 2004", "Melgani, F. and Bruzzone, L.",
             "Classification of hyperspectral remote sensing images with support vector machines", TGRS, 2004, "42(8)", "1778--1790",
             "10.1109/TGRS.2004.831865"),
    _article("breiman2001", "Breiman, 2001", "Breiman, L.", "Random forests", "Machine Learning", 2001, "45", "5--32", "10.1023/A:1010933404324"),
    _article("ham2005", "Ham et al., 2005", "Ham, J. and Chen, Y. and Crawford, M. M. and Ghosh, J.",
             "Investigation of the random forest framework for classification of hyperspectral data", TGRS, 2005, "43(3)", "492--501",
             "10.1109/TGRS.2004.842481"),
    _article("cover1967", "Cover and Hart, 1967", "Cover, T. and Hart, P.", "Nearest neighbor pattern classification",
             "IEEE Transactions on Information Theory", 1967, "13(1)", "21--27", "10.1109/TIT.1967.1053964"),
    _article("cohen1960", "Cohen, 1960", "Cohen, J.", "A coefficient of agreement for nominal scales", "Educational and Psychological Measurement",
             1960, "20(1)", "37--46", "10.1177/001316446002000104"),
    _article("olofsson2014", "Olofsson et al., 2014",
             "Olofsson, P. and Foody, G. M. and Herold, M. and Stehman, S. V. and Woodcock, C. E. and Wulder, M. A.",
             "Good practices for estimating area and assessing accuracy of land change", "Remote Sensing of Environment", 2014, "148", "42--57",
             "10.1016/j.rse.2014.02.015"),
    _article("reed1990", "Reed and Yu, 1990", "Reed, I. S. and Yu, X.",
             "Adaptive multiple-band CFAR detection of an optical pattern with unknown spectral distribution",
             "IEEE Transactions on Acoustics, Speech, and Signal Processing", 1990, "38(10)", "1760--1770", "10.1109/29.60107"),
    _article("kelly1986", "Kelly, 1986", "Kelly, E. J.", "An adaptive detection algorithm", "IEEE Transactions on Aerospace and Electronic Systems",
             1986, "AES-22(2)", "115--127", "10.1109/TAES.1986.310745"),
    _article("kraut2005", "Kraut et al., 2005", "Kraut, S. and Scharf, L. L. and Butler, R. W.",
             "The adaptive coherence estimator: a uniformly most-powerful-invariant adaptive detection statistic",
             "IEEE Transactions on Signal Processing", 2005, "53(2)", "427--438", "10.1109/TSP.2004.840823"),
    _article("kruse1993", "Kruse et al., 1993", "Kruse, F. A. and Lefkoff, A. B. and Boardman, J. W. and Heidebrecht, K. B. and Shapiro, A. T. and "
             "Barloon, P. J. and Goetz, A. F. H.",
             "The spectral image processing system (SIPS): interactive visualization and analysis of imaging spectrometer data",
             "Remote Sensing of Environment", 1993, "44(2--3)", "145--163", "10.1016/0034-4257(93)90013-N"),
    _article("mann1947", "Mann and Whitney, 1947", "Mann, H. B. and Whitney, D. R.",
             "On a test of whether one of two random variables is stochastically larger than the other", "The Annals of Mathematical Statistics", 1947,
             "18(1)", "50--60", "10.1214/aoms/1177730491"),
    Reference("zidi2025", "Zidi et al., 2025", "misc", (
        ("author", "Zidi, F. A. and Boukhari, D. E. and Sellam, A. Z. and Ouafi, A. and Distante, C. and Bekhouche, S. E. and Taleb-Ahmed, A."),
        ("title", "{LoLA-SpecViT: Local Attention SwiGLU Vision Transformer with LoRA for Hyperspectral Imaging}"), ("year", "2025"),
        ("eprint", "2506.17759"), ("archiveprefix", "arXiv"))),
    Reference("hu2022", "Hu et al., 2022", "inproceedings", (
        ("author", "Hu, E. J. and Shen, Y. and Wallis, P. and Allen-Zhu, Z. and Li, Y. and Wang, S. and Wang, L. and Chen, W."),
        ("title", "{LoRA: Low-rank adaptation of large language models}"),
        ("booktitle", "International Conference on Learning Representations"), ("year", "2022"),
        ("eprint", "2106.09685"), ("archiveprefix", "arXiv"))),
    Reference("guo2017", "Guo et al., 2017", "inproceedings", (
        ("author", "Guo, C. and Pleiss, G. and Sun, Y. and Weinberger, K. Q."), ("title", "{On calibration of modern neural networks}"),
        ("booktitle", "Proceedings of the 34th International Conference on Machine Learning"), ("year", "2017"), ("pages", "1321--1330"))),
)}  # fmt: skip

OF_METHOD: dict[str, tuple[str, ...]] = {
    "mnf-lda": ("green1988", "ledoit2004"),
    "mnf-lda-edge": ("green1988", "ledoit2004", "perona1990"),
    "marginal-lda": ("ledoit2004",),
    "sensor-ensemble": ("wiener1949", "ledoit2004"),
    "svm": ("cortes1995", "melgani2004"),
    "random-forest": ("breiman2001", "ham2005"),
    "nearest-label": ("cover1967",),
    "encoder": ("hu2022", "ledoit2004"),
    "lola-specvit": ("zidi2025", "green1988", "ledoit2004"),
}
"""Works that a user of each method cites; methods of other packages name theirs themselves."""

DETECTORS: dict[str, tuple[str, ...]] = {
    "rx": ("reed1990",),
    "local-rx": ("reed1990",),
    "ace": ("kraut2005",),
    "glrt": ("kelly1986",),
    "spectral-angle": ("kruse1993",),
}
"""The same of detectors; of others the registry names the paper."""


def cited(keys: Iterable[str]) -> str:
    """Works as a parenthesis in a sentence; "" for none."""
    found = [WORKS[key].cite for key in keys]
    return f" ({'; '.join(found)})" if found else ""


def bibliography(keys: Iterable[str]) -> str:
    """BibTeX entries, each once, in their order."""
    return "\n\n".join(WORKS[key].bibtex() for key in dict.fromkeys(keys)) + "\n"
