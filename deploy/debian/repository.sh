#!/usr/bin/env bash
# Makes a folder with packages a repository that any web server can serve: FOLDER/bookworm and FOLDER/trixie,
# each signed by KEY of the key ring in GNUPGHOME, with the public key in FOLDER/edged.gpg.
#
#   deploy/debian/repository.sh FOLDER KEY PACKAGE...
set -Eeuo pipefail

(($# >= 3)) || {
  echo "repository.sh: usage: repository.sh FOLDER KEY PACKAGE..." >&2
  exit 1
}
folder=$1 key=$2
shift 2
umask 022

for package in "$@"; do
  case $(dpkg-deb --field "$package" Version) in
    *+deb12) suite=bookworm ;;
    *+deb13) suite=trixie ;;
    *)
      echo "repository.sh: $package is for no Debian that is known here" >&2
      exit 1
      ;;
  esac
  install -D -m 0644 -t "$folder/$suite" "$package"
done
for suite in "$folder"/bookworm "$folder"/trixie; do
  [[ -d $suite ]] || continue
  cd "$suite"
  rm -f Packages Packages.gz Release InRelease
  apt-ftparchive packages . >Packages
  gzip -9nk Packages
  apt-ftparchive -o APT::FTPArchive::Release::Origin=edged -o APT::FTPArchive::Release::Label=edged \
    -o "APT::FTPArchive::Release::Suite=${suite##*/}" release . >Release.new
  mv Release.new Release
  gpg --batch --yes --local-user "$key" --clearsign --output InRelease Release
  cd - >/dev/null
done
gpg --batch --yes --export "$key" >"$folder/edged.gpg"
