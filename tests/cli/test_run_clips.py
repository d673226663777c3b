"""``edged run`` with clips that are none, cut or damaged: told, and what there was is whole."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest
from runs import frames, ledger, nothing_left, refused, run


@pytest.mark.parametrize(
    "content", [b"", b"hello\n" * 1000, bytes(100_000), b"\0\0\0\x20ftypisom" + bytes(5000)]
)
def test_a_clip_that_is_none(settings: dict[str, str], tmp_path: Path, content: bytes) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(content)
    refused(run(settings | {"EDGED_SOURCE": str(clip)}), 69, str(clip), "EDGED_SOURCE")
    nothing_left(settings)


def test_a_clip_that_is_missing(settings: dict[str, str], tmp_path: Path) -> None:
    clip = str(tmp_path / "missing.mp4")
    refused(run(settings | {"EDGED_SOURCE": clip}), 69, clip, "does not exist", "EDGED_SOURCE")
    nothing_left(settings)


def test_a_folder_without_anything_to_see(settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    refused(run(settings | {"EDGED_SOURCE": str(folder)}), 69, str(folder))
    nothing_left(settings)


def test_an_image_that_is_none(settings: dict[str, str], tmp_path: Path) -> None:
    image = tmp_path / "photo.jpg"
    image.write_bytes(b"\xff\xd8\xff\xe0 and no more")
    refused(run(settings | {"EDGED_SOURCE": str(image)}), 69, str(image), "EDGED_SOURCE")
    nothing_left(settings)


def test_a_film_without_pictures(settings: dict[str, str], tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame(format="s16", layout="mono", samples=8000)
        silence.planes[0].update(bytes(16000))
        silence.rate = 8000
        container.mux(stream.encode(silence))
    refused(run(settings | {"EDGED_SOURCE": str(sound)}), 69, str(sound), "no video")
    nothing_left(settings)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.999])
def test_a_clip_that_was_cut_gives_what_it_has_and_is_told(
    settings: dict[str, str], shared: Path, tmp_path: Path, share: float
) -> None:
    whole = shared / "clips" / "cars_640x360_msmpeg4v2.avi"
    clip = tmp_path / "cut.avi"
    clip.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    done = run(settings | {"EDGED_SOURCE": str(clip)})
    message = refused(done, 69, str(clip))
    count = ledger(done)["inferred"]
    assert 0 < count <= 374
    assert f"after {count} frames" in message
    assert frames(Path(settings["EDGED_OUTPUT"])) == count, "what there is, is whole"
    lines = Path(settings["EDGED_JSONL"]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["frame_id"] for line in lines] == list(range(count))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95])
def test_an_mp4_that_was_cut_is_told(
    settings: dict[str, str], demo_clip: Path, tmp_path: Path, share: float
) -> None:
    clip = tmp_path / "cut.mp4"
    clip.write_bytes(demo_clip.read_bytes()[: int(demo_clip.stat().st_size * share)])
    done = run(settings | {"EDGED_SOURCE": str(clip)})
    refused(done, 69, str(clip))
    output = Path(settings["EDGED_OUTPUT"])
    assert output.exists() is Path(settings["EDGED_JSONL"]).exists()
    if output.exists():
        assert frames(output) == ledger(done)["inferred"] < 200


def test_a_clip_with_a_damaged_middle_still_accounts_for_every_frame(
    settings: dict[str, str], demo_clip: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "scratched.mp4"
    content = bytearray(demo_clip.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    clip.write_bytes(content)
    done = run(settings | {"EDGED_SOURCE": str(clip)})
    assert done.returncode in {0, 69}
    assert "Traceback" not in done.stderr
    assert frames(Path(settings["EDGED_OUTPUT"])) == ledger(done)["inferred"] > 50
