#!/usr/bin/env bash
# Debian 12: puts the emulator of bookworm-backports into /usr/local/bin as qemu-riscv64-zvbb. Neither Debian's own
# qemu-user nor the wheel's executes Zvbb, but the meter needs their plugins, so it is put beside them, without a package.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
archive() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -1
}
if [ -z "$(archive)" ]; then apt-get update -qq; fi
uri=$(archive)
if [ -z "$uri" ]; then
    echo "qemu_zvbb.sh: this is not Debian 12: put a qemu-riscv64 of version 9 or later on PATH" >&2
    exit 1
fi
mkdir -p "$folder/lists/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri bookworm-backports main" >"$folder/list"
backports=(-qq -o "Dir::Etc::sourcelist=$folder/list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$folder/lists"
    -o APT::Sandbox::User=root)
apt-get "${backports[@]}" update
(cd "$folder" && apt-get "${backports[@]}" download qemu-user && dpkg -x qemu-user_*.deb unpacked)
install "$folder/unpacked/usr/bin/qemu-riscv64" /usr/local/bin/qemu-riscv64-zvbb
