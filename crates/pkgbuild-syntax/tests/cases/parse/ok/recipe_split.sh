pkgbase=kit
pkgname=("$pkgbase" "$pkgbase"-{doc,dev})
_common() { depends+=("$1"); }
for _p in "${pkgname[@]}"; do
  eval "package_$_p() {
    $(declare -f "_package${_p#$pkgbase}")
    _package${_p#$pkgbase}
  }"
done
