#!/usr/bin/env bash
# Installs edged as a service on Raspberry Pi OS and Debian 12 or 13: 'install.sh --help' tells the options.
#
# What lies where afterwards:
#   /opt/edged/releases/*              one virtual environment a version, with its own copy of the units
#   /opt/edged/current                 link to the version in force; an upgrade turns it at the very end
#   /opt/edged/bin, lib, pyvenv.cfg    links by way of it, so that /opt/edged is an environment, too
#   /usr/local/bin/edged               the command for people
#   /usr/local/lib/systemd/system/     units and their drop-ins; /etc/systemd/system stays the user's
#   /etc/udev/rules.d/60-edged-*       who may use the Edge TPU
#   /etc/edged/*.env                   settings: made once from 'edged env', never touched again
#   /var/lib/edged                     what the service writes
set -Eeuo pipefail

readonly OPT=/opt/edged
readonly COMMAND=/usr/local/bin/edged
readonly UNITS=/usr/local/lib/systemd/system
readonly RULES=/etc/udev/rules.d
readonly ETC=/etc/edged
readonly STATE=/var/lib/edged
readonly ACCOUNT=edged
readonly NEEDED_MB=900

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(dirname "$here")
readonly here source_dir

action=install
dry_run=
start=yes
coral=
purge=
hashes=yes
instance=
wheel=
wheelhouse=
python=python3
runtime=
changes=0

usage() {
  cat <<'END'
Usage: install.sh [install | upgrade | uninstall] [OPTION...]

  install              install edged, or bring it up to date; enable the service if it has its settings (default)
  upgrade              bring an installed edged up to date; nothing is enabled that was not
  uninstall            remove everything but the settings in /etc/edged and the data in /var/lib/edged

  --instance NAME      the service edged@NAME with the settings /etc/edged/NAME.env, instead of
                       edged with /etc/edged/edged.env: for a camera that is to share nothing with others
  --runtime RUNTIME    ai-edge-litert or tflite-runtime (Python 3.11 only); by default the one that is
                       installed already, or ai-edge-litert
  --wheel FILE         install this wheel, and not what is in the checkout around this script
  --wheelhouse DIR     take all packages from this folder, nothing from the network
  --no-hashes          do not check packages against the hashes in deploy/requirements (32-bit ARM needs it)
  --python PROGRAM     Python 3.11 or 3.13 to install for (default: python3)
  --coral              tell which libedgetpu the Edge TPU needs, and check the one that is installed
  --no-start           start and restart nothing
  --purge              with uninstall: remove settings, passwords, data and what is retained, too
  --dry-run            print what would be done, do nothing
  --help               print this
END
}

say() { printf '%s\n' "$*"; }
note() { printf 'note: %s\n' "$*" >&2; }

die() {
  printf 'install.sh: %s\n' "$1" >&2
  [[ -z ${2:-} ]] || printf '  %s\n' "$2" >&2
  exit 1
}

# run COMMAND...: does it, or with --dry-run says that it would.
run() {
  changes=$((changes + 1))
  if [[ $dry_run ]]; then
    printf ' '
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

parse_options() {
  while (($#)); do
    case $1 in
      install | upgrade | uninstall) action=$1 ;;
      --instance | --runtime | --wheel | --wheelhouse | --python)
        (($# > 1)) || die "$1 needs a value" "See install.sh --help"
        printf -v "${1#--}" %s "$2"
        shift
        ;;
      --coral) coral=yes ;;
      --no-start) start= ;;
      --no-hashes) hashes= ;;
      --purge) purge=yes ;;
      --dry-run) dry_run=yes ;;
      -h | --help)
        usage
        exit
        ;;
      *) die "there is no option '$1'" "See install.sh --help" ;;
    esac
    shift
  done
  [[ -z $purge || $action == uninstall ]] || die "--purge belongs to uninstall"
  [[ -z $instance || $instance =~ ^[a-z0-9][a-z0-9_-]*$ ]] ||
    die "the instance '$instance' cannot be named so" "Use small letters, digits, _ and -, such as front-door"
  [[ $instance != edged ]] || die "the instance cannot be named edged: /etc/edged/edged.env is that of edged.service"
  [[ -n $runtime ]] || runtime=$(cat "$OPT/current/share/runtime" 2>/dev/null || echo ai-edge-litert)
  [[ $runtime == ai-edge-litert || $runtime == tflite-runtime ]] ||
    die "there is no runtime '$runtime'" "There are ai-edge-litert and tflite-runtime"
  [[ -z $wheel || -f $wheel ]] || die "there is no wheel '$wheel'"
  [[ -z $wheelhouse || -d $wheelhouse ]] || die "there is no folder '$wheelhouse'"
}

