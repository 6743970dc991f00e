# Maintainer: Someone <someone@example.org>
pkgname=hello
pkgver=2.12
pkgrel=1
pkgdesc="Prints a friendly greeting"
arch=('x86_64')
url="https://example.org/$pkgname"
license=('GPL-3.0-or-later')
depends=('glibc')
source=("$url/$pkgname-$pkgver.tar.gz"{,.sig})
sha256sums=('SKIP'
            'SKIP')

build() {
  cd "$srcdir/$pkgname-$pkgver"
  ./configure --prefix=/usr
  make
}

package() {
  cd "$pkgname-$pkgver"
  make DESTDIR="$pkgdir" install
}
