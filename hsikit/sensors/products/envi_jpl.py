"""Scenes of JPL's imaging spectrometers as ENVI files: AVIRIS Classic, AVIRIS-NG, AVIRIS-3, PRISM, and EMIT.

Their headers leave out what every user must know: the instrument, the unit, the fill value, and for AVIRIS Classic the gains
(a `.gain` file beside). Radiance is in uW cm-2 nm-1 sr-1, ten times W m-2 sr-1 um-1. The version of the processing stands in the
file's name, angles in an observation (OBS) beside. A scene with map info is on its (usually rotated) map grid; one without is on the
sensor's grid, placed by its LOC, IGM or GLT beside (`envi_sidecars`).

Recognised by the name of the flight line, in the header or the file's name, or by band centres that are the instrument's; a file
that hsikit wrote says itself what it holds, and is opened as plain ENVI.

Sources: AVIRIS-NG and AVIRIS-3 Distribution Documents (JPL); the `readme` of AVIRIS data orders (JPL); real windows of AVIRIS
Classic, AVIRIS-NG and EMIT reflectance. AVIRIS-3 and PRISM are from specification, not seen in a real file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.scene import Source
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.envi import EnviFile, EnviSource, envi_file, find_header
from hsikit.sensors.facts import Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.envi_sidecars import KINDS, angles_of, find_sidecars, sidecars_of, swath_of, words_of
from hsikit.sensors.radiance_units import radiance_factor
from hsikit.sensors.water_vapour import WATER_VAPOUR, within

TO_SI = 10.0
"""uW cm-2 nm-1 sr-1, the unit where the header names none, in W m-2 sr-1 um-1."""
FILL = -9999.0
ATREM_FILL = -0.005
"""What AVIRIS-NG's reflectance of 2014 ("corr") holds in every band outside the flight line, as a real window shows."""
REFLECTANCE_CODE = 1e-4
LEVELS = {"radiance": "L1B", "surface_reflectance": "L2A"}
WORDS = {"rdn": "radiance", "radiance": "radiance", "rfl": "surface_reflectance", "corr": "surface_reflectance", "refl": "surface_reflectance",
         "reflectance": "surface_reflectance"}  # fmt: skip
LONGEST_UM = 100.0
"""No band centre in micrometres is as large, and none in nanometres as small."""
MOST_GAINS = 1 << 16


def place(file: EnviFile) -> None:
    """Places a scene without map info by the side-cars beside it."""
    facts = file.facts
    if not facts.grid.georeferenced:
        beside = sidecars_of(file)
        facts.notices += beside.notices
        facts.swath = swath_of(file, beside, facts.notices)
        facts.files = (*facts.files, *(path for each in beside.files.values() for path in (each.header, each.data)))
        facts.attrs = {**facts.attrs, **{f"{kind}_file": beside.files[kind].header.name for kind in KINDS if kind in beside.files}}


