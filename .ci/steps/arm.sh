# A cross compiler and an emulator, where they can be had.
if ! { command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64; } > /dev/null; then
    apt-get install --quiet --quiet --yes gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user > "$WORK/apt" 2>&1 || {
        echo "SKIPPED: gcc-aarch64-linux-gnu and qemu-user are not here and cannot be installed"
        exit 0
    }
fi
make --directory tests/csrc neon