unit() { [[ $instance ]] && echo "edged@$instance.service" || echo edged.service; }
env_file() { echo "$ETC/${instance:-edged}.env"; }
is_booted() { [[ -d /run/systemd/system ]]; }

# --- What must be so before anything is changed ---

check_system() {
  [[ $dry_run || $EUID -eq 0 ]] || die "this changes the system, so it needs root" "Run it with sudo, or with --dry-run to see"
  command -v systemctl >/dev/null || die "there is no systemd here"
  [[ ! -e /var/lib/dpkg/info/edged.list ]] || [[ ! -e /opt/edged/bin/edged || -L $OPT/bin ]] ||
    die "edged is installed as a package here" "Use 'apt install edged' and 'apt remove edged', or purge it first"
  local ID='' VERSION_ID=''
  # shellcheck source=/dev/null
  [[ ! -r /etc/os-release ]] || . /etc/os-release
  case "$ID $VERSION_ID" in
    "debian 12" | "debian 13" | "raspbian 12" | "raspbian 13") ;;
    *) note "made for Raspberry Pi OS and Debian 12 and 13, not tried on '${ID:-unknown} ${VERSION_ID:-}'" ;;
  esac
}

# The requirements file for this Python, machine and runtime.
requirements() {
  local tag
  tag=$("$python" -c 'import sys; print("py%d%d" % sys.version_info[:2])')
  echo "$here/requirements/$runtime-$tag.txt"
}

check_python() {
  command -v "$python" >/dev/null || die "there is no program '$python'" "sudo apt install python3 python3-venv"
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    die "'$python' cannot make virtual environments" "sudo apt install python3-venv"
  local file version known
  version=$("$python" -c 'import platform; print(platform.python_version())')
  file=$(requirements)
  if [[ ! -f $file ]]; then
    known=$(cd "$here/requirements" && echo "$runtime"-py*.txt | sed -E 's/[a-z-]+-py3([0-9]+)\.txt/3.\1/g')
    die "$runtime is not prepared for Python $version, only for $known" "Choose another --python or --runtime"
  fi
  case $(uname -m) in
    x86_64 | aarch64) ;;
    armv7l | armv6l)
      # numpy and OpenCV offer no wheels for it whose hashes could be known.
      [[ -z $hashes && $runtime == tflite-runtime ]] ||
        die "this is a 32-bit system, for which there are no packages with known hashes" \
          "Use the 64-bit system, or try: --runtime tflite-runtime --no-hashes"
      ;;
    *) die "there are no packages for machines of the kind $(uname -m)" ;;
  esac
}

check_room() {
  local free
  mkdir -p "$OPT"
  free=$(df --output=avail -m "$OPT" | tail -1)
  ((free >= NEEDED_MB)) || die "$OPT has $free MB left, and $NEEDED_MB are needed while installing"
}

# --- The release: a virtual environment that nothing uses before it is complete ---

