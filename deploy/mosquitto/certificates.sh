#!/usr/bin/env bash
# Makes a certificate authority of your own and a certificate of the broker for mosquitto's TLS listener.
# Run again, it keeps the authority, which the nodes know, and makes the certificate anew.
#
#   sudo ./certificates.sh NAME_OR_ADDRESS...      everything that clients may call the broker, such as
#                                                  broker.lan 192.168.1.10
set -euo pipefail

readonly CERTS=${EDGED_BROKER_CERTS:-/etc/mosquitto/certs}
readonly AUTHORITY_DAYS=7300 BROKER_DAYS=3650

(($#)) || { sed -n '2,6s/^# \?//p' "$0" >&2; exit 64; }
command -v openssl >/dev/null || { echo "certificates.sh: openssl is missing: sudo apt install openssl" >&2; exit 69; }
[[ -d $CERTS && -w $CERTS ]] || { echo "certificates.sh: $CERTS is not there, or this needs sudo" >&2; exit 73; }

names=
for name in "$@"; do
  kind=DNS
  [[ ! $name =~ ^[0-9.]+$ && $name != *:* ]] || kind=IP
  names+=,$kind:$name
done

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ ! -e $CERTS/edged-ca.key ]]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$AUTHORITY_DAYS" \
    -subj "/CN=edged broker authority" -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
  install -m 0600 "$work/ca.key" "$CERTS/edged-ca.key"
  install -m 0644 "$work/ca.crt" "$CERTS/edged-ca.crt"
fi

cat >"$work/extensions" <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=${names#,}
END
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
  -keyout "$work/broker.key" -out "$work/broker.csr" 2>/dev/null
openssl x509 -req -in "$work/broker.csr" -CA "$CERTS/edged-ca.crt" -CAkey "$CERTS/edged-ca.key" \
  -CAcreateserial -CAserial "$work/serial" -days "$BROKER_DAYS" -extfile "$work/extensions" \
  -out "$work/broker.crt" 2>/dev/null
install -m 0644 "$work/broker.crt" "$CERTS/edged-broker.crt"
# The broker reads its key as a user of its own.
group=root
! getent group mosquitto >/dev/null || group=mosquitto
install -m 0640 -g "$group" "$work/broker.key" "$CERTS/edged-broker.key"
echo "$CERTS/edged-broker.crt: for $*; give nodes $CERTS/edged-ca.crt"
