pkgname=a
depends=('b'
         'c'

build() {
  make
}

package() {
  make install
}
