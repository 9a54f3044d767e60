"""Deflated arrays of HDF5 files, inflated here: without the HDF5 library's lock, faster, and in less memory.

The library inflates a chunk into a buffer that it doubles as it goes, orders its bytes in another and copies what was asked for out of
it, while no other thread may call it. Here a chunk is fetched as it is stored, inflated a piece at a time into one buffer of the size
that it must have, and only the bytes that were asked for are put in order.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 18


def inflates(dataset: Any) -> bool:
    """Whether an array of h5py is to be read by `read_inflated`: its chunks are deflated, shuffled or not, and nothing else was done to them.

    Chunks that fit the library's cache are left to the library, which keeps them for the next window.
    """
    import h5py

    if dataset.chunks is None or dataset.dtype.kind not in "iuf" or np.prod(dataset.chunks) * dataset.dtype.itemsize <= _cache(dataset):
        return False
    made = dataset.id.get_create_plist()
    filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
    deflated = filters in ([h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE])
    return deflated and bool(dataset.id.get_type() == h5py.h5t.py_create(dataset.dtype))


def _cache(dataset: Any) -> int:
    """Bytes of chunks that the library keeps."""
    return int(dataset.id.get_access_plist().get_chunk_cache()[1])


def read_inflated(dataset: Any, selection: tuple[slice, ...]) -> NDArray[Any] | None:
    """A part of an array.

    Args:
        dataset: of h5py, for which `inflates` holds.
        selection: a range of each axis, without steps.

    Returns:
        The values; None where a chunk is not stored as the array says: it is absent, damaged, or a filter was left out. The library
        knows how to read such chunks, or what to say of them.
    """
    bounds = [piece.indices(size)[:2] for piece, size in zip(selection, dataset.shape, strict=True)]
    out, shuffled = np.empty([max(0, stop - start) for start, stop in bounds], dataset.dtype), dataset.shuffle
    ordered = out.view(np.uint8).reshape(*out.shape, out.itemsize)
    for chunk, inside, outside in _chunks(bounds, dataset.chunks):
        try:
            unfiltered, stored = dataset.id.read_direct_chunk(chunk)
            plain = None if unfiltered else _inflate(stored, int(np.prod(dataset.chunks)) * dataset.dtype.itemsize)
        except (OSError, RuntimeError):
            plain = None
        if plain is None:
            return None
        if not shuffled:
            out[outside] = plain.view(dataset.dtype).reshape(dataset.chunks)[inside]
            continue
        # Shuffled: the first bytes of all numbers, then their second ones, and so on.
        target = ordered[outside]
        for number, byte in enumerate(plain.reshape(-1, *dataset.chunks)):
            target[..., number] = byte[inside]
    return out


def _chunks(bounds: list[tuple[int, int]], sizes: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """Where each chunk begins that the bounds touch, what is asked for of it, and where that goes."""
    firsts = [range(start // size * size, stop, size) for (start, stop), size in zip(bounds, sizes, strict=True)]
    for chunk in product(*firsts):
        touched = [(max(first, start), min(first + size, stop)) for first, (start, stop), size in zip(chunk, bounds, sizes, strict=True)]
        inside = tuple(slice(low - first, high - first) for first, (low, high) in zip(chunk, touched, strict=True))
        yield chunk, inside, tuple(slice(low - start, high - start) for (low, high), (start, _) in zip(touched, bounds, strict=True))


def _inflate(stored: bytes, size: int) -> NDArray[np.uint8] | None:
    """What was deflated; None where it is damaged or not of that size. No more memory is taken than that, whatever the data say."""
    out, filled = np.empty(size, np.uint8), 0
    inflater, view = zlib.decompressobj(), memoryview(stored)
    try:
        for start in range(0, len(view), PIECE):
            rest: bytes | memoryview = view[start : start + PIECE]
            while len(rest):
                piece, rest = inflater.decompress(rest, PIECE), inflater.unconsumed_tail
                if filled + len(piece) > size:
                    return None
                out[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
                filled += len(piece)
    except zlib.error:
        return None
    # What the last piece left in the inflater: less than one match of it, since no input is left.
    tail = inflater.flush()
    if not inflater.eof or filled + len(tail) != size:
        return None
    out[filled:] = np.frombuffer(tail, np.uint8)
    return out
