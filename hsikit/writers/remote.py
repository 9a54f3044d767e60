"""Outputs on S3: put whole, then a small record of what was put; only what its record describes counts as done.

An object store has no rename. A run makes its outputs in a scratch folder of this machine and puts them when all are finished; what
was put before a crash has no record, and the same command puts what is missing of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsikit.errors import MissingExtraError, OutputError, SceneError
from hsikit.geo.remote import RemotePath
from hsikit.geo.remote_files import facts_if, objects_below, s3_filesystem
from hsikit.version import __version__

RECORD, FORMAT = ".done.json", 1
MOST_RECORD = 16 << 20
CHECKSUM = "hsikit-sha256"
"""Name of what is stored with each object, and tells our objects from others."""


def record_of(output: RemotePath) -> RemotePath:
    """Where the record of an output lies: `KEY.done.json`."""
    return output.with_name(output.name + RECORD)


def scratch_folder(output: RemotePath) -> Path:
    """Where an output on S3 is made, the same for each run: in a folder of this user below the system's temporary folder (`TMPDIR`).

    Raises:
        OutputError: that folder belongs to somebody else, or cannot be made.
    """
    root = Path(tempfile.gettempdir()) / f"hsikit-{os.getuid()}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        facts = root.lstat()
    except OSError as error:
        raise OutputError(root, f"the scratch folder cannot be made ({error.strerror})", "Set TMPDIR to a folder that you may write to") from None
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022 or root.is_symlink() or not root.is_dir():
        raise OutputError(root, "the scratch folder is not yours alone", "Set TMPDIR to another folder")
    return root / f".{output.name[:80]}.{hashlib.sha256(str(output).encode()).hexdigest()[:16]}.hsikit"


def check_remote_target(outputs: Sequence[Path], overwrite: bool) -> None:
    """Refuses outputs on a server that cannot or must not be written; see `hsikit.writers.staging.check_target`.

    Args:
        outputs: the main one first; all of them are put, or none.
        overwrite: whether older ones may be replaced.

    Raises:
        OutputError: an output is done or somebody else's and `overwrite` is False; the bucket is missing; a server of HTTP; some lie on a disk.
    """
    main = outputs[0]
    if not isinstance(main, RemotePath) or any(not isinstance(path, RemotePath) or path.bucket != main.bucket for path in outputs):
        raise OutputError(main, "its outputs do not all lie in one bucket", "Write all of them to one bucket, or all to one disk")
    if not main.on_s3 or not main.key:
        raise OutputError(main, "is no place to write to", "Write to s3://bucket/key, or to a disk")
    _require_bucket(main)
    if overwrite:
        return
    with putting(main):
        if facts_if(record_of(main)) is not None:
            raise OutputError(main, "exists already", "Choose another name, or give --overwrite to replace it")
        for path in outputs:
            if isinstance(path, RemotePath) and not _ours(path):
                raise OutputError(path, "exists already, and hsikit did not put it there", "Choose another name, or give --overwrite to replace it")


def _require_bucket(path: RemotePath) -> None:
    with putting(path):
        try:
            s3_filesystem().call_s3("head_bucket", Bucket=path.bucket)
        except FileNotFoundError:
            raise OutputError(path, f"there is no bucket {path.bucket}", "Make it, or choose another one") from None
        except PermissionError:
            return  # one may be allowed to write, and not to look


def _ours(path: RemotePath) -> bool:
    """Whether a name is free, or what lies there was put by an interrupted run."""
    facts = facts_if(path)
    if facts is not None:
        return CHECKSUM in dict(facts.meta)
    below = objects_below(path)
    mark = facts_if(path / "zarr.json") if below else None
    return not below or (mark is not None and CHECKSUM in dict(mark.meta))


@contextmanager
def putting(path: Path) -> Iterator[None]:
    """Lets no error of a server out that does not say which output could not be written.

    Raises:
        OutputError: in place of it.
    """
    try:
        yield
    except (OutputError, MissingExtraError):
        raise
    except SceneError as error:
        raise OutputError(error.where, error.wrong, error.advice) from None
    except PermissionError:
        raise OutputError(path, "permission to write is denied", "Check the credentials of the environment, and the bucket's policy") from None
    except Exception as error:
        raise OutputError(path, f"could not be put ({type(error).__name__})", "The same command puts what is missing") from None


def put_outputs(staged: Sequence[tuple[Path, RemotePath]], inputs: Mapping[str, Iterable[Any]]) -> None:
    """Puts staged files and folders, then the record; what lies there already as it should is left. Safe to call again after being killed.

    Args:
        staged: pairs (staged path, output), the main output last.
        inputs: what the outputs were made of, for the record: `SceneInfo.identity` by role.

    Raises:
        OutputError: a staged output is missing, or a server does not take it. Without a record nothing counts as done.
    """
    main = staged[-1][1]
    files = s3_filesystem()
    with putting(main):
        described = [_described(new, final) for new, final in staged]
        record = {"format": FORMAT, "version": __version__, "files": described, "inputs": {role: states_in(told) for role, told in inputs.items()}}
        data = json.dumps(record, indent=1, sort_keys=True).encode()
        known = read_record(main)
        if known == json.loads(data) and all(_holds(final, told) for (_, final), told in zip(staged, described, strict=True)):
            return
        if known is not None:
            files.call_s3("delete_object", Bucket=main.bucket, Key=record_of(main).key)  # a record never describes what is being exchanged
    for (new, final), told in zip(staged, described, strict=True):
        with putting(final):
            if new.is_dir():
                _put_folder(new, final, told["sha256"])
            elif not _holds(final, told):
                files.put_file(str(new), f"{final.bucket}/{final.key}", Metadata={CHECKSUM: told["sha256"]})
    with putting(main):
        files.call_s3("put_object", Bucket=main.bucket, Key=record_of(main).key, Body=data, ContentType="application/json")


def states_in(identity: Iterable[Any]) -> list[tuple[str, int, int | str]]:
    """The states of the files in a scene's `SceneInfo.identity` (path, bytes, time or ETag); what else stands there is passed over."""
    found: list[tuple[str, int, int | str]] = []
    for part in identity:
        match part:
            case [str(path), int(size), int(changed) | str(changed), *_]:
                found.append((path, size, changed))
    return found


