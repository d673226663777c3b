"""``edged render`` draws what was found into a copy of a segment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import av
from daemon import edged
from film import complaints, play
from source_clips import make

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Image


def segment(folder: Path, *, at: bool = True) -> Path:
    """40 pictures; those at 0.4 and 0.8 s were looked at in half the size, and the latter shows something."""
    path = make(folder / "2026-11-23T03-01-22Z.mp4", frames=40, size=(320, 192), b_frames=0)
    found = [{"label": "cat", "class_id": 3, "score": 0.8, "box": [90, 50, 140, 90], "track": 7}]
    lines = [
        {"image": {"w": 160, "h": 96}, "detections": detections, "pts": 5.0} | ({"at": time} if at else {})
        for time, detections in ((0.4, []), (0.8, found))
    ]
    path.with_suffix(".jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def pictures(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24").astype("uint8") for frame in container.decode(video=0)]


def test_boxes_are_drawn_where_and_when_they_were_found(tmp_path: Path) -> None:
    path = segment(tmp_path)
    done = edged("render", str(path))
    assert done.returncode == 0, done.stderr
    out = tmp_path / "2026-11-23T03-01-22Z-boxes.mp4"
    assert done.stdout == f"{out}: 40 pictures\n"
    assert complaints(out) == ""
    assert play(out).times == play(path).times
    drawn = []
    for number, image in enumerate(pictures(out)):
        edge = image[100:180, 180:183].reshape(-1, 3).mean(axis=0)
        inside = image[120:170, 210:250].reshape(-1, 3).mean(axis=0)
        assert max(inside) - min(inside) < 20, "grey noise"
        if max(edge) - min(edge) > 60:
            drawn.append(number)
    # Nearest to 0.8 s, and no more than a second from it: from 0.6 s on, at 25 pictures a second.
    assert drawn[0] in {15, 16}
    assert drawn == list(range(drawn[0], 40))


def test_what_is_drawn_already_or_not_there_is_told(tmp_path: Path) -> None:
    path = segment(tmp_path, at=False)
    done = edged("render", str(path))
    assert done.returncode == 78
    assert "drawn in already" in done.stderr
    done = edged("render", str(tmp_path / "nothing.mp4"))
    assert done.returncode == 69
    assert "'edged: " not in done.stdout
    assert "cannot be read" in done.stderr
    path = segment(tmp_path)
    done = edged("render", str(path), "-o", str(tmp_path / "no" / "folder.mp4"))
    assert done.returncode == 73
    done = edged("render", str(path), "-o", str(tmp_path / "." / path.name))
    assert done.returncode == 78
    assert "cannot take the place" in done.stderr
    assert len(pictures(path)) == 40
