# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the commands of ./dev do. To be sourced after tools.sh.

PYTHON_PATHS=(plugins tests extensions)

# --- running several steps and counting

# Runs one command of ./dev, says how it ended and how long it took, and remembers that for the totals.
run_step() {
    local name=$1 started=$SECONDS status=0 word=passed
    say "=== $name"
    "$ROOT/dev" "$name" || status=$?
    [[ $status -eq 0 ]] || word=FAILED
    say "=== $name: $word in $((SECONDS - started)) s"
    printf '%s %s %s\n' "${word,,}" "$name" "$((SECONDS - started))" >>"$WORK/results"
    return "$status"
}

print_totals() {
    local started=$1 passed failed
    passed=$(grep -c '^passed' "$WORK/results") || passed=0
    failed=$(grep -c '^failed' "$WORK/results") || failed=0
    say ""
    awk '{ printf "  %-12s %-7s %4d s\n", $2, $1, $3 }' "$WORK/results" >&2
    say "===== $passed passed, $failed failed in $((SECONDS - started)) s ====="
}

# --- code

step_format() { ruff format "${PYTHON_PATHS[@]}" && ruff check --fix "${PYTHON_PATHS[@]}"; }

bash_scripts() {
    printf '%s\n' dev .ci/run
    grep -rlE --exclude-dir=peer '^#!/usr/bin/env bash|^# shellcheck shell=bash' tests/lab
}

# mypy and ansible-lint know a collection only by its place in such a tree.
collection_tree() {
    local tree=$WORK/tree
    mkdir -p -- "$tree/ansible_collections/fleetpost"
    ln -sfn -- "$ROOT" "$tree/ansible_collections/fleetpost/mail"
    printf '%s\n' "$tree"
}

run_mypy() {
    local packages=(-p ansible_collections.fleetpost.mail.plugins) tree
    tree=$(collection_tree)
    MYPYPATH=$tree mypy "${packages[@]}"
}

run_ansible_lint() {
    local tree
    tree=$(collection_tree)
    ANSIBLE_COLLECTIONS_PATH=$tree ansible-lint --offline --nocolor -q
}

step_lint() {
    local failed=0 scripts=()
    ensure_command shellcheck shellcheck
    mapfile -t scripts < <(bash_scripts)
    attempt "ruff format" ruff format --quiet --diff "${PYTHON_PATHS[@]}" || failed=1
    attempt "ruff check" ruff check --quiet --output-format=concise "${PYTHON_PATHS[@]}" || failed=1
    attempt "mypy" run_mypy || failed=1
    attempt "shellcheck" shellcheck --external-sources --source-path=SCRIPTDIR --exclude=SC2016 "${scripts[@]}" || failed=1
    attempt "yamllint" yamllint --strict . || failed=1
    attempt "ansible-lint" run_ansible_lint || failed=1
    return "$failed"
}

attempt() {
    local name=$1 started=$SECONDS
    shift
    if "$@"; then
        say "  $name: ok ($((SECONDS - started)) s)"
    else
        say "  $name: FAILED"
        return 1
    fi
}

step_unit() {
    local failed=0
    # The page of an audit is looked at in a browser.
    ensure_command chromium chromium
    attempt "unit tests, $(python --version)" python -m pytest "$@" || failed=1
    attempt "unit tests, oldest Python of a managed host" unit_on_oldest_python "$@" || failed=1
    return "$failed"
}

# Where it is installed; it needs nothing from it but the interpreter. Action plugins and playbooks run on the controller only.
unit_on_oldest_python() {
    local python site
    python=$(find_oldest_python) || {
        say "  SKIPPED: there is no Python $OLDEST_PYTHON here"
        return 0
    }
    site=$LAB_CACHE/python$OLDEST_PYTHON-$(hash_of <"$OLDEST_REQUIREMENTS")
    fill_once "$site" install_for_oldest_python && PYTHONPATH=$site "$python" -m pytest -q --ignore=tests/unit/plugins/action --ignore=tests/unit/playbooks "$@"
}

# The oldest ansible-core that meta/runtime.yml allows, and those between it and the one of every day.
OLDER_CORES=(2.17 2.18)

step_compat() {
    local core failed=0
    for core in "${OLDER_CORES[@]}"; do
        fill_once "$(core_environment "$core")" create_core_environment "$core"
        attempt "ansible-core $core: playbook" syntax_with_core "$core" || failed=1
        attempt "ansible-core $core: documentation" documentation_with_core "$core" || failed=1
        attempt "ansible-core $core: unit tests" "$(core_environment "$core")/bin/python" -m pytest -q "$@" || failed=1
    done
    return "$failed"
}

syntax_with_core() {
    ANSIBLE_COLLECTIONS_PATH=$(collection_tree) "$(core_environment "$1")/bin/ansible-playbook" --syntax-check \
        --inventory extensions/molecule/default/inventory/hosts.yml fleetpost.mail.site fleetpost.mail.audit >/dev/null
}

documentation_with_core() {
    ANSIBLE_COLLECTIONS_PATH=$(collection_tree) "$(core_environment "$1")/bin/ansible-doc" --json \
        fleetpost.mail.mail_domain fleetpost.mail.mail_domains fleetpost.mail.mail_domain_info fleetpost.mail.mailbox \
        fleetpost.mail.mail_domain_dkim fleetpost.mail.mail_domain_dns >/dev/null
}

# --- the built collection

