"""An RTSP camera on 127.0.0.1 made with GStreamer; run by the Python that has its bindings (python3-gst-1.0).

It prints its port and serves ``/camera`` until it is killed.
"""

from __future__ import annotations

import argparse

import gi  # type: ignore[import-not-found]  # of the system's Python

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import (  # type: ignore[import-not-found]  # noqa: E402  # once the versions are chosen
    GLib,
    Gst,
    GstRtspServer,
)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--codec", choices=["h264", "jpeg"], default="h264")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--hang-up", type=float, default=0, help="throw everybody out every so many seconds")
    options = parser.parse_args()

    Gst.init(None)
    width, height = options.size.split("x")
    encoder = {
        "h264": f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={options.fps} ! rtph264pay",
        "jpeg": "jpegenc ! rtpjpegpay",
    }[options.codec]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},"
        f"framerate={options.fps}/1 ! videoconvert ! video/x-raw,format=I420 ! {encoder} name=pay0 pt=96 )"
    )
    factory.set_shared(True)
    if options.user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        basic = GstRtspServer.RTSPAuth.make_basic(options.user, options.password)
        auth.add_basic(basic, token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    if options.hang_up:

        def hang_up() -> bool:
            server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
            return True

        GLib.timeout_add(int(1000 * options.hang_up), hang_up)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
