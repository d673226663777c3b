"""Settings of several cameras: whose a setting is, and every mistake told at once."""

from __future__ import annotations

import pytest

from edged.errors import ConfigError
from edged.settings import loading

TWO = {
    "EDGED_CAMERAS": "front,back-door",
    "EDGED_MODEL": "model.tflite",
    "EDGED_FRONT_SOURCE": "a.mp4",
    "EDGED_BACK_DOOR_SOURCE": "b.mp4",
}


def refused(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loading.load_all(None, {name: value for name, value in (TWO | environ).items() if value})
    first, *others = str(caught.value).splitlines()
    assert first.startswith(f"{len(others)} settings are" if len(others) > 1 else "a setting is")
    return others


def test_a_setting_with_a_name_is_that_cameras_and_without_it_everybodys() -> None:
    front, back = loading.load_all(None, TWO | {"EDGED_FPS": "5", "EDGED_BACK_DOOR_FPS": "2"})
    assert (front.camera, front.source, front.fps) == ("front", "a.mp4", 5)
    assert (back.camera, back.source, back.fps) == ("back-door", "b.mp4", 2)
    assert front.several
    assert back.cameras == ("front", "back-door")


def test_without_cameras_there_is_one_called_as_always() -> None:
    (only,) = loading.load_all(None, {"EDGED_SOURCE": "a.mp4", "EDGED_MODEL": "m.tflite"})
    assert (only.camera, only.several) == ("camera", False)


def test_a_folder_for_all_has_a_folder_a_camera() -> None:
    front, back = loading.load_all(None, TWO | {"EDGED_OUTPUT": "/out", "EDGED_FRONT_OUTPUT": "/mine"})
    assert (str(front.output), str(back.output)) == ("/mine", "/out/back-door")


def test_all_mistakes_are_told_at_once() -> None:
    told = refused(
        EDGED_FRONT_FSP="3",
        EDGED_SOURSE="x",
        EDGED_BACK_DOOR_MQTT_URL="mqtt://ann:hunter2@h",
        EDGED_CAMERA="porch",
        EDGED_FRONT_FPS="-1",
        EDGED_BACK_DOOR_SOURCE="",
    )
    assert told.pop(0) == "  EDGED_CAMERA is the name of a single camera: leave it out beside EDGED_CAMERAS"
    assert len(told) == 5
    assert "did you mean EDGED_FRONT_FPS?" in told[0]
    assert "did you mean EDGED_SOURCE?" in told[1]
    assert "write EDGED_MQTT_URL" in told[2]
    assert "hunter2" not in told[2]
    assert told[3].startswith("  EDGED_FRONT_FPS='-1': ")
    assert "neither EDGED_BACK_DOOR_SOURCE nor EDGED_SOURCE is set" in told[4]


def test_a_camera_is_not_named_a_second_time() -> None:
    """EDGED_CAMERA, which one might write instead, is refused as well."""
    (told,) = refused(EDGED_FRONT_CAMERA="porch")
    assert told == "  EDGED_FRONT_CAMERA='porch': the camera 'front' has its name from EDGED_CAMERAS."


def test_a_name_that_does_not_do_hides_nothing_else() -> None:
    told = refused(
        EDGED_CAMERAS="front,two words,back-door",
        EDGED_SOURSE="x",
        EDGED_TWO_WORDS_SOURCE="c.mp4",
        EDGED_FRONT_FPS="-1",
    )
    assert len(told) == 3
    assert "'two words'" in told[0]
    assert "did you mean EDGED_SOURCE?" in told[1]
    assert told[2].startswith("  EDGED_FRONT_FPS='-1': ")


@pytest.mark.parametrize(
    ("cameras", "reason"),
    [
        ("mqtt", "EDGED_MQTT_URL begins like that"),
        ("camera", "EDGED_CAMERA_SIZE begins like that"),
        ("front,front", "twice"),
        ("a-b,a_b", "which settings cannot tell apart"),
        ("two words", "begins with a letter"),
        ("a/b", "begins with a letter"),
        ("1st", "begins with a letter"),
        (",", "names no camera"),
    ],
)
def test_names_that_do_not_do(cameras: str, reason: str) -> None:
    told = refused(EDGED_CAMERAS=cameras, EDGED_FRONT_SOURCE="", EDGED_BACK_DOOR_SOURCE="")
    assert reason in told[0]


def test_a_setting_that_may_be_two_cameras() -> None:
    told = refused(
        EDGED_CAMERAS="a,a_camera",
        EDGED_SOURCE="x",
        EDGED_A_CAMERA_FPS="3",
        EDGED_FRONT_SOURCE="",
        EDGED_BACK_DOOR_SOURCE="",
    )
    assert len(told) == 1
    assert "may be EDGED_CAMERA_FPS of the camera 'a' or EDGED_FPS of the camera 'a_camera'" in told[0]


def test_one_file_cannot_be_the_video_of_two() -> None:
    assert "is one file for the cameras" in refused(EDGED_OUTPUT="both.mp4")[0]
    front, back = loading.load_all(
        None, TWO | {"EDGED_FRONT_OUTPUT": "f.mp4", "EDGED_BACK_DOOR_OUTPUT": "b.mp4"}
    )
    assert (str(front.output), str(back.output)) == ("f.mp4", "b.mp4")


def test_one_folder_cannot_be_the_video_of_two() -> None:
    """Each keeps its own budget of it, and the page would show the video of the other one."""
    told = refused(EDGED_FRONT_OUTPUT="/video/", EDGED_BACK_DOOR_OUTPUT="/video", EDGED_FPS="many")
    assert any("is one folder for the cameras 'front' and 'back-door'" in one for one in told)
    assert len(told) == 2, "with everything else"
    assert "is one folder" in refused(EDGED_OUTPUT="/video", EDGED_FRONT_OUTPUT="/video/back-door")[0]
