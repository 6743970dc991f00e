umask 0022
unset CDPATH GREP_OPTIONS
shopt -s extglob
plain() { local mesg=$1; shift; printf "    ${mesg}\n" "$@"; }
plainerr() { plain "$@" >&2; }
msg() { local mesg=$1; shift; printf "==> ${mesg}\n" "$@"; }
msg2() { local mesg=$1; shift; printf "  -> ${mesg}\n" "$@"; }
ask() { local mesg=$1; shift; printf ":: ${mesg}" "$@"; }
warning() { local mesg=$1; shift; printf "==> WARNING: ${mesg}\n" "$@" >&2; }
error() { local mesg=$1; shift; printf "==> ERROR: ${mesg}\n" "$@" >&2; }
