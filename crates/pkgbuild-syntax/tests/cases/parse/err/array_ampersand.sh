source=(https://example.org/a?b=c&d=e)
pkgver=1
