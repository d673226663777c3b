#!/usr/bin/env bash
# Makes a container image of edged, without a daemon and without another image to start from: Debian 13's Python
# and what it needs, the package that deploy/debian/build.sh makes, and nothing else, not even a shell.
#
#   deploy/image/build.sh amd64|arm64 FOLDER
#
# makes FOLDER/edged-image-ARCH.tar, for 'docker load', 'podman load' and 'k3s ctr images import', named
# localhost/edged:VERSION. Needs root, buildah and mmdebstrap. In the environment:
#   PACKAGE   the .deb of edged for Debian 13 to take (default: it is built)
# and what deploy/debian/build.sh knows.
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
(($# == 2)) || {
  echo "build.sh: usage: build.sh amd64|arm64 FOLDER" >&2
  exit 1
}
readonly arch=$1 folder=$2

work=$(mktemp -d)
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
# A store of its own, so that nothing is left behind on this machine.
buildah() { command buildah --root "$work/store" --runroot "$work/run" "$@"; }
trap 'rm -rf "$work"' EXIT
readonly root=$work/root

package=${PACKAGE:-$(COMPRESSION=none "$here/../debian/build.sh" trixie "$arch" "$work")}
version=$(dpkg-deb --field "$package" Version)
version=${version%-*}

# Unpacked and not set up: no program of the target has to run, so any machine can make the image for any other.
mmdebstrap --quiet --variant=extract "--arch=$arch" \
  --include=base-files,ca-certificates,libc6,libgcc-s1,libstdc++6,media-types,netbase,python3.13,tzdata,zlib1g \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' trixie "$root"
for name in bin sbin lib lib64; do
  [[ -e $root/$name || ! -d $root/usr/$name ]] || ln -s "usr/$name" "$root/$name"
done
# What packages would do when they are set up.
find "$root/usr/share/ca-certificates" -name '*.crt' -exec cat {} + >"$root/etc/ssl/certs/ca-certificates.crt"
cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/usr/sbin/nologin
edged:x:10001:10001:edged:/var/lib/edged:/usr/sbin/nologin
END
printf 'root:x:0:\nvideo:x:44:edged\nplugdev:x:46:edged\nedged:x:10001:edged\n' >"$root/etc/group"
dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" ./opt ./usr/bin
install -D -m 0755 "$here/edged-health" "$root/usr/bin/edged-health"

site=$root/opt/edged/lib/python3.13/site-packages
# For graphics cards and other makers' accelerators, which edged does not use; what tests these packages; apt's.
rm -rf "$site"/ai_edge_litert/{libLiteRtWebGpuAccelerator.so,tools,vendors} \
  "$root"/var/{lib/apt,lib/dpkg/info,cache} "$root/usr/share/zoneinfo/right"
find "$site/numpy" -type d -name tests -prune -exec rm -rf {} +
rm -rf "${root:?}"/{boot,home,media,mnt,srv} "$root"/usr/{games,include,src}
install -d "$root"/{dev,proc,sys,run,etc/edged,var/lib/edged}
install -d -m 1777 "$root/tmp"
chown 10001:10001 "$root/var/lib/edged"

container=$(buildah from --format docker --arch "$arch" scratch)
buildah copy --quiet "$container" "$root" / >/dev/null
buildah config --user 10001:10001 --workingdir /var/lib/edged \
  --env PATH=/usr/bin --env EDGED_HTTP=127.0.0.1:8080 --env PYTHONDONTWRITEBYTECODE=1 \
  --entrypoint '["/usr/bin/edged"]' --cmd 'run --env-file /etc/edged/edged.env' \
  --volume /var/lib/edged --stop-signal SIGTERM \
  --healthcheck 'CMD /usr/bin/edged-health' --healthcheck-interval 30s --healthcheck-timeout 5s \
  --healthcheck-start-period 60s --healthcheck-retries 3 \
  --label org.opencontainers.image.title=edged --label "org.opencontainers.image.version=$version" \
  --label org.opencontainers.image.licenses=Apache-2.0 "$container"
# Docker's format, for OCI's has no health check.
buildah commit --quiet --format docker "$container" "localhost/edged:$version" >/dev/null
mkdir -p "$folder"
rm -f "$folder/edged-image-$arch.tar"
buildah push --quiet "localhost/edged:$version" "docker-archive:$folder/edged-image-$arch.tar:localhost/edged:$version"
echo "$folder/edged-image-$arch.tar: $(du -sm --apparent-size "$root" | cut -f1) MB unpacked"
