"""All cases, by family."""

from __future__ import annotations

from tests.products import (
    ahsi,
    aviris_netcdf,
    desis,
    emit,
    enmap,
    envi_jpl,
    envi_raw,
    hisui,
    hyperion,
    landsat,
    neon,
    netcdf_cf,
    pace,
    planetscope,
    prisma,
    sentinel2,
    tanager,
    worldview,
    wyvern,
    zipped,
)
from tests.products.case import Case

CASES: tuple[Case, ...] = (
    *emit.CASES,
    *aviris_netcdf.CASES,
    *pace.CASES,
    *tanager.CASES,
    *landsat.CASES,
    *enmap.CASES,
    *desis.CASES,
    *hyperion.CASES,
    *ahsi.CASES,
    *hisui.CASES,
    *prisma.CASES,
    *sentinel2.CASES,
    *envi_jpl.CASES,
    *envi_raw.CASES,
    *neon.CASES,
    *netcdf_cf.CASES,
    *planetscope.CASES,
    *worldview.CASES,
    *wyvern.CASES,
    *zipped.CASES,
)
