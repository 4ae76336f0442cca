# What the live tests share (sourced from the repository's root): where the program, the plugins and what was installed are.
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export PROTAP=$target/release/protap PLUGINS=$PWD/target/plugins CACHE=$PWD/target/live VENV=$PWD/target/live/venv
export PIP_RETRIES=1 PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$CACHE"
