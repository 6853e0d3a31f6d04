#!/usr/bin/env bash
# Compiles the door against the libtorch found: LIBTORCH=/path (a folder with include/ and lib/), else the system's.
# usage: build-door.sh OUTPUT SOURCE...
set -euo pipefail
output=$1
shift
compiler=${CXX:-g++}

fail() { printf 'error SDAC: %s\n' "$*" >&2; exit 1; }

command -v "$compiler" >/dev/null || fail "no C++ compiler '$compiler': install g++ or set CXX"

includes=() links=() defines=()
if [ -n "${LIBTORCH:-}" ]; then
    [ -f "$LIBTORCH/lib/libtorch_cpu.so" ] || fail "LIBTORCH=$LIBTORCH holds no lib/libtorch_cpu.so"
    includes=(-isystem "$LIBTORCH/include" -isystem "$LIBTORCH/include/torch/csrc/api/include")
    links=("-L$LIBTORCH/lib" "-Wl,-rpath,$LIBTORCH/lib")
    # Builds from before C++11's std::string are still distributed.
    nm -D "$LIBTORCH/lib/libc10.so" | grep 'ErrorC.*__cxx11' >/dev/null || defines=(-D_GLIBCXX_USE_CXX11_ABI=0)
    libraries=$LIBTORCH/lib
else
    includes=(-isystem /usr/include/torch/csrc/api/include)
    echo '#include <torch/version.h>' | "$compiler" -E -x c++ "${includes[@]}" - >/dev/null 2>&1 ||
        fail "libtorch's headers are missing: run ./build.sh setup (apt-get install libtorch-dev) or set LIBTORCH"
    libraries=/nonexistent
fi
links+=(-ltorch_cpu -lc10)
if [ -f "$libraries/libtorch_cuda.so" ]; then # kernels register themselves when loaded: keep the libraries linked
    links+=(-Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed)
fi

mkdir -p "$(dirname "$output")"
"$compiler" -std=c++17 -O2 -fPIC -shared -fvisibility=hidden -Wall -Wextra -Werror "${defines[@]}" "${includes[@]}" \
    "$@" -o "$output.new" "${links[@]}"
mv "$output.new" "$output" # never a half-written library, nor a change under a running process