# ansible-test downloads an installer for pip into the home directory, which is neither needed nor
# always possible: this one uses the pip that Python brings. A home of its own keeps it out of yours.
ansible_test_home() {
    local home=$WORK/home version
    mkdir -p -- "$home/.ansible/test/cache" "$home/.config/pip"
    for version in 24_2 25_2; do
        cat >"$home/.ansible/test/cache/get_pip_$version.py" <<'PYTHON'
import runpy
import sys

sys.argv = ["ensurepip", "--upgrade", "--default-pip"]
runpy.run_module("ensurepip", run_name="__main__")
PYTHON
    done
    if [[ -e $HOME/.config/pip/pip.conf ]]; then
        cp -- "$HOME/.config/pip/pip.conf" "$home/.config/pip/pip.conf"
    fi
    HOME=$home python -m pip config --quiet --user set global.quiet 2 >/dev/null 2>&1
    printf '%s\n' "$home"
}

# The virtual environments that ansible-test makes inside the collection take a minute: keep them.
install_for_sanity() {
    local output kept=$WORK/sanity-output
    output=$(installed sanity)/tests/output
    if [[ -d $output ]]; then
        rm -rf -- "$kept"
        mv -- "$output" "$kept"
    fi
    install_collection sanity
    if [[ -d $kept ]]; then
        mv -- "$kept" "$output"
    fi
}

step_sanity() {
    local home version
    install_for_sanity
    home=$(ansible_test_home)
    version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    cd -- "$(installed sanity)" || return
    HOME=$home ansible-test sanity --venv --python "$version" --color no "$@"
}

step_docs() {
    local failed=0
    install_collection docs
    export ANSIBLE_COLLECTIONS_PATH=$WORK/docs
    attempt "changelog" antsibull-changelog lint || failed=1
    attempt "plugin and role documentation" \
        antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self "$(installed docs)" || failed=1
    rm -rf -- "$WORK/html"
    mkdir -p -- "$WORK/html"
    attempt "documentation build" \
        antsibull-docs collection --use-current --fail-on-error --squash-hierarchy --dest-dir "$WORK/html" fleetpost.mail || failed=1
    return "$failed"
}

# --- real hosts

step_images() { tests/lab/images; }

step_molecule() {
    local words=("$@")
    [[ ${#words[@]} -gt 0 ]] || words=(test)
    need_root
    tests/lab/images
    install_collection molecule
    export ANSIBLE_COLLECTIONS_PATH=$WORK/molecule
    export MOLECULE_EPHEMERAL_DIRECTORY=$WORK/molecule-state
    # ansible keeps back what a command says until it ends; verify writes here in the meantime.
    export FLEETPOST_VERIFY_LOG=/proc/$$/fd/2
    # An installed collection has no galaxy.yml, so molecule does not see that it is one.
    cd -- "$(installed molecule)/extensions" || return
    molecule --base-config molecule/config.yml "${words[@]}"
}

step_bench() {
    local program=run.py
    case ${1:-} in
    dns | dkim | certificates | filters | views | audit)
        program=$1_benchmark.py
        shift
        ;;
    names)
        need_root
        tests/lab/images
        program=dovecot_names.py
        shift
        ;;
    esac
    install_collection bench
    ANSIBLE_COLLECTIONS_PATH=$WORK/bench PYTHONPATH=$WORK/bench python "tests/benchmarks/$program" "$@"
}

step_demo() {
    need_root
    [[ -x tests/lab/demo ]] || die "there is no demo yet: tests/lab/demo"
    install_collection demo
    tests/lab/images
    export ANSIBLE_COLLECTIONS_PATH=$WORK/demo ANSIBLE_PIPELINING=1 ANSIBLE_DISPLAY_SKIPPED_HOSTS=0
    tests/lab/demo "$@"
}

step_clean() {
    local names=() what=${1:-}
    need_root
    if command -v podman >/dev/null; then
        mapfile -t names < <(lab_containers '*')
        if [[ ${#names[@]} -gt 0 ]]; then
            say "Removing the hosts: ${names[*]}"
            podman rm --force --volumes --time 0 "${names[@]}" >/dev/null
        fi
        if podman network exists "$LAB_NETWORK"; then
            podman network rm "$LAB_NETWORK" >/dev/null
        fi
    fi
    [[ $what == all ]] || return 0
    say "Removing the images and $LAB_CACHE"
    if command -v podman >/dev/null; then
        podman images --quiet --filter "reference=$LAB_IMAGE_PREFIX/*" | sort -u | xargs -r podman rmi --force >/dev/null
    fi
    rm -rf -- "$LAB_CACHE"
}

# --- all of it

code_lane() {
    local step failed=0
    for step in lint unit sanity docs; do
        run_step "$step" || failed=1
    done
    return "$failed"
}

hosts_lane() { run_step images && run_step molecule; }

# Checks of the code run in front while the hosts, which mostly wait, run behind; what the hosts
# said is shown afterwards, and from then on as it comes.
step_test() {
    local started=$SECONDS failed=0 hosts log=$WORK/hosts.log
    need_root
    ensure_engine
    : >"$WORK/results"
    : >"$log"
    say "Hosts (images, molecule) start in the background; their log is $log"
    set -m
    hosts_lane >>"$log" 2>&1 </dev/null &
    hosts=$!
    set +m
    trap 'kill -- -"$hosts" 2>/dev/null; exit 130' INT TERM
    code_lane || failed=1
    tail --pid="$hosts" --lines=+1 --follow "$log"
    wait "$hosts" || failed=1
    trap - INT TERM
    print_totals "$started"
    return "$failed"
}
