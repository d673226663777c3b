#!/usr/bin/env bash
# Makes the Debian package of edged for one Debian and one kind of machine, on any machine that has Python 3.11
# or newer, pip and dpkg-deb: what goes in are ready-made wheels, named by their hashes in deploy/requirements.
#
#   deploy/debian/build.sh bookworm amd64 dist
#
# The same sources give the same package, byte for byte, whoever builds it and when. In the environment:
#   SOURCE_DATE_EPOCH   the time that files get (default: that of the last commit, or of CHANGELOG.md)
#   PYTHON              a Python that can import edged, for the manual pages (default: python3)
#   WHEELHOUSE          a folder to take the wheels from, and nothing from the network
#   DEBFULLNAME, DEBEMAIL  who answers for the package, as Debian's own tools have it
#   COMPRESSION         as 'dpkg-deb -Z' has it (default: xz)
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=${here%/deploy/debian}
readonly here source_dir
python=${PYTHON:-python3}

die() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 1
}

(($# == 3)) || die "usage: build.sh bookworm|trixie amd64|arm64 FOLDER"
readonly suite=$1 arch=$2 folder=$3
case $suite in
  bookworm) debian=12 version=3.11 glibc=36 units=lib/systemd/system libcxx=12 ;;
  trixie) debian=13 version=3.13 glibc=41 units=usr/lib/systemd/system libcxx=14 ;;
  *) die "there is no package for '$suite', only for bookworm and trixie" ;;
esac
case $arch in
  amd64) machine=x86_64 ;;
  arm64) machine=aarch64 ;;
  *) die "there is no package for '$arch', only for amd64 and arm64" ;;
esac
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
  SOURCE_DATE_EPOCH=$(git -C "$source_dir" log -1 --format=%ct 2>/dev/null || stat -c %Y "$source_dir/CHANGELOG.md")
fi
export SOURCE_DATE_EPOCH

umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly root=$work/root
readonly packages=$root/opt/edged/lib/python$version/site-packages

# The wheel of edged itself, by the build tools that deploy/requirements names.
make_wheel() {
  local from=()
  [[ -z ${WHEELHOUSE:-} ]] || from=(--no-index --find-links "$WHEELHOUSE")
  "$python" -m venv "$work/build"
  "$work/build/bin/python" -m pip install --quiet --disable-pip-version-check "${from[@]}" --require-hashes \
    --requirement "$source_dir/deploy/requirements/build.txt"
  "$work/build/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --wheel-dir "$work" "$source_dir"
}

