trap 'rm -f "$x"' EXIT
shopt -s extglob
set -u
