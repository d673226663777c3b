#!/usr/bin/env bash
# Makes a folder with a Debian in which the newest Home Assistant core runs: it wants a newer Python than stable
# releases have. Some eight minutes and 1.1 GB, once.
#
#   tests/system/home-assistant-root.sh FOLDER
set -Eeuo pipefail

readonly root=$1
[[ ! -e $root/opt/ha/.ready ]] || exit 0
rm -rf --one-file-system "$root"
mkdir -p "$(dirname "$root")"
# What lies in a cache may be older than its own promise to be renewed.
mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
  --include=python3,python3-venv,ca-certificates,libturbojpeg0,ffmpeg sid "$root"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
chroot "$root" python3 -m venv /opt/ha
chroot "$root" env PIP_CERT=/etc/ssl/certs/ca-certificates.crt /opt/ha/bin/pip install --quiet homeassistant paho-mqtt
# The frontend that this very core wants, for the pictures that the test makes.
constraints=$(cd "$root" && echo opt/ha/lib/python3.*/site-packages/homeassistant/package_constraints.txt)
chroot "$root" env PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
  /opt/ha/bin/pip install --quiet --no-deps --constraint "/$constraints" home-assistant-frontend
# Voice needs a compiler and is not used here; Home Assistant wants it to be there all the same.
for site in "$root"/opt/ha/lib/python3.*/site-packages; do
  printf 'class MicroVad:\n    pass\n' >"$site/pymicro_vad.py"
  printf 'class AudioProcessor:\n    pass\n' >"$site/pyspeex_noise.py"
done
touch "$root/opt/ha/.ready"
