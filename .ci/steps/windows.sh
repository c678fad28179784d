# Mingw's cross compiler, where it can be had; what it compiles is run where Wine is.
if ! command -v x86_64-w64-mingw32-gcc-posix > /dev/null; then
    apt-get install --quiet --quiet --yes gcc-mingw-w64-x86-64 > "$WORK/apt" 2>&1 || {
        echo "SKIPPED: gcc-mingw-w64-x86-64 is not here and cannot be installed"
        exit 0
    }
fi
WINEPREFIX=$WORK/wine WINEDEBUG=-all make --directory tests/csrc windows
