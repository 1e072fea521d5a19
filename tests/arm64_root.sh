#!/bin/sh
# Make a folder in which programs for 64-bit Arm run on a Debian x86-64 machine, without root rights being used for
# anything but the packages: FOLDER/root (Debian, Python, numpy, onnxruntime) and FOLDER/qemu-aarch64, an emulator.
# About 300 MB and two minutes. Then: LIGHTBOARD_ARM64=FOLDER pytest -m slow tests/test_kit_bare.py
#
#   sh tests/arm64_root.sh FOLDER [PYTHON]     PYTHON: one whose pip is 24 or newer (default: python3)
#
# The emulator comes from the backports: version 7.2 of Debian 12 crashes when onnxruntime is imported. Only its file
# is taken, nothing of it is installed.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 FOLDER [PYTHON]" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
python=${2:-python3}
suite=bookworm
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" | head -n 1)
[ -n "$mirror" ] || { echo "no mirror of Debian's $suite is configured here; add one to apt's sources" >&2; exit 1; }
command -v mmdebstrap >/dev/null || apt-get install -y --no-install-recommends mmdebstrap

if [ ! -x root/usr/bin/python3.11 ]; then
    # Extracted, not configured: nothing that belongs to the other processor is run.
    mmdebstrap --variant=extract --architectures=arm64 --include=python3.11-minimal,python3.11,libpython3.11-stdlib,libstdc++6,libgomp1,zlib1g,libexpat1 \
        "$suite" root "$mirror"
fi

if [ ! -d root/opt/site/onnxruntime ]; then
    "$python" -m pip download --quiet --only-binary=:all: --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux2014_aarch64 --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
        -d wheels onnxruntime numpy
    mkdir -p root/opt/site
    for wheel in wheels/*.whl; do "$python" -m zipfile -e "$wheel" root/opt/site; done
fi

if [ ! -x qemu-aarch64 ]; then
    mkdir -p apt/lists/partial apt/cache/archives/partial
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite-backports main" >apt/list
    set -- -o Dir::Etc::sourcelist="$PWD/apt/list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$PWD/apt/lists" -o Dir::Cache="$PWD/apt/cache"
    apt-get "$@" update -qq
    apt-get "$@" download -t "$suite-backports" qemu-user
    dpkg-deb -x qemu-user_*.deb apt/unpacked
    cp apt/unpacked/usr/bin/qemu-aarch64 qemu-aarch64
    rm -rf apt qemu-user_*.deb
fi
echo "ready: LIGHTBOARD_ARM64=$PWD"
