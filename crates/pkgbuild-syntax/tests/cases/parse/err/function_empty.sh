package() {
}
pkgver=1
