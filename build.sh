#!/usr/bin/env bash
# The one entrance: every command first does what it needs. `./build.sh` alone lists the commands.
set -euo pipefail
caller=$PWD # where programs run: paths in their arguments are the caller's
cd "$(dirname "${BASH_SOURCE[0]}")"
repository=$PWD
typed=$0 # sentences name commands as they are typed
[[ $typed == */* ]] || typed=./$typed

configuration=Release
benchmarks=tests/Sdac.Benchmarks/bin/$configuration/Sdac.Benchmarks.dll
properties=() # of the build, beyond the projects' own
packages=(libmujoco-dev libchipmunk-dev fonts-dejavu-core)
test_packages=(munge slurmctld slurmd slurm-client python3-protobuf python3-crcmod python3-numpy chromium)
player=artifacts/watch/player # where the pages of watch are bundled

usage() {
    printf 'usage: %s COMMAND [ARGUMENT...]        (COMMAND --help lists the arguments)\n' "$typed"
    cat <<'TEXT'

  train          train a policy: alone, SDAC on InvertedPendulum-v4 in a few minutes
  evaluate       play a checkpoint of a run again
  watch          write a page that plays episodes of a run's policy in 3-D
  sweep          run algorithms x tasks x seeds x settings, here or on a Slurm cluster
  report         write one page about many runs
  fork           continue a run from a checkpoint, unchanged and with changes, and compare
  verify         run parts of a stored run again and compare them byte for byte
  export         write a run's policy as a model of ONNX
  envs           list the tasks: sizes, limits, options, steps per second
  trace          replay given actions in a task, one JSON line per step
  toy            sample densities we know by RSSM and its peers, and compare
  one-state      learn policies for one state whose Q is known by every method, and compare
  check          check the sampler's properties on a density of your own: check my-density.fsx  (see scripts/own-density.fsx)

  test [WORD...] run all tests, or those with every WORD in their names ("kernels", "killed"; case does not matter)
                 test quick [WORD...]: without those in tests/slow.txt, in less than a minute
  mutants        plant faults in a copy and run the tests that are to notice them
  bench          measure kernels, updates and environments, each beside a peer
  pack           make NuGet packages in artifacts/packages  (--version VERSION, --out FOLDER)
  cuda-check     build with CUDA, then compare GPU and CPU: the same update, a run that learns, times (under five minutes)

  setup          install what is missing (Debian packages, .NET tools and packages)
  setup-watch    fetch three.js from npm and bundle the player of watch: once; every other command works without
  setup-tests    setup, setup-watch, and Debian's Slurm, Chromium, protobuf and numpy for Python: tests that need them are skipped without
  build          setup, then compile what has changed; every command above does so first

What is built stays in this repository; programs run in the folder that you are in: relative paths, and runs/, are its.
TEXT
}

# In bold on a terminal; a file gets the words alone.
say() {
    if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi >&2
}
fail() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || printf '%s ' "$package"
    done
}

install_packages() {
    local wanted
    read -ra wanted <<<"$(missing_packages)"
    [ ${#wanted[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || fail "apt-get not found: install the equivalents of ${wanted[*]} by hand"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; } ||
            fail "packages are missing and neither root nor sudo is at hand; run: apt-get install ${wanted[*]}"
        as_root=(sudo)
    fi
    say "installing ${wanted[*]}"
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

# Paket reads the feed from NUGET_SOURCE, so that no feed's address stands in the repository.
choose_feed() {
    [ -n "${NUGET_SOURCE:-}" ] || NUGET_SOURCE=$(dotnet nuget list source --format short | awk '$1 == "E" { print $2; exit }')
    [ -n "$NUGET_SOURCE" ] || fail "no NuGet source is enabled: add one (dotnet nuget add source) or set NUGET_SOURCE"
    export NUGET_SOURCE
}

# libtorch's files, half a gigabyte, are hard links into the package cache: on another disk every project gets a copy. Said once.
check_package_cache() {
    local cache=${NUGET_PACKAGES:-$HOME/.nuget/packages} said=artifacts/cache-on-another-disk
    [ -d "$cache" ] && [ "$(stat -c %d "$cache")" != "$(stat -c %d .)" ] && [ ! -e $said ] && [ -w . ] || return 0
    mkdir -p artifacts && touch $said
    say "the package cache $cache is on another disk than this folder: libtorch is copied instead of linked, 0.5 GB for each of ten projects; NUGET_PACKAGES=FOLDER on this disk saves that"
}

check_writable() {
    [ -w . ] || fail "something is to be built in $repository, which is read-only: run $typed build there as someone who may write"
}

setup() {
    command -v dotnet >/dev/null || fail "the .NET 10 SDK is missing (no dotnet on PATH)"
    command -v gcc >/dev/null || fail "a C compiler is missing (no gcc on PATH)"
    install_packages
    choose_feed
    if [ ! -f .paket/Paket.Restore.targets ] || [ paket.lock -nt .paket/Paket.Restore.targets ]; then
        check_writable
        say "restoring .NET packages"
        dotnet tool restore >/dev/null
        dotnet paket restore >/dev/null
        touch .paket/Paket.Restore.targets
    fi
    check_package_cache
}

# A Slurm for the tests to start by themselves, a reader of TensorBoard's files that is none of ours, a browser.
setup_tests() {
    packages+=("${test_packages[@]}")
    setup
    setup_watch
}

# Our own sources of the player, bundled anew where one of them has changed since; esbuild takes a fraction of a second.
bundle_player() {
    local sources=src/Sdac.Experiments/Watching/player
    [ -e artifacts/watch/flat.html ] && [ -z "$(find $sources -newer artifacts/watch/flat.html -type f -print -quit)" ] && return
    check_writable
    cp $sources/* $player/
    node $player/bundle.mjs artifacts/watch
}

# three.js and esbuild as package-lock.json pins them, then the player. Their install scripts are not run: nothing needs them.
setup_watch() {
    local sources=src/Sdac.Experiments/Watching/player
    command -v npm >/dev/null || { packages=(npm); install_packages; }
    if ! cmp -s $sources/package-lock.json $player/package-lock.json || [ ! -d $player/node_modules ]; then
        check_writable
        say "fetching three.js and esbuild from npm"
        mkdir -p $player
        cp $sources/package*.json $player/
        rm -f artifacts/watch/*.html
        (cd $player && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) ||
            { rm -f $player/package-lock.json; fail "npm could not fetch three and esbuild: see its words above"; }
    fi
    bundle_player
}

# The player is asked for by the program itself, which says how to get it; here it only follows its sources.
watch() {
    build
    [ ! -d $player/node_modules ] || bundle_player
    run_script watch "$@"
}

# For the benchmarks: the sgemm that kernels are timed beside.
setup_bench() {
    packages+=(libopenblas0-openmp)
    install_packages
}

# For `bench --peer`: Debian's PyTorch, beside it the BLAS that Debian would give it, where it disturbs nobody, and a layer
# by oneDNN.
setup_peer() {
    local unpacked=artifacts/openblas-pthread
    packages+=(python3-torch python3-numpy libdnnl-dev)
    install_packages
    if [ ! -d $unpacked ]; then
        rm -rf $unpacked.new
        mkdir -p $unpacked.new
        (cd $unpacked.new && apt-get download -qq libopenblas0-pthread && dpkg -x ./*.deb .)
        mv $unpacked.new $unpacked
    fi
    mkdir -p artifacts/onednn
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -fopenmp -shared -fPIC tests/Sdac.Benchmarks/native/onednn_layer.c \
        -o artifacts/onednn/libonednn_layer.so -ldnnl
}

# A line for each project and each complaint, on standard error: standard output is the command's own.
build_projects() {
    dotnet build Sdac.Functional.sln -c $configuration -nologo -v minimal -tl:off -clp:NoSummary "${properties[@]}" 2>&1 |
        sed -u -n -e 's/^ *\([A-Za-z.]*\) -> .*/  built \1/p' -e '/: \(error\|warning\) /p' >&2
}

# Compiles unless nothing has changed since the last time (a no-op `dotnet build` takes seconds).
build() {
    setup
    local stamp=artifacts/built choice="SDAC_MUJOCO_INCLUDE=${SDAC_MUJOCO_INCLUDE:-} ${properties[*]}"
    if [ "$(cat $stamp 2>/dev/null)" = "$choice" ] && [ -z "$(find src tests Directory.Build.* paket.lock Sdac.Functional.sln -newer $stamp -type f \
        -not -path '*/bin/*' -not -path '*/obj/*' -print -quit)" ]; then
        return
    fi
    check_writable
    mkdir -p artifacts
    printf '%s\n' "$choice" >$stamp.new # its time is that of the build's beginning
    [ -e $stamp ] || say "building: minutes the first time, a line for each project"
    build_projects || return
    mv $stamp.new $stamp
}

# One program after the other: each may use all cores, and each leaves its own result file.
# run_test_program FOLDER RESULTS ARGUMENT...: its output in RESULTS/NAME.log too, its exit code in RESULTS/NAME.code.
run_test_program() {
    local name code=0
    name=$(basename "$1")
    dotnet "$1/bin/$configuration/$name.dll" --junit-summary "$2/$name.xml" "${@:3}" | tee "$2/$name.log" || code=$?
    if [ $code -ne 0 ] && [ $code -ne 64 ] && ! grep -q '^[0-9]* passed, ' "$2/$name.log"; then
        echo "failed: $name ended with code $code before its last test" | tee -a "$2/$name.log"
    fi
    echo $code >"$2/$name.code"
}

run_tests() {
    local word without=()
    # what a minute cannot hold
    [ "${1:-}" != quick ] || { shift && without=(--without "$PWD/tests/slow.txt"); }
    for word in "$@"; do
        [[ $word != -* ]] || fail "unknown option '$word': test takes words, and runs the tests with all of them in their names"
    done
    build
    local results=artifacts/test-results guard=() project name status=0 some=
    [ -z "${CI:-}" ] || guard=(--fail-on-focused-tests)
    rm -rf $results
    mkdir -p $results
    # a program a processor, the longest ones first: their tests often wait for a child, a file or each other
    for project in tests/*.Tests; do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
        run_test_program "$project" $results "${guard[@]}" "${without[@]}" "$@" &
    done
    wait
    for project in tests/*.Tests; do
        name=$(basename "$project")
        case $(cat "$results/$name.code") in
            0) some=yes ;;
            64) rm "$results/$name.log" ;; # none of its tests has the words
            *) some=yes status=1 ;;
        esac
    done
    [ -n "$some" ] || fail "no test has all of these words in its name: $*"
    [ $status -eq 0 ] || { say "these tests failed:" && grep -h '^failed: ' $results/*.log >&2; }
    return $status
}

# The faults are planted with the compilers' own parsers, which come with the SDK.
run_mutants() {
    setup
    local sdk parser references=()
    sdk=$(dirname "$(readlink -f "$(command -v dotnet)")")/sdk/$(dotnet --version)
    for parser in FSharp/FSharp.Compiler.Service Roslyn/bincore/Microsoft.CodeAnalysis Roslyn/bincore/Microsoft.CodeAnalysis.CSharp; do
        references+=("-r:$sdk/$parser.dll")
    done
    exec dotnet fsi --quiet "${references[@]}" --exec tests/mutants/run.fsx -- "$@"
}

# Programs run where the caller is. Options may stand behind a "--", as `dotnet fsi` wants them.
in_callers_folder() {
    export SDAC_ENTRANCE=$typed
    cd "$caller" || fail "the folder that you are in cannot be entered"
    exec "$@"
}

# A command is its script of that name. The unchanged scripts are also compiled, which starts in a third of the time; one that was
# edited is what runs.
run_script() {
    local command=$1 library=$repository/src/Sdac.Experiments/bin/$configuration/Sdac.Experiments.dll
    shift
    [ "${1:-}" != -- ] || shift
    if grep -E " (sdac|$command)\.fsx\$" src/Sdac.Experiments/CommandLine/scripts.sha256 | (cd scripts && sha256sum --check --status); then
        in_callers_folder dotnet "$library" "$command" "$@"
    else
        say "scripts/$command.fsx is not as it was built: it runs as it stands"
        in_callers_folder dotnet fsi --exec "$repository/scripts/$command.fsx" -- "$@"
    fi
}

# The script is the caller's own: a density, and at its end DensityCheck.run.
run_check() {
    [ $# -gt 0 ] || fail "check takes a script with a density, such as scripts/own-density.fsx"
    (cd "$caller" && [ -f "$1" ]) || fail "there is no script $1: scripts/own-density.fsx is one to begin with"
    build
    in_callers_folder dotnet fsi --exec "$@"
}

# CUDA comes from a package of its own, which is fetched only where there is a GPU to use it.
cuda_check() {
    if ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
        properties=(-p:Cuda=true)
        build || fail "the build with CUDA failed: it needs the package TorchSharp-cuda-linux 0.107.0 from your NuGet source"
    else
        build
    fi
    in_callers_folder dotnet "$repository/$benchmarks" cuda-check "$@"
}

# The command that a wrong word may mean: the nearest by edit distance, nothing where none is near.
nearest() {
    usage | awk -v word="$1" '
        function least(a, b, c) { return a < b ? (a < c ? a : c) : (b < c ? b : c) }
        function distance(x, y,   i, j, d) {
            for (i = 0; i <= length(x); i++) d[i, 0] = i
            for (j = 0; j <= length(y); j++) d[0, j] = j
            for (i = 1; i <= length(x); i++)
                for (j = 1; j <= length(y); j++)
                    d[i, j] = least(d[i-1, j] + 1, d[i, j-1] + 1, d[i-1, j-1] + (substr(x, i, 1) != substr(y, j, 1)))
            return d[length(x), length(y)]
        }
        /^  [a-z]/ { d0 = index($1, word) == 1 ? 0 : distance(word, $1); if (best == "" || d0 < smallest) { best = $1; smallest = d0 } }
        END { if (smallest <= (length(word) <= 3 ? 1 : length(word) <= 8 ? 2 : 3)) print best }'
}

refuse_command() {
    local meant
    meant=$(nearest "$1")
    fail "unknown command '$1': ${meant:+did you mean '$meant'? }$typed alone lists all commands"
}

# check_options COMMAND 'OPTION WITH A VALUE...' 'OPTION WITHOUT...' ARGUMENT...: what F# Interactive would take seconds to say.
check_options() {
    local command=$1 valued=$2 bare=$3
    shift 3
    [ "${1:-}" != -- ] || shift
    while [ $# -gt 0 ]; do
        if [[ " $valued " == *" $1 "* ]]; then
            [ $# -gt 1 ] || fail "$1 lacks its value: $typed $command --help says which"
            shift
        elif [[ $1 == -* && " $bare " != *" $1 "* ]]; then
            fail "there is no option $1 of $command: it has ${valued// /, }${bare:+, $bare}"
        fi
        shift
    done
}

# Commands that take nothing but their names.
refuse_arguments() {
    [ $# -eq 1 ] || fail "$1 takes no arguments: leave out '$2'"
}

# The lines of the usage text about one command that has no program to ask.
help_of() {
    usage | awk -v command="$1" '/^  [a-z]/ { shown = $1 == command } /^$/ { shown = 0 } shown { print }'
}

command=${1:-}
[ $# -gt 0 ] && shift
[ "${1:-}" != -h ] || set -- --help "${@:2}"
case $command,${1:-} in
    check,--help | test,--help | pack,--help | cuda-check,--help | build,--help) help_of "$command"; exit ;;
    setup,--help | setup-watch,--help | setup-tests,--help) help_of "$command"; exit ;;
    mutants,--help) cat tests/mutants/usage.txt; exit ;;
    setup,* | setup-watch,* | setup-tests,* | build,*) refuse_arguments "$command" "$@" ;;
    mutants,*) check_options mutants "--seed --share --jobs" "--list" "$@" ;;
    pack,*) check_options pack "--version --out" "" "$@" ;;
esac
case $command in
    "" | help | -h | --help) usage ;;
    setup) setup ;;
    build) build ;;
    test) run_tests "$@" ;;
    setup-tests) setup_tests ;;
    mutants) run_mutants "$@" ;;
    setup-watch) setup_watch ;;
    watch) watch "$@" ;;
    train | evaluate | sweep | report | fork | verify | export | envs | trace | toy | one-state) build; run_script "$command" "$@" ;;
    check) run_check "$@" ;;
    pack) build; in_callers_folder dotnet fsi --exec "$repository/src/packages/pack.fsx" "$@" ;;
    cuda-check) cuda_check "$@" ;;
    bench) build; [[ " $* " == *" --help "* ]] || setup_bench; [[ " $* " != *peer* ]] || setup_peer; in_callers_folder dotnet "$repository/$benchmarks" "$@" ;;
    *) refuse_command "$command" ;;
esac
