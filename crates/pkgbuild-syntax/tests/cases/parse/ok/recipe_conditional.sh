if [[ $CARCH == x86_64 ]]; then _suffix=amd64; else _suffix=arm64; fi
case "$_channel" in
  stable|'') _url=$url/stable ;;
  *) _url=$url/$_channel ;;
esac
[[ -n $_debug ]] && options+=(!strip debug)
source_x86_64=("$_url/$pkgname_$_suffix.deb")
