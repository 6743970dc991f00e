pkgname=a
pkgdesc="never closed
build() {
  make
}
