pkgname=a
depends=('b'
         'c'
