depends=(glibc>=2.30 b)
pkgver=1