class SwathReader:
    """Opens ENVI scenes without map info that have LOC, IGM or GLT beside."""

    DRIVER: ClassVar[str] = "envi-swath"

    @classmethod
    def recognises(cls, probe: Probe) -> bool:
        """Whether a header has wavelengths but no map info, and side-cars by their names beside."""
        fields = probe.envi_fields
        if "wavelength" not in fields or "map info" in fields:
            return False
        header = probe.path if probe.path.suffix.lower() == ".hdr" else find_header(probe.path)
        return header is not None and bool(set(find_sidecars(header)) & {"loc", "igm", "glt"})

    @classmethod
    def open(cls, path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: header, data file or gains are missing, damaged, or disagree.
        """
        file = envi_file(path)
        file.facts.driver = cls.DRIVER
        cls.complete(file)
        place(file)
        return EnviSource(layout(file.facts, options), file.stored, file.data)

    @classmethod
    def complete(cls, file: EnviFile) -> None:
        """Adds to the facts what the instrument's headers leave out: nothing, of a file of any instrument."""


class JplReader(SwathReader):
    """Base of the instruments' readers."""

    SENSOR: ClassVar[str] = ""
    TITLE: ClassVar[str] = ""
    LINE: ClassVar[str] = ""
    """Pattern of a flight line's name."""
    VERSION: ClassVar[str] = r"_(v\d[0-9a-z]*)(?=_|$)"
    """Pattern of what marks the version of the processing in a file's name, as its group."""
    UNCERTAINTY: ClassVar[tuple[str, str]] = ("", "")
    """What in the name of a reflectance is put in whose place for its uncertainty."""

    @classmethod
    def recognises(cls, probe: Probe) -> bool:
        """Whether header, name or band centres are the instrument's."""
        fields = probe.envi_fields
        if "wavelength" not in fields or "quantity" in fields:
            return False
        named = f"{probe.path.name} {fields.get('description', '')} {fields.get('sensor type', '')}"
        return re.search(cls.LINE, named, re.IGNORECASE) is not None or cls._same_centres(fields["wavelength"])

    @classmethod
    def _same_centres(cls, text: str) -> bool:
        """Whether all centres lie within a quarter of a width of the instrument's, and cover half of its bands."""
        if not cls.SENSOR:
            return False
        table = sensor_bands(cls.SENSOR)
        centres = _numbers(text)
        if centres is None or len(centres) < len(table.wavelength) // 2:
            return False
        apart = np.abs(centres[:, np.newaxis] - table.wavelength)
        nearest = apart.argmin(axis=1)
        return bool((apart.min(axis=1) <= table.fwhm[nearest] / 4).all())

    @classmethod
    def complete(cls, file: EnviFile) -> None:
        """Instrument, quantity, scale, fill value, time of acquisition, good bands and provenance."""
        facts, claims = file.facts, file.facts.claims
        claims.sensor = cls.SENSOR
        if claims.unit.strip().lower() in ("", "unknown"):
            claims.unit = _unit(file)
        found = re.search(cls.LINE, f"{file.header.name} {file.tokens.get('description', '')}", re.IGNORECASE)
        line = found[0] if found else ""
        facts.quantity = cls._quantity(file, line)
        if facts.nodata is None:
            facts.nodata = ATREM_FILL if cls.SENSOR == "aviris-ng" and facts.quantity == "surface_reflectance" and _corrected(file) else FILL
        # A list of bad bands names the absorbed ones of reflectance; of radiance, at most what the detector lacks.
        if facts.quantity == "radiance" or (facts.quantity == "surface_reflectance" and claims.good is None):
            claims.absorbed = WATER_VAPOUR
        if facts.quantity == "radiance":
            _scale_radiance(file)
        elif facts.quantity == "surface_reflectance":
            _scale_reflectance(file)
        else:
            facts.notices.append("neither its header nor its name says what its values are; they stay as stored (--quantity, --scale)")
        facts.acquired = facts.acquired or (cls._acquired(line) if line else "")
        corrected = "ATREM" if _corrected(file) else "atmospheric" if facts.quantity == "surface_reflectance" else "none"
        told = {"product": line.lower() or file.header.with_suffix("").name, "instrument": cls.TITLE, "correction": corrected}
        facts.attrs = {**facts.attrs, **told, "processing_level": LEVELS.get(facts.quantity, ""), **cls._version(file), **angles_of(file)}
        if facts.quantity == "surface_reflectance":
            facts.attrs = {**facts.attrs, **cls._uncertainty(file)}

    @classmethod
    def _version(cls, file: EnviFile) -> dict[str, str]:
        found = re.search(cls.VERSION, file.header.with_suffix("").name, re.IGNORECASE)
        return {"processor_version": found[1]} if found else {}

    @classmethod
    def _uncertainty(cls, file: EnviFile) -> dict[str, str]:
        beside = file.header.with_name(re.sub(cls.UNCERTAINTY[0], cls.UNCERTAINTY[1], file.header.name)) if cls.UNCERTAINTY[0] else file.header
        return {"uncertainty": f"per pixel: {beside.name}"} if beside != file.header and beside.is_file() else {}

    @classmethod
    def _quantity(cls, file: EnviFile, line: str) -> str:
        if file.facts.quantity:
            return file.facts.quantity
        name = file.header.with_suffix("").name.lower()
        words = [*words_of(name.replace(line.lower(), "") if line else name), *re.split(r"\W+", str(file.tokens.get("description", "")).lower())]
        found = next((WORDS[word] for word in words if word in WORDS), "")
        return found or ("surface_reflectance" if _corrected(file) or _without_water_vapour(file) else "")

    @classmethod
    def _acquired(cls, line: str) -> str:
        date = re.search(r"(\d{4})(\d{2})(\d{2})t(\d{2})(\d{2})(\d{2})", line, re.IGNORECASE)
        return "{}-{}-{}T{}:{}:{}Z".format(*date.groups()) if date else ""


class AvirisClassic(JplReader):
    """Opens AVIRIS Classic as ENVI."""

    DRIVER, SENSOR, TITLE, LINE = "aviris-classic-envi", "aviris-classic", "AVIRIS Classic", r"f\d{6}t\d{2}p\d{2}_?r\d{2}"

    @classmethod
    def _acquired(cls, line: str) -> str:
        return f"20{line[1:3]}-{line[3:5]}-{line[5:7]}" if int(line[1:3]) < 90 else f"19{line[1:3]}-{line[3:5]}-{line[5:7]}"


class AvirisNg(JplReader):
    """Opens AVIRIS-NG as ENVI."""

    DRIVER, SENSOR, TITLE, LINE = "aviris-ng-envi", "aviris-ng", "AVIRIS-NG", r"ang\d{8}t\d{6}"


class Aviris3(JplReader):
    """Opens AVIRIS-3 as ENVI."""

    DRIVER, TITLE, LINE = "aviris-3-envi", "AVIRIS-3", r"av3\d{8}t\d{6}"
    VERSION, UNCERTAINTY = r"_L\d[A-Z]_(?:RDN|OE)_([^_]+)", (r"_RFL(?=[_.])", "_UNC")


class Prism(JplReader):
    """Opens PRISM as ENVI."""

    DRIVER, TITLE, LINE = "prism-envi", "PRISM", r"prm\d{8}t\d{6}"


class Emit(JplReader):
    """Opens EMIT as ENVI."""

    DRIVER, SENSOR, TITLE, LINE = "emit-envi", "emit", "EMIT", r"emit\d{8}t\d{6}"
    VERSION, UNCERTAINTY = r"_b(\d+)_v\d+(?=_|$)", (r"_rfl(?=_)", "_rfluncert")


def _unit(file: EnviFile) -> str:
    """The unit of band centres whose header names none: of these instruments it is one of two."""
    centres = _numbers(",".join(map(str, file.facts.claims.wavelength or ())))
    return "" if centres is None or not len(centres) else "nm" if centres.max() > LONGEST_UM else "um"


def _corrected(file: EnviFile) -> bool:
    """Whether the header has the factors of a residual suppression, which only ATREM's reflectance has."""
    return "correction factors" in file.tokens


def _without_water_vapour(file: EnviFile) -> bool:
    """Whether most bands in which water vapour absorbs are bad, and most others are not: nothing but reflectance leaves them out."""
    claims = file.facts.claims
    good, centres = _numbers(",".join(map(str, claims.good or ()))), _numbers(",".join(map(str, claims.wavelength or ())))
    if good is None or centres is None or len(good) != len(centres):
        return False
    absorbed = within(centres, WATER_VAPOUR)
    return bool(absorbed.any() and not absorbed.all() and good[absorbed].mean() < 0.25 and good[~absorbed].mean() > 0.5)


def _scale_reflectance(file: EnviFile) -> None:
    facts = file.facts
    if facts.dtype.kind in "iu" and facts.scale == 1.0:
        facts.scale = REFLECTANCE_CODE
        facts.notices.append("its header does not say the scale of its whole numbers; reflectance x 10,000 is assumed (--scale)")


def _scale_radiance(file: EnviFile) -> None:
    """The unit, and for whole numbers the gains by which radiance was multiplied."""
    facts = file.facts
    factor = radiance_factor(str(file.tokens.get("data units", ""))) or TO_SI
    if facts.dtype.kind == "f" or facts.scale != 1.0:
        facts.scale = (factor * np.asarray(facts.scale)).tolist()
        facts.offset = (factor * np.asarray(facts.offset)).tolist()
        return
    gains = _gains(file)
    if gains is None:
        facts.quantity = "dn"
        facts.notices.append("its numbers are radiance times gains, and no .gain file is beside it; they stay as stored (--scale, --quantity radiance)")
        return
    facts.scale = (factor / gains).tolist()


def _gains(file: EnviFile) -> NDArray[np.float64] | None:
    """The gains out of the `.gain` file of the flight line, one for each band: the column that does not count the bands."""
    stem = file.header.with_suffix("").name.lower()
    beside = sorted(entry for entry in file.header.parent.glob("*") if entry.suffix.lower() == ".gain")
    path = next((entry for entry in beside if stem.startswith(entry.stem.lower())), None)
    if path is None:
        return None
    try:
        text = path.read_bytes()[:MOST_GAINS].decode("ascii", errors="replace")
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None
    lines = [line.split() for line in text.splitlines() if line.split()]
    columns = [_numbers(" ".join(words[min(column, len(words) - 1)] for words in lines)) for column in (0, 1)]
    numbered = columns[0] is not None and np.array_equal(columns[0], np.arange(1, len(lines) + 1))
    values = columns[1] if numbered else columns[0]
    if values is None or len(values) != file.stored.shape[0] or not (values > 0).all():
        raise SceneError(path, f"is no list of {file.stored.shape[0]} positive gains", "Fetch it again, or remove it and give --scale")
    return values


def _numbers(text: str) -> NDArray[np.float64] | None:
    """Numbers parted by commas or spaces; None where some are words, or not finite."""
    try:
        values = np.array(re.split(r"[,\s]+", text.strip(" ,\n")), float)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
