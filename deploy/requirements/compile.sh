#!/usr/bin/env bash
# Makes the pinned requirements beside this script anew from pyproject.toml: every version fixed, every file
# named by its hash. install.sh takes nothing else. To move to newer versions, and then look at the diff:
#
#   deploy/requirements/compile.sh --upgrade
#
# Any option of 'uv pip compile' may be given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# One file serves both, for it holds the hashes of all files of a version. 2.36 is the glibc of Debian 12.
platforms=(x86_64-manylinux_2_36 aarch64-manylinux_2_36)
options=("$@")

command -v uv >/dev/null || {
  echo "compile.sh: uv is missing; pip install uv" >&2
  exit 69
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compile OUTPUT PYTHON INPUT [OPTION...]
compile() {
  local output=$1 python=$2 input=$3 platform made
  shift 3
  made=$work/${platforms[0]}
  for platform in "${platforms[@]}"; do
    # uv keeps the versions that it finds in the output, unless it is told to upgrade.
    rm -f "$work/$platform"
    [[ ! -e $output ]] || cp "$output" "$work/$platform"
    uv pip compile --quiet --generate-hashes --no-header --no-annotate --only-binary :all: \
      --python-version "$python" --python-platform "$platform" --output-file "$work/$platform" \
      --constraint constraints.in "${options[@]}" "$@" "$input"
    if ! cmp -s "$made" "$work/$platform"; then
      echo "compile.sh: $output would differ between ${platforms[*]}:" >&2
      diff "$made" "$work/$platform" >&2 || true
      exit 1
    fi
  done
  cp "$made" "$output"
  echo "$output: $(grep -c == "$output") packages"
}

compile ai-edge-litert-py311.txt 3.11 ../../pyproject.toml --extra http
compile ai-edge-litert-py313.txt 3.13 ../../pyproject.toml --extra http
# Instead of its successor, not beside it.
echo "ai-edge-litert; python_version < '0'" >"$work/overrides"
compile tflite-runtime-py311.txt 3.11 ../../pyproject.toml --extra http --extra tflite-runtime --override "$work/overrides"
# What makes a wheel from a checkout.
compile build.txt 3.11 build.in
