# Sourced by the other scripts: makes or refreshes an environment, $2 or .venv, with the extras named in $1.
# An install is skipped where one with these extras, this pyproject.toml and these constraints was made.

prepare_environment() {
    local extras=$1 venv=${2:-.venv} python stamp
    for python in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
        python=
    done
    if [ -z "$python" ]; then
        echo "No Python 3.11 or later was found; install one, or name it: PYTHON=/path/to/python3.11 $0" >&2
        return 1
    fi
    stamp=$venv/.installed-$(cat pyproject.toml scripts/constraints.txt | cksum | tr ' ' '-')-$extras
    if [ -e "$stamp" ]; then return; fi
    echo "Making the environment $venv with [$extras] (a minute or two, once) ..."
    # An environment whose making was interrupted may lack pip; it is made anew.
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint scripts/constraints.txt --editable ".[$extras]"
    touch "$stamp"
}