def _described(new: Path, final: RemotePath) -> dict[str, Any]:
    """What the record says of an output."""
    if not os.path.lexists(new):
        raise OutputError(final, f"the finished output {new.name} is missing from {new.parent}", "Run the same command again")
    if not new.is_dir():
        return {"key": final.key, "size": new.stat().st_size, "sha256": _checksum(new)}
    inside = _inside(new)
    text = "\n".join(f"{name} {_checksum(path)}" for name, path in inside.items())
    size = sum(path.stat().st_size for path in inside.values())
    return {"key": final.key, "size": size, "sha256": hashlib.sha256(text.encode()).hexdigest(), "objects": len(inside)}


def _inside(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names within it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put_folder(new: Path, final: RemotePath, checksum: str) -> None:
    """Puts all files of a folder, and removes what else lies below its name."""
    files = s3_filesystem()
    wanted = {f"{final.key}/{name}": str(path) for name, path in _inside(new).items()}
    for key in objects_below(final).keys() - wanted.keys():
        files.call_s3("delete_object", Bucket=final.bucket, Key=key)
    files.put(list(wanted.values()), [f"{final.bucket}/{key}" for key in wanted], Metadata={CHECKSUM: checksum})


def read_record(output: RemotePath) -> dict[str, Any] | None:
    """The record of an output; None where there is none, or none of ours.

    Raises:
        SceneError: the server cannot be reached.
    """
    place = record_of(output)
    facts = facts_if(place)
    if facts is None or facts.size > MOST_RECORD:
        return None
    try:
        found = json.loads(place.read_bytes())
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT and isinstance(found.get("files"), list) else None


def is_done(output: RemotePath) -> bool:
    """Whether an output has its record, and all files that it names are as it says.

    Raises:
        SceneError: the server cannot be reached.
    """
    record = read_record(output)
    if record is None:
        return False
    root = RemotePath(f"s3:/{output.bucket}")
    return all(isinstance(told, dict) and isinstance(told.get("key"), str) and _holds(root / told["key"], told) for told in record["files"])


def _holds(final: RemotePath, told: Mapping[str, Any]) -> bool:
    """Whether an output lies there as its record says."""
    if "objects" in told:
        below = objects_below(final)
        return (len(below), sum(size for size, _ in below.values())) == (told["objects"], told.get("size"))
    facts = facts_if(final)
    return facts is not None and facts.size == told.get("size") and dict(facts.meta).get(CHECKSUM) == told.get("sha256")