# The environment, as it lies on the target: pip is asked for its wheels, never to run anything of them.
make_environment() {
  local pip from=() platforms=() minor
  [[ -z ${WHEELHOUSE:-} ]] || from=(--no-index --find-links "$WHEELHOUSE")
  for ((minor = glibc; minor >= 17; minor--)); do
    platforms+=(--platform "manylinux_2_${minor}_$machine")
  done
  pip=("$work/build/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --no-warn-script-location --no-compile --no-deps
    --target "$packages" "${from[@]}" --implementation cp --python-version "$version" --only-binary :all:
    "${platforms[@]}" --platform "manylinux2014_$machine"
    # It would compare with the Python of this machine; the pinned versions are chosen for the target.
    --ignore-requires-python)
  "${pip[@]}" --require-hashes --requirement "$source_dir/deploy/requirements/ai-edge-litert-py${version/./}.txt"
  # The programs of the packages, with the interpreter of this machine in their first line.
  rm -rf "${packages:?}/bin"
  "${pip[@]}" --no-index "$work"/edged-*.whl
  rm -rf "${packages:?}/bin"
  # Where pip found a wheel, which is a folder of this machine.
  find "$packages" -path '*.dist-info/*' \( -name direct_url.json -o -name REQUESTED \) -delete
  sed -i -E '/^(\.\.\/)*bin\/|direct_url\.json|\/REQUESTED,|__pycache__/d' "$packages"/*.dist-info/RECORD
  # Wheels carry what their maker's umask was, and scripts nobody calls by their name.
  find "$packages" -type d -exec chmod 0755 {} +
  find "$packages" -type f -exec chmod 0644 {} +
  install -d "$root/opt/edged/bin" "$root/usr/bin"
  printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n' "$version" >"$root/opt/edged/pyvenv.cfg"
  ln -s "/usr/bin/python$version" "$root/opt/edged/bin/python"
  ln -s python "$root/opt/edged/bin/python3"
  printf '#!/opt/edged/bin/python\nimport sys\n\nfrom edged.__main__ import main\n\nsys.exit(main())\n' \
    >"$root/opt/edged/bin/edged"
  chmod 0755 "$root/opt/edged/bin/edged"
  ln -s /opt/edged/bin/edged "$root/usr/bin/edged"
}

# Units, drop-ins that this systemd knows, udev rules, the account, the settings.
add_system_files() {
  local file number systemd=252 doc=$root/usr/share/doc/edged
  [[ $suite == bookworm ]] || systemd=257
  install -D -m 0644 -t "$root/$units" "$source_dir"/systemd/*.service
  sed -i 's|^# deploy/install.sh puts it in place\. |# |' "$root/$units"/*.service
  for file in "$source_dir"/systemd/drop-ins/*.conf; do
    number=${file##*/}
    ((systemd >= ${number%%-*})) || continue
    install -D -m 0644 -t "$root/$units/edged.service.d" "$file"
    install -D -m 0644 -t "$root/$units/edged@.service.d" "$file"
  done
  install -D -m 0644 -t "$root/${units%systemd/system}udev/rules.d" "$source_dir"/deploy/udev/*.rules
  install -D -m 0644 "$here/files/edged.sysusers" "$root/usr/lib/sysusers.d/edged.conf"
  install -D -m 0640 "$here/files/edged.env" "$root/etc/edged/edged.env"
  chmod 0750 "$root/etc/edged"
  install -D -m 0644 -t "$doc" "$here/files/copyright" "$source_dir/README.md"
  install -D -m 0644 -t "$doc/examples" "$source_dir"/systemd/examples/*.conf
  (cd "$source_dir" && env -i PATH="$PATH" "$python" -m edged env) >"$doc/examples/all-settings.env"
  install -D -m 0644 "$here/files/lintian-overrides" "$root/usr/share/lintian/overrides/edged"
}

add_documents() {
  local doc=$root/usr/share/doc/edged when
  when=$(LC_ALL=C date --utc --date="@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')
  gzip -9n <"$source_dir/CHANGELOG.md" >"$doc/changelog.gz"
  printf 'edged (%s) %s; urgency=medium\n\n  * See changelog.gz for what is new.\n\n -- %s  %s\n' \
    "$full" "$suite" "$maintainer" "$when" | gzip -9n >"$doc/changelog.Debian.gz"
  mkdir -p "$work/man"
  (cd "$source_dir" && env -i PATH="$PATH" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "$python" "$here/manpages.py" "$work/man")
  gzip -9n "$work"/man/*
  install -D -m 0644 -t "$root/usr/share/man/man1" "$work"/man/*.1.gz
  install -D -m 0644 -t "$root/usr/share/man/man5" "$work"/man/*.5.gz
}

add_control() {
  local name
  install -d "$root/DEBIAN"
  for name in preinst postinst prerm postrm; do
    sed "s|@units@|/$units|g; s|@python@|python$version|g" "$here/files/$name" >"$root/DEBIAN/$name"
    chmod 0755 "$root/DEBIAN/$name"
  done
  echo /etc/edged/edged.env >"$root/DEBIAN/conffiles"
  cat >"$root/DEBIAN/control" <<END
Package: edged
Version: $full
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -k --apparent-size -s "$root" | cut -f1)
Depends: python$version, libc6 (>= 2.$glibc), libgcc-s1, libstdc++6 (>= $libcxx), zlib1g, systemd (>= 252)
Recommends: udev
Suggests: mosquitto, ffmpeg
Section: video
Priority: optional
Description: edge detection daemon: camera in, detections out over MQTT
 edged reads a camera, a stream or a file, finds objects with a TensorFlow Lite
 model on the CPU or on a Coral Edge TPU, and publishes them over MQTT, with an
 annotated video if that is wanted.
 .
 This package holds a Python environment of its own in /opt/edged, made from
 the wheels that edged names by their hashes.
END
  (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) \
    >"$work/md5sums"
  # Settings are the administrator's: nobody compares them.
  grep -v ' etc/' "$work/md5sums" >"$root/DEBIAN/md5sums"
}

make_wheel
number=$(basename "$work"/edged-*.whl | cut -d- -f2)
readonly full=$number-1+deb$debian
readonly maintainer="${DEBFULLNAME:-edged} <${DEBEMAIL:-edged@example.org}>"
make_environment
add_system_files
add_documents
add_control
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$folder"
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$root" "$folder/edged_${full}_$arch.deb" >/dev/null
echo "$folder/edged_${full}_$arch.deb"