# What the code to install is, as a checksum.
code_id() {
  if [[ $wheel ]]; then
    sha256sum <"$wheel"
  else
    (cd "$source_dir" && find edged models pyproject.toml README.md LICENSE -type f \
      ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
  fi | cut -c1-12
}

# Everything that a release depends on, as a checksum: the same again means that there is nothing to do.
release_id() {
  {
    code_id
    cat "$(requirements)"
    "$python" -VV
    uname -m
    (cd "$source_dir" && cat systemd/*.service systemd/drop-ins/*.conf deploy/udev/*.rules)
  } | sha256sum | cut -c1-12
}

pip_options() {
  # Cached files would be left behind in root's home.
  printf '%s\n' --quiet --no-input --disable-pip-version-check --no-cache-dir
}

where_from() {
  [[ -z $wheelhouse ]] || printf '%s\n' --no-index --find-links "$wheelhouse"
}

# build_release DIRECTORY
build_release() {
  local release=$1 pip options from pinned=(--only-binary :all: --require-hashes) wanted
  mapfile -t options < <(pip_options)
  mapfile -t from < <(where_from)
  wanted=$(requirements)
  [[ $hashes ]] || pinned=(--only-binary :all:)
  # An installer that was killed could not clean up; one that still runs is younger.
  find /var/tmp -maxdepth 1 -name 'edged-install.*' -user root -mmin +720 -exec rm -rf {} +
  work=$(mktemp -d /var/tmp/edged-install.XXXXXX)
  # Wheels are large, and /tmp may lie in memory.
  export TMPDIR=$work
  "$python" -m venv "$release"
  pip=("$release/bin/python" -m pip "${options[@]}")
  if [[ -z $hashes ]]; then
    sed -E '/^ +--hash/d; s/ *\\$//' "$wanted" >"$work/unhashed.txt"
    wanted=$work/unhashed.txt
  fi
  "${pip[@]}" install "${from[@]}" "${pinned[@]}" --requirement "$wanted"
  if [[ -z $wheel ]]; then
    "$python" -m venv --without-pip "$work/build"
    "${pip[@]}" --python "$work/build/bin/python" install "${from[@]}" --require-hashes \
      --requirement "$here/requirements/build.txt"
    "${pip[@]}" --python "$work/build/bin/python" wheel --no-deps --no-build-isolation \
      --wheel-dir "$work" "$source_dir"
    wheel=$(echo "$work"/edged-*.whl)
  fi
  "${pip[@]}" install --no-deps --no-index "$wheel"
  # It must at least start before anything else is touched.
  "$release/bin/edged" --version >/dev/null
  install -d "$release/share/systemd/drop-ins" "$release/share/udev"
  install -m 0644 "$source_dir"/systemd/*.service "$release/share/systemd/"
  install -m 0644 "$source_dir"/systemd/drop-ins/*.conf "$release/share/systemd/drop-ins/"
  install -m 0644 "$here"/udev/*.rules "$release/share/udev/"
  echo "$runtime" >"$release/share/runtime"
  chmod -R go+rX "$release"
}

# The directory of the release in force; nothing if there is none.
current_release() {
  [[ ! -L $OPT/current ]] || readlink -f "$OPT/current"
}

# --- Putting a release in force ---

systemd_version() { systemctl --version | sed -nE '1s/^systemd ([0-9]+).*/\1/p'; }

# The system files of a release, one 'FILE TARGET' a line.
system_files() {
  local share=$1 file number version
  version=$(systemd_version)
  for file in "$share"/systemd/*.service; do
    echo "$file $UNITS/${file##*/}"
  done
  for file in "$share"/systemd/drop-ins/*.conf; do
    number=${file##*/}
    number=${number%%-*}
    ((version >= number)) || continue
    echo "$file $UNITS/edged.service.d/${file##*/}"
    echo "$file $UNITS/edged@.service.d/${file##*/}"
  done
  command -v udevadm >/dev/null || return 0
  for file in "$share"/udev/*.rules; do
    echo "$file $RULES/${file##*/}"
  done
}

# activate SHARE RELEASE: system files from SHARE, and the link to RELEASE.
activate() {
  local share=$1 release=$2 before=$changes file target rules_changed=
  remove_outdated "$share"
  while read -r file target; do
    cmp -s "$file" "$target" && continue
    run install -D -m 0644 "$file" "$target"
    [[ $target != "$RULES"/* ]] || rules_changed=yes
  done < <(system_files "$share")
  [[ -z $rules_changed ]] || reload_udev
  if [[ $(readlink "$OPT/current" || true) != "releases/${release##*/}" ]]; then
    run ln -sfn "releases/${release##*/}" "$OPT/.current"
    run mv -T "$OPT/.current" "$OPT/current"
  fi
  for file in bin lib pyvenv.cfg; do
    [[ -L $OPT/$file ]] || run ln -s "current/$file" "$OPT/$file"
  done
  [[ $(readlink "$COMMAND" || true) == "$OPT/bin/edged" ]] || run ln -sfn "$OPT/bin/edged" "$COMMAND"
  ((changes == before)) || ! is_booted || run systemctl daemon-reload
}

# Drop-ins that an earlier version, or an earlier systemd, had and this one has not.
remove_outdated() {
  local share=$1 file wanted
  wanted=$(system_files "$share")
  for file in "$UNITS"/edged.service.d/*.conf "$UNITS"/edged@.service.d/*.conf; do
    [[ ! -e $file || $wanted == *" $file"* ]] || run rm -f "$file"
  done
}

reload_udev() {
  if [[ -S /run/udev/control ]]; then
    run udevadm control --reload
    # Those that are plugged in already; nothing else is disturbed.
    run udevadm trigger --subsystem-match=usb --attr-match=idVendor=1a6e
    run udevadm trigger --subsystem-match=usb --attr-match=idVendor=18d1 --attr-match=idProduct=9302
    run udevadm trigger --subsystem-match=apex
  fi
}

# --- Account, settings ---

make_account() {
  local group folder
  for group in video plugdev; do
    getent group "$group" >/dev/null || run groupadd --system "$group"
  done
  getent group "$ACCOUNT" >/dev/null || run groupadd --system "$ACCOUNT"
  getent passwd "$ACCOUNT" >/dev/null ||
    run useradd --system --gid "$ACCOUNT" --groups video,plugdev --home-dir "$STATE" --no-create-home \
      --shell /usr/sbin/nologin --comment "edged detection daemon" "$ACCOUNT"
  [[ -d $ETC ]] || run install -d -m 0750 -o root -g "$ACCOUNT" "$ETC"
  for folder in "$STATE" ${instance:+"$STATE/$instance"}; do
    if [[ ! -d $folder ]]; then
      run install -d -m 0750 -o "$ACCOUNT" -g "$ACCOUNT" "$folder"
    elif [[ $(stat -c %U "$folder") == root ]]; then
      # An uninstall has left it to root.
      run chown -R "$ACCOUNT:$ACCOUNT" "$folder"
    fi
  done
}

# After an uninstall the settings belong to root alone.
give_settings() {
  local file
  [[ -r $ETC ]] || return 0
  while read -r file; do
    run chgrp "$ACCOUNT" "$file"
  done < <(find "$ETC" -maxdepth 1 -group root -perm -g=r)
}

make_env_file() {
  local release=$1 file node
  file=$(env_file)
  # Who may not look into the folder (--dry-run without root) cannot know; what is there is never overwritten.
  [[ ! -e $file && (! -d $ETC || -x $ETC) ]] || return 0
  changes=$((changes + 1))
  if [[ $dry_run ]]; then
    say "  edged env > $file (mode 0640, root:$ACCOUNT)"
    return
  fi
  # Written aside and renamed, so that a broken attempt never looks like the user's own file.
  install -m 0640 -o root -g "$ACCOUNT" /dev/null "$file.new"
  "$release/bin/edged" env >"$file.new"
  if [[ $instance ]]; then
    # Two daemons must not share a node: each tells the broker by its node that it is there.
    node=$(uname -n)
    sed -i -E "s/^#EDGED_CAMERA=.*/EDGED_CAMERA=$instance/; s/^#EDGED_NODE=.*/EDGED_NODE=${node%%.*}-$instance/" \
      "$file.new"
  fi
  mv "$file.new" "$file"
}

is_filled_in() {
  [[ -r $1 ]] && grep -qE '^ *(export +)?EDGED_SOURCE=.' "$1" && grep -qE '^ *(export +)?EDGED_MODEL=.' "$1"
}

# --- The service ---

# outdated_units RELEASE STATE...: units in these states whose process is not of that release. One that waits for
# its next attempt to start has no process, and takes the new version by itself.
outdated_units() {
  local release=$1 state name pid
  shift
  for state in "$@"; do
    while read -r name; do
      pid=$(systemctl show --property=MainPID --value "$name")
      # The first word is the interpreter of the release.
      [[ ${pid:-0} == 0 ]] || tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | head -n 1 | grep -q "^$release/" ||
        echo "$name"
    done < <(known_units --state="$state")
  done
}

# A unit of which nothing is left but a mention is none.
known_units() {
  ! is_booted || systemctl list-units --all --plain --no-legend "$@" 'edged.service' 'edged@*.service' |
    awk '$2 != "not-found" || $3 != "inactive" { print $1 }'
}

enable_unit() {
  systemctl is-enabled --quiet "$(unit)" 2>/dev/null || run systemctl enable --quiet "$(unit)"
}

# restart_all UNIT...: false if one does not come up again, and that may be due to the version.
restart_all() {
  local name status
  for name in "$@"; do
    status=$(systemctl show --property=StatusText --value "$name")
    # What was in trouble before is not the fault of the version.
    run systemctl restart "$name" || { [[ $status == *';'* ]] && lacks_its_camera "$name"; } || return 1
  done
}

# A service that does not find its camera or device tries again and again.
lacks_its_camera() {
  [[ $(systemctl show --property=ExecMainStatus --value "$1") == 69 ]] || return 1
  note "$1 does not find its camera or device; it goes on trying: journalctl -u $1"
}

memory_note() {
  local controllers=/sys/fs/cgroup/cgroup.controllers
  if is_booted && [[ -r $controllers ]] && ! grep -qw memory "$controllers"; then
    note "the kernel does not limit memory, so MemoryMax= of the unit is not in force;" \
      "on a Raspberry Pi add 'cgroup_enable=memory' to /boot/firmware/cmdline.txt"
  fi
}

next_steps() {
  local file
  file=$(env_file)
  memory_note
  if ! is_filled_in "$file"; then
    say "Now set EDGED_SOURCE and EDGED_MODEL in $file, then:"
    say "  sudo edged check --env-file $file"
    say "  sudo systemctl enable --now $(unit)"
  elif [[ $start ]] && is_booted; then
    say "Watch it: systemctl status $(unit); journalctl -fu $(unit)"
  fi
}

# --- Edge TPU ---

# What the Edge TPU needs, and what edged, as the user of the service, finds of it.
coral_check() {
  local arch
  arch=$(dpkg --print-architecture 2>/dev/null || uname -m)
  say "The Edge TPU needs a libedgetpu that was built on TensorFlow 2.14 or newer, best the newest: the package"
  say "libedgetpu1-std for this Debian and $arch from https://github.com/feranick/libedgetpu/releases"
  say "(Coral's own package was built on TensorFlow 2.5 and ends the process)."
  if [[ ! -x $OPT/bin/edged ]]; then
    say "Once edged is installed, 'edged devices' checks it."
  elif [[ $EUID -eq 0 ]] && getent passwd "$ACCOUNT" >/dev/null; then
    (cd / && runuser -u "$ACCOUNT" -- "$OPT/bin/edged" devices)
  else
    "$OPT/bin/edged" devices
  fi
}

# --- What can be asked for ---

# Files that are not needed any more, whatever happens.
clean_up() {
  [[ -z ${work:-} ]] || rm -rf "$work"
  [[ -z ${unfinished:-} ]] || rm -rf "$unfinished"
}

do_install() {
  local id release previous share=$source_dir/systemd
  local -a outdated starting
  check_system
  check_python
  previous=$(current_release)
  [[ $action == install || $previous ]] || die "edged is not installed, so there is nothing to upgrade" "Run: $0 install"
  [[ $action == install || -z $instance ]] || die "upgrade is for all instances" "Leave --instance away"
  id=$(release_id)
  release=$OPT/releases/$id
  if [[ $release == "$previous" ]]; then
    say "edged is up to date: $release"
  elif [[ $dry_run ]]; then
    say "  make the virtual environment $release from $(requirements)"
    say "  install ${wheel:-$source_dir} into it"
  else
    check_room
    say "Installing into $release ..."
    rm -rf "$release"
    unfinished=$release
    changes=$((changes + 1))
    build_release "$release"
    unfinished=
  fi
  share=$release/share
  if [[ $dry_run && ! -d $share ]]; then
    share=$(mktemp -d)
    work=$share
    install -D -t "$share/systemd" -m 0644 "$source_dir"/systemd/*.service
    install -D -t "$share/systemd/drop-ins" -m 0644 "$source_dir"/systemd/drop-ins/*.conf
    install -D -t "$share/udev" -m 0644 "$here"/udev/*.rules
  fi

  make_account
  give_settings
  activate "$share" "$release"
  if [[ $action == install ]]; then
    make_env_file "$release"
    # What has no settings yet would only fail at every boot.
    ! is_filled_in "$(env_file)" || enable_unit
  fi
  if [[ $start ]] && is_booted; then
    # By what runs, not by what was in force: an upgrade that was cut short is made whole.
    mapfile -t outdated < <(outdated_units "$release" active reloading)
    mapfile -t starting < <(outdated_units "$release" activating)
    restart_all "${outdated[@]}" || go_back "$previous" "$release" "${outdated[@]}"
    [[ ${#starting[@]} -eq 0 ]] || run systemctl restart --no-block "${starting[@]}"
    if [[ $action == install ]] && is_filled_in "$(env_file)" && ! systemctl is-active --quiet "$(unit)"; then
      run systemctl start "$(unit)" || lacks_its_camera "$(unit)" ||
        die "edged is installed, but $(unit) does not start" \
          "See why: systemctl status $(unit); journalctl -u $(unit)"
    fi
  fi
  # What still runs another version may load more of it.
  [[ $(outdated_units "$release" active reloading activating deactivating) ]] || remove_other_releases "$release"
  ((changes)) || say "Nothing had to be changed."
  [[ -z $coral ]] || coral_check
  [[ $action == upgrade ]] || next_steps
}

# go_back RELEASE FROM UNIT...: the upgrade does not run here, what was there before did.
go_back() {
  local previous=$1 release=$2
  shift 2
  if [[ $previous && $previous != "$release" ]]; then
    activate "$previous/share" "$previous"
    restart_all "$@" || true
    remove_other_releases "$previous"
    die "the new version does not start; the old one, $previous, is in force again" \
      "See why: journalctl -u 'edged*'"
  fi
  die "the service does not start" "See why: journalctl -u 'edged*'"
}

remove_other_releases() {
  local release
  for release in "$OPT"/releases/*; do
    [[ ! -d $release || $release == "$1" ]] || run rm -rf "$release"
  done
}

# What a broker remembers of this machine would stay there for good.
forget_retained() {
  local file
  for file in "$ETC"/*.env; do
    grep -qs '^EDGED_MQTT_URL=.' "$file" || continue
    run runuser -u "$ACCOUNT" -- "$OPT/bin/edged" forget --env-file "$file" ||
      note "what $file has retained at its broker stays there: 'edged forget' takes it back, from any machine"
  done
}

do_uninstall() {
  local units name
  check_system
  if [[ $instance ]]; then
    run systemctl disable --quiet --now "$(unit)"
    say "$(unit) is gone; its settings stay in $(env_file)."
    return
  fi
  mapfile -t units < <(known_units)
  for name in /etc/systemd/system/multi-user.target.wants/edged{,@*}.service; do
    [[ ! -L $name ]] || units+=("${name##*/}")
  done
  for name in $(printf '%s\n' "${units[@]}" | sort -u); do
    if is_booted; then
      run systemctl disable --quiet --now "$name" || run systemctl stop "$name"
      # A unit that has failed is remembered.
      run systemctl reset-failed "$name" 2>/dev/null || true
    else
      run systemctl disable --quiet "$name"
    fi
  done
  [[ ! $purge ]] || forget_retained
  run rm -f "$UNITS"/edged{,@}.service "$RULES"/60-edged-*.rules
  run rm -rf "$UNITS"/edged{,@}.service.d "$OPT"
  for name in "$UNITS" "${UNITS%/*}"; do
    [[ ! -d $name ]] || run rmdir --ignore-fail-on-non-empty "$name"
  done
  [[ $(readlink "$COMMAND" || true) != "$OPT/bin/edged" ]] || run rm -f "$COMMAND"
  ! is_booted || run systemctl daemon-reload
  reload_udev
  if [[ $purge ]]; then
    run rm -rf "$ETC" "$STATE"
    run rm -f /etc/credstore{,.encrypted}/edged.*mqtt_password
    # What 'systemctl edit' has written.
    run rm -rf /etc/systemd/system/edged{,@,@*}.service.d
    ! is_booted || run systemctl daemon-reload
  else
    # The number of the account may be given to another one some day: what stays must not be theirs then.
    [[ ! -d $ETC ]] || run chown -R root:root "$ETC"
    [[ ! -d $STATE ]] || run chown -R root:root "$STATE"
  fi
  ! getent passwd "$ACCOUNT" >/dev/null || run userdel "$ACCOUNT"
  ! getent group "$ACCOUNT" >/dev/null || run groupdel "$ACCOUNT"
  [[ $purge ]] || say "edged is gone. Settings stay in $ETC, data in $STATE."
}

main() {
  parse_options "$@"
  trap clean_up EXIT
  trap 'printf "install.sh: line %s: %s failed\n" "$LINENO" "$BASH_COMMAND" >&2' ERR
  umask 022
  [[ -z $dry_run ]] || say "This would be done:"
  case $action in
    install | upgrade) do_install ;;
    uninstall) do_uninstall ;;
  esac
}

main "$@"
