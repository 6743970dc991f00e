build() {
  make
}
}
pkgver=1
