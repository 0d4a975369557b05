# shellcheck shell=bash
# shellcheck disable=SC2034  # constants are read by the scripts that source this file
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The tools ./dev works with: a Python, its virtual environment, and the built
# collection installed as a user would have it. To be sourced after lib.sh.

# ansible-core 2.19 runs on 3.11 to 3.13; some Pythons lack what a virtual environment needs.
python_is_usable() {
    "$1" -c '
import ensurepip, ssl, sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${FLEETPOST_PYTHON:-} /usr/bin/python3 python3.11 python3.12 python3.13 python3; do
        if command -v "$candidate" >/dev/null && python_is_usable "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

ensure_python() {
    PYTHON=$(find_python) && return 0
    command -v apt-get >/dev/null || die "Python 3.11, 3.12 or 3.13 with venv is needed"
    need_root
    say "Installing: python3 python3-venv"
    apt_get update
    apt_get install --no-install-recommends python3 python3-venv
    PYTHON=$(find_python) || die "Python 3.11, 3.12 or 3.13 with venv is needed; set FLEETPOST_PYTHON"
}

# A package of the machine that a check needs, by the command it brings.
ensure_command() {
    local command=$1 package=$2
    command -v "$command" >/dev/null && return 0
    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        die "$command is needed: install $package"
    fi
    say "Installing: $package"
    apt_get update
    apt_get install --no-install-recommends "$package"
}

hash_of() { sha256sum | cut -c1-12; }

# Fills a directory once: the command runs with a scratch path, which then becomes the directory.
fill_once() {
    local directory=$1
    shift
    [[ -d $directory ]] && return 0
    rm -rf -- "$directory.partial"
    "$@" "$directory.partial"
    mv -- "$directory.partial" "$directory"
}

create_environment() {
    local directory=$1 log=$LAB_CACHE/pip.log
    say "Creating the virtual environment ($("$PYTHON" --version)); this takes half a minute"
    "$PYTHON" -m venv "$directory"
    if ! "$directory/bin/python" -m pip install --quiet --requirement requirements-dev.txt >"$log" 2>&1; then
        cat "$log" >&2
        die "the Python packages of requirements-dev.txt could not be installed"
    fi
    adopt_scripts "$directory" "$VENV"
}

core_environment() { printf '%s\n' "$LAB_CACHE/core-$1-$(hash_of <requirements-dev.txt)"; }

# An environment with another ansible-core, for the unit tests.
create_core_environment() {
    local core=$1 directory=$2 packages=()
    say "Creating the virtual environment of ansible-core $core"
    mapfile -t packages < <(grep -E '^(cryptography|dnspython|hypothesis|pytest|PyYAML)==' requirements-dev.txt)
    "$PYTHON" -m venv "$directory"
    "$directory/bin/python" -m pip install --quiet "ansible-core==$core.*" "${packages[@]}" >"$LAB_CACHE/pip.log" 2>&1 ||
        { cat "$LAB_CACHE/pip.log" >&2 && die "ansible-core $core could not be installed"; }
    adopt_scripts "$directory" "$(core_environment "$core")"
}

# Console scripts name the directory they were made in, which is about to be renamed.
adopt_scripts() { grep -rlIF -- "$1" "$1/bin" | xargs -r sed -i "s|$1|$2|g"; }

OLDEST_PYTHON=3.9
OLDEST_REQUIREMENTS=tests/lab/requirements-python39.txt

find_oldest_python() {
    local candidate
    for candidate in "python$OLDEST_PYTHON" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$OLDEST_PYTHON".*/bin/python3; do
        if "$candidate" -c '' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Our own pip fetches for it: an interpreter built without TLS cannot.
install_for_oldest_python() {
    python -m pip install --quiet --no-deps --only-binary=:all: --python-version "$OLDEST_PYTHON" \
        --target "$1" --requirement "$OLDEST_REQUIREMENTS" 2>"$LAB_CACHE/pip.log" || { cat "$LAB_CACHE/pip.log" >&2 && return 1; }
}

# Sets VENV and WORK and the environment that every step runs in.
setup() {
    ensure_python
    mkdir -p -- "$LAB_CACHE"
    exec 8>"$LAB_CACHE/setup.lock"
    flock 8
    VENV=$LAB_CACHE/venv-$({ cat requirements-dev.txt && "$PYTHON" --version; } | hash_of)
    fill_once "$VENV" create_environment
    exec 8>&-
    WORK=$LAB_CACHE/work-$(printf '%s\n' "$ROOT" | hash_of)
    mkdir -p -- "$WORK"
    export PATH=$VENV/bin:$PATH VIRTUAL_ENV=$VENV LAB_SSH_DIR
    export NO_COLOR=1 ANSIBLE_NOCOLOR=1 PY_COLORS=0
    unset PYTHONHOME PYTHONPATH
}

# Files of the checkout, without what git ignores, NUL separated.
checkout_files() {
    local file
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        if [[ -e $file ]]; then
            printf '%s\0' "$file"
        fi
    done
}

# Builds the collection's archive from the checkout, uncommitted changes included, and installs it
# below $WORK/NAME/ansible_collections. Each step that needs it has a copy of its own: steps run side by side.
install_collection() {
    local name=$1 build=$WORK/$1-build
    rm -rf -- "$build" "${WORK:?}/$name"
    mkdir -p -- "$build/source" "$build/archive"
    if command -v git >/dev/null && git rev-parse --git-dir >/dev/null 2>&1; then
        checkout_files | tar --create --null --files-from=- | tar --extract --directory "$build/source"
    else
        tar --create --exclude=./.cache . | tar --extract --directory "$build/source"
    fi
    ansible-galaxy collection build --output-path "$build/archive" "$build/source" >/dev/null
    ANSIBLE_COLLECTIONS_PATH=$WORK/$name ansible-galaxy collection install --offline --no-deps --force --collections-path "$WORK/$name" \
        "$build/archive"/fleetpost-mail-*.tar.gz >/dev/null
    rm -rf -- "$build"
}

installed() { printf '%s\n' "$WORK/$1/ansible_collections/fleetpost/mail"; }
