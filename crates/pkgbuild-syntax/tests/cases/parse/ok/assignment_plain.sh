pkgname=foo
pkgver=1.2.3
pkgrel=1
