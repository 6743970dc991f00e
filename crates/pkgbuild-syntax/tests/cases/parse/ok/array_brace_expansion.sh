source=(https://example.org/$pkgname-$pkgver.tar.gz{,.sig} a{1..3}b {x,"y z",$w})
