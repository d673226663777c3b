"""Ways to get to a broker, and what is said when there is none: passwords, TLS, versions, refusals."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import rig
from rig import TOPICS, Mosquitto, Subscriber
from structlog.testing import capture_logs

from edged.errors import ConfigError, SinkError
from edged.metrics import Meter
from edged.mqtt.link import credentials
from edged.mqtt.link.client import BrokerAccess
from edged.mqtt.one_shot.probe import check
from edged.settings.broker import Broker, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ("mqtt_fixtures",)
pytestmark = pytest.mark.usefixtures("needs_mosquitto")

SECRET = "corr3ct-h0rse"  # noqa: S105


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a broker's certificate for localhost, a client's, and a CA that signed none of them."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for authority in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={authority}",
                "-keyout", f"{authority}.key", "-out", f"{authority}.pem")  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("broker", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "names", "-out", f"{name}.pem")  # fmt: skip
    return folder


def tls_listener(folder: Path, *, client: bool = False) -> str:
    lines = [
        f"cafile {folder / 'ca.pem'}",
        f"certfile {folder / 'broker.pem'}",
        f"keyfile {folder / 'broker.key'}",
    ]
    return "\n".join([*lines, *(["require_certificate true"] if client else [])])


def tls_access(broker: Mosquitto, host: str = "localhost", **files: Path | None) -> BrokerAccess:
    context = credentials.tls_context(files.get("ca"), files.get("cert"), files.get("key"))
    return BrokerAccess(Broker(host, broker.port, tls=True), "edged-lab1", tls=context)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that knows one user."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "ann", SECRET], check=True)
    with Mosquitto(tmp_path / "guarded", f"password_file {passwords}", anonymous=False) as broker:
        yield broker


def as_user(broker: Mosquitto, username: str | None, password: str | None) -> BrokerAccess:
    target = rig.access(broker.broker)
    return dataclasses.replace(
        target, broker=dataclasses.replace(target.broker, username=username, password=password)
    )


def settings(broker: Mosquitto, **changes: Any) -> Any:
    """What the sink reads of the settings."""
    known = {
        "mqtt_url": str(broker.broker),
        "mqtt_password_file": None,
        "mqtt_version": "5",
        "mqtt_keepalive": 15,
        "mqtt_ca": None,
        "mqtt_cert": None,
        "mqtt_key": None,
        "node": "lab1",
    }
    return SimpleNamespace(**(known | changes))


def test_the_check_says_that_all_is_well(mosquitto: Mosquitto) -> None:
    assert (
        check(credentials.access_for(settings(mosquitto)))
        == f"the broker mqtt://127.0.0.1:{mosquitto.port} takes us, MQTT 5"
    )


def test_the_check_leaves_a_running_daemon_alone(mosquitto: Mosquitto, boot_id: str) -> None:
    sink = rig.sink(rig.access(mosquitto.broker), TOPICS, meter=Meter(), boot_id=boot_id)
    sink.open()
    with Subscriber(mosquitto.port, TOPICS.availability) as subscriber:
        subscriber.wait_for(TOPICS.availability, b"online")
        check(credentials.access_for(settings(mosquitto)))
        time.sleep(0.3)
        sink.close()
        subscriber.wait_for(TOPICS.availability, b"offline")
        assert subscriber.on(TOPICS.availability) == [b"online", b"offline"]


def test_a_password_comes_from_a_file_and_goes_nowhere_else(
    guarded: Mosquitto, tmp_path: Path, boot_id: str
) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    url = f"mqtt://ann@127.0.0.1:{guarded.port}"
    target = credentials.access_for(settings(guarded, mqtt_url=url, mqtt_password_file=file))
    assert SECRET not in repr(target)
    with capture_logs() as logs:
        sink = rig.sink(target, TOPICS, meter=Meter(), boot_id=boot_id)
        sink.open()
        sink.state(rig.state())
        with Subscriber(guarded.port, options=("-V", "5", "-u", "ann", "-P", SECRET)) as subscriber:
            subscriber.wait_for(TOPICS.state)
            sink.close()
    assert subscriber.received
    assert all(SECRET.encode() not in message.payload for message in subscriber.received)
    assert SECRET not in str(logs)
    assert SECRET not in Path("/proc/self/cmdline").read_text()


def test_a_password_in_the_place_of_its_file_is_not_repeated(guarded: Mosquitto) -> None:
    with pytest.raises(ConfigError, match="EDGED_MQTT_PASSWORD_FILE, a file in the folder") as caught:
        credentials.access_for(settings(guarded, mqtt_password_file=Path(SECRET)))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("username", "password", "who"),
    [
        ("ann", "wrong", "refused the user 'ann'"),
        ("bob", SECRET, "refused the user 'bob'"),
        (None, None, "without a user name"),
    ],
)
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_refusal_says_who_was_refused_and_what_to_check(
    guarded: Mosquitto, username: str | None, password: str | None, who: str, version: str
) -> None:
    target = dataclasses.replace(as_user(guarded, username, password), version=version)
    with pytest.raises(SinkError) as caught:
        check(target, timeout_s=30)
    assert who in str(caught.value)
    assert "EDGED_MQTT_PASSWORD_FILE" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_refused_daemon_tells_it_once(guarded: Mosquitto, boot_id: str) -> None:
    sink = rig.sink(as_user(guarded, "ann", "wrong"), TOPICS, meter=Meter(), boot_id=boot_id)
    with capture_logs() as logs:
        sink.open()
        assert rig.until(lambda: logs)
        sink.send(rig.result(0))
        sink.close()
    told = [entry for entry in logs if entry["event"] == "mqtt_not_connected"]
    assert len(told) == 1
    assert "refused the user 'ann'" in told[0]["reason"]
    assert sink.delivery().dropped == {"shutdown": 1}


def test_a_daemon_comes_in_when_the_password_is_mended(
    guarded: Mosquitto, boot_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.mqtt.link.connection._REFUSED_S", 0.5)
    subprocess.run(["mosquitto_passwd", "-D", str(guarded.folder.parent / "passwords"), "ann"], check=True)
    guarded.stop()
    guarded.start()
    with capture_logs() as logs:
        sink = rig.sink(as_user(guarded, "ann", SECRET), TOPICS, meter=Meter(), boot_id=boot_id)
        sink.open()
        assert rig.until(lambda: logs)
        file = guarded.folder.parent / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", str(file), "ann", SECRET], check=True)
        guarded.stop()
        guarded.start()
        assert rig.until(lambda: any(entry["event"] == "mqtt_connected" for entry in logs))
        sink.close()


def test_tls_with_a_ca_and_a_client_certificate(certificates: Path, tmp_path: Path, boot_id: str) -> None:
    listener = tls_listener(certificates, client=True)
    with Mosquitto(tmp_path / "tls", listener=listener) as broker:
        target = tls_access(
            broker,
            ca=certificates / "ca.pem",
            cert=certificates / "client.pem",
            key=certificates / "client.key",
        )
        assert "over TLS" in check(target, timeout_s=30)
        sink = rig.sink(target, TOPICS, meter=Meter(), boot_id=boot_id)
        sink.open()
        files = {"cafile": "ca.pem", "cert": "client.pem", "key": "client.key"}
        paths = [part for name, file in files.items() for part in (f"--{name}", str(certificates / file))]
        options = ("-V", "5", "-h", "localhost", *paths)
        with Subscriber(broker.port, options=options) as subscriber:
            for number in range(300):
                sink.send(rig.result(number, rig.PERSON))
            sink.close()
            subscriber.wait_for(TOPICS.availability, b"offline")
            assert len(subscriber.on(TOPICS.detections)) == 300
    assert sink.delivery().closes
    assert sink.delivery().lost == 0


def test_tls_failures_are_told_apart(certificates: Path, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "tls", listener=tls_listener(certificates, client=True)) as broker:
        with pytest.raises(SinkError, match=r"not trusted: .*EDGED_MQTT_CA"):
            check(tls_access(broker, ca=certificates / "other.pem"), timeout_s=30)
        with pytest.raises(SinkError, match=r"not trusted: .*mismatch.*[^A]Write a name in EDGED_MQTT_URL"):
            check(tls_access(broker, "127.0.0.1", ca=certificates / "ca.pem"), timeout_s=30)
        with pytest.raises(SinkError, match=r"_CERT"):
            check(tls_access(broker, ca=certificates / "ca.pem"), timeout_s=30)
        with pytest.raises(SinkError, match="write mqtts://"):
            check(rig.access(broker.broker), timeout_s=30)
    with (
        Mosquitto(tmp_path / "plain") as broker,
        pytest.raises(SinkError, match=r"[cC]heck that th(e|is) port speaks TLS"),
    ):
        check(tls_access(broker, ca=certificates / "ca.pem"), timeout_s=30)


@pytest.mark.parametrize(
    ("begins", "ends", "hint"),
    [
        (
            "20200101000000Z",
            "20210101000000Z",
            r"expired. Renew the certificate of the broker .* which says 20",
        ),
        (
            "20900101000000Z",
            "20910101000000Z",
            r"not yet valid. Set the clock of this machine, which says 20",
        ),
    ],
)
def test_a_certificate_of_another_time_is_told(
    certificates: Path, tmp_path: Path, begins: str, ends: str, hint: str
) -> None:
    """A machine without a clock starts in the past: no CA mends that."""
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "index").touch()
    (folder / "serial").write_text("01")
    (folder / "config").write_text(
        f"[ca]\ndefault_ca=us\n[us]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    subprocess.run(
        ["openssl", "ca", "-batch", "-config", folder / "config", "-cert", certificates / "ca.pem",
         "-keyfile", certificates / "ca.key", "-in", certificates / "broker.csr", "-startdate", begins,
         "-enddate", ends, "-out", folder / "broker.pem", "-notext", "-extfile", certificates / "names"],
        check=True, capture_output=True,
    )  # fmt: skip
    listener = tls_listener(certificates).replace(
        f"certfile {certificates / 'broker.pem'}", f"certfile {folder / 'broker.pem'}"
    )
    with (
        Mosquitto(tmp_path / "tls", listener=listener) as broker,
        pytest.raises(SinkError, match=hint) as told,
    ):
        check(tls_access(broker, ca=certificates / "ca.pem"), timeout_s=30)
    assert "EDGED_MQTT_CA" not in str(told.value)


def test_a_broker_that_is_not_there_is_told_apart() -> None:
    def failure(url: str, timeout: float = 30.0) -> str:
        with pytest.raises(SinkError) as caught:
            check(rig.access(parse_url(url)), timeout_s=timeout)
        return str(caught.value)

    assert "nothing listens at" in failure(f"mqtt://127.0.0.1:{rig.free_port()}")
    assert "'no-such-host.invalid' of the broker is unknown" in failure("mqtt://no-such-host.invalid")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "does not answer in time" in failure(f"mqtt://127.0.0.1:{silent.getsockname()[1]}", 1.0)


def test_a_server_that_speaks_no_mqtt_is_told() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        target = rig.access(parse_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}"))

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(SinkError, match="hung up without an answer"):
            check(target, timeout_s=30)


@pytest.mark.parametrize(
    ("file", "setting"), [("ca", "EDGED_MQTT_CA"), ("cert", "EDGED_MQTT_CERT"), ("key", "EDGED_MQTT_KEY")]
)
def test_a_certificate_that_cannot_be_read_is_named(certificates: Path, file: str, setting: str) -> None:
    files = {
        "ca": certificates / "ca.pem",
        "cert": certificates / "client.pem",
        "key": certificates / "client.key",
    }
    with pytest.raises(ConfigError, match=f"^{setting}='.*nowhere' cannot be read"):
        credentials.tls_context(**(files | {file: certificates / "nowhere"}))


def test_certificates_that_are_none_are_named(certificates: Path, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    with pytest.raises(ConfigError, match="holds no certificates"):
        credentials.tls_context(nonsense, None, None)
    with pytest.raises(ConfigError, match="cannot be used"):
        credentials.tls_context(None, nonsense, certificates / "client.key")
    with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
        credentials.tls_context(None, certificates / "client.pem", certificates / "broker.key")
