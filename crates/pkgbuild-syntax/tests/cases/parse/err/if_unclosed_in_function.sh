f() {
  if a; then
    b
}
pkgver=1
