"""The settings of where and how the model runs."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotations
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator

from edged.settings import device as devices
from edged.settings import syntax
from edged.settings.field import setting


class DeviceSettings(BaseModel):
    """CPU or Edge TPU, and how many of them work for whom."""

    device: Annotated[tuple[str, ...], BeforeValidator(devices.devices)] = setting(
        (devices.AUTO,),
        "where the model runs: cpu, edgetpu (any), edgetpu:usb:N, edgetpu:pci:N, or several of these with "
        "numbers, comma separated, with a worker each; auto: an Edge TPU if the model is compiled for it and "
        "one answers, else the CPU",
        shown="auto",
    )
    model_cpu: Path | None = setting(
        None,
        "path of the same model for the CPU, which goes on while the Edge TPU does not answer",
        shown="none; with auto MODEL.tflite beside MODEL_edgetpu.tflite",
        read=True,
    )
    edgetpu_library: str = setting("libedgetpu.so.1", "name or path of the library", min_length=1)
    edgetpu_options: Annotated[tuple[tuple[str, str], ...], BeforeValidator(devices.options)] = setting(
        (),
        "for the library, comma separated: Performance=Low|Medium|High|Max, Usb.AlwaysDfu=True|False, "
        "Usb.MaxBulkInQueueLength=0..255",
        shown="the library's own",
    )
    device_timeout: float = setting(
        20.0,
        "seconds for each step of opening an Edge TPU: library, device, model, first invoke",
        gt=0,
        le=600,
    )
    invoke_timeout: float = setting(
        3.0, "seconds for one invoke, after which an Edge TPU counts as lost", gt=0, le=600
    )
    runtime: Literal["auto", "ai-edge-litert", "tflite-runtime"] = setting(
        "auto", "ai-edge-litert or tflite-runtime; auto takes the first that is installed"
    )
    threads: Annotated[int | None, BeforeValidator(syntax.auto)] = setting(
        None, "threads of one interpreter", shown="auto", ge=1, le=64
    )
    workers: Annotated[int | None, BeforeValidator(syntax.auto)] = setting(
        None,
        "interpreters that work side by side, results stay in order; auto: for one camera one with all "
        "cores, the least delay; for files, and for several cameras, one a core, the most frames",
        shown="auto",
        ge=1,
        le=16,
    )

    weight: float = setting(
        1.0,
        "how many turns a camera gets where others get one, while more frames come than the model can do",
        ge=0.1,
        le=100,
        needs="cameras",
    )
