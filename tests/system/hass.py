"""A real Home Assistant in a folder of its own, and how to talk to it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from rig import free_port
from tornado.websocket import websocket_connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tornado.websocket import WebSocketClientConnection

_DASHBOARD = {"mode": "yaml", "filename": "dashboard.yaml", "title": "Cameras"}
_PATIENCE_S = 240.0
_PARTS = ("api", "config", "frontend", "history", "onboarding", "recorder", "mqtt")
_ONBOARDED = {"version": 4, "minor_version": 1, "key": "onboarding"}
_DONE = ["core_config", "integration", "analytics"]
"""Steps that would look for this house on the internet."""
_ENTRY = {"protocol": "5", "other_settings": {"set_client_cert": False, "set_ca_cert": "off"}}


class HomeAssistant:
    """Runs while the ``with`` block does.

    Args:
        root: the Debian that has it in /opt/ha.
        name: of its folder in there.
        files: what is in that folder besides its configuration, by path.
        parts: of its configuration, besides what every test needs.
    """

    def __init__(
        self, root: Path, name: str, files: Mapping[str, str], parts: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = root / name
        self.log = self.folder / "output.log"
        self._root = root
        self._port = free_port()
        self._token = ""
        self._grant: dict[str, Any] = {}
        self.folder.mkdir(parents=True)
        config = {
            "homeassistant": {"name": "Test", "time_zone": "UTC", "unit_system": "metric"},
            "http": {"server_host": "127.0.0.1", "server_port": self._port},
            "lovelace": {"dashboards": {"edged-cameras": _DASHBOARD}},
            **dict.fromkeys(_PARTS),
            **(parts or {}),
        }
        # JSON is YAML, but for Home Assistant's own tags.
        text = json.dumps(config)[:-1] + ', "automation": !include automations.yaml}'
        onboarding = json.dumps({**_ONBOARDED, "data": {"done": _DONE}})
        ours = {"configuration.yaml": text, "automations.yaml": "[]", ".storage/onboarding": onboarding}
        for path, content in {**ours, **files}.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(content, encoding="utf-8")

    def __enter__(self) -> Self:
        self._start()
        try:
            self._until_it_answers()
            self._onboard()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def restart(self) -> None:
        """As a person does from its settings; what it knows stays."""
        self.__exit__()
        self._start()
        self._until_it_answers()

    def _start(self) -> None:
        root = self._root
        mounts = f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev"
        hass = f"/opt/ha/bin/hass -c /{self.folder.name} --skip-pip-packages pymicro-vad,pyspeex-noise"
        certificates = "/etc/ssl/certs/ca-certificates.crt"
        environment = f"HOME=/root PATH=/opt/ha/bin:/usr/bin:/bin SSL_CERT_FILE={certificates}"
        command = f"{mounts} && exec chroot {root} env {environment} {hass}"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", command],
                stdout=log,
                stderr=log,
                env={"PATH": f"{os.defpath}:/usr/sbin:/sbin"},
            )

    def add_broker(self, port: int) -> None:
        """Set up the MQTT integration."""
        flow = self.ask("/api/config/config_entries/flow", {"handler": "mqtt"})
        entry = {"broker": "127.0.0.1", "port": port, **_ENTRY}
        made = self.ask(f"/api/config/config_entries/flow/{flow['flow_id']}", entry)
        assert made["type"] == "create_entry", made

    def states(self) -> dict[str, dict[str, Any]]:
        """All states, by entity."""
        return {one["entity_id"]: one for one in self.ask("/api/states")}

    def state(self, entity: str) -> str:
        """One state; empty where there is no such entity."""
        return str(self.states().get(entity, {}).get("state", ""))

    def fired(self, automation: str) -> str:
        """When an automation last has, as it says."""
        return str(self.states()[automation]["attributes"]["last_triggered"])

    def call(self, action: str, entity: str, **data: Any) -> None:
        """Do what a dashboard does."""
        self.ask(f"/api/services/{action.replace('.', '/')}", {"entity_id": entity, **data})

    def until(self, entity: str, state: str, *, limit_s: float = 30.0) -> None:
        """Wait for a state."""
        deadline = time.monotonic() + limit_s
        while (found := self.state(entity)) != state:
            assert time.monotonic() < deadline, f"{entity} is {found!r}, not {state!r}"
            time.sleep(0.3)

    def devices(self) -> dict[str, dict[str, Any]]:
        """The devices it knows of MQTT, by name."""
        found: list[dict[str, Any]] = asyncio.run(self._websocket({"type": "config/device_registry/list"}))
        return {one["name"]: one for one in found if one["manufacturer"] == "edged"}

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"http://127.0.0.1:{self._port}/"

    def login(self) -> str:
        """JavaScript that lets a browser which is on one of its pages in."""
        expires = round(1e3 * time.time()) + 1_000_000
        grant = {**self._grant, "hassUrl": self.url[:-1], "clientId": self.url, "expires": expires}
        return f"localStorage.setItem('hassTokens', {json.dumps(json.dumps(grant))});"

    @contextmanager
    def watching(self) -> Iterator[list[tuple[str, str]]]:
        """What is created and removed meanwhile in its registry of entities: what and which.

        An entity that was removed and comes back is as old as it was, so that its age does not tell.
        """
        heard: list[tuple[str, str]] = []
        ready: Future[Callable[[], object]] = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(self._listen(heard, ready)), daemon=True, name="watching"
        )
        thread.start()
        end = ready.result(30)
        yield heard
        end()
        thread.join(10)

    async def _listen(self, heard: list[tuple[str, str]], ready: Future[Callable[[], object]]) -> None:
        connection = await self._connected()
        subscription = {"id": 1, "type": "subscribe_events", "event_type": "entity_registry_updated"}
        await connection.write_message(json.dumps(subscription))
        await connection.read_message()
        ready.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, connection.close))
        while (message := await connection.read_message()) is not None:
            data = json.loads(message)["event"]["data"]
            if data["action"] != "update":
                heard.append((data["action"], data["entity_id"]))

    def registry(self) -> dict[str, dict[str, Any]]:
        """The entities it knows of MQTT, by unique id."""
        found: list[dict[str, Any]] = asyncio.run(self._websocket({"type": "config/entity_registry/list"}))
        return {one["unique_id"]: one for one in found if one["platform"] == "mqtt"}

    def ask(self, path: str, data: object = None, *, form: bool = False) -> Any:
        """What the REST API answers."""
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        text = urllib.parse.urlencode(data) if form else json.dumps(data)  # type: ignore[arg-type]
        request = urllib.request.Request(  # it is ours
            f"http://127.0.0.1:{self._port}{path}",
            None if data is None else text.encode(),
            {"Content-Type": kind, "Authorization": f"Bearer {self._token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()[:500]!r}") from error

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self.ask("/api/" if self._token else "/api/onboarding")
            except (OSError, AssertionError):  # nobody listens, or not to this yet
                assert time.monotonic() < deadline, self.log.read_text()[-2000:]
                assert self._process.poll() is None, self.log.read_text()[-2000:]
                time.sleep(0.5)
            else:
                return

    def _onboard(self) -> None:
        client = f"http://127.0.0.1:{self._port}/"
        person = {"name": "t", "username": "t", "password": "not a secret", "language": "en"}
        code = self.ask("/api/onboarding/users", {"client_id": client, **person})["auth_code"]
        grant = {"client_id": client, "grant_type": "authorization_code", "code": code}
        self._grant = self.ask("/auth/token", grant, form=True)
        self._token = self._grant["access_token"]
        # Else it goes back to its own port after five minutes.
        asyncio.run(self._websocket({"type": "http/config/promote"}))

    async def _connected(self) -> WebSocketClientConnection:
        url = f"ws://127.0.0.1:{self._port}/api/websocket"
        connection = await websocket_connect(url, max_message_size=50_000_000)
        await connection.read_message()
        await connection.write_message(json.dumps({"type": "auth", "access_token": self._token}))
        await connection.read_message()
        return connection

    async def _websocket(self, message: dict[str, Any]) -> Any:
        connection = await self._connected()
        await connection.write_message(json.dumps({"id": 1, **message}))
        answer = json.loads(await connection.read_message() or "{}")
        connection.close()
        while await connection.read_message() is not None:  # its goodbye
            pass
        assert answer.get("success"), answer
        return answer["result"]
