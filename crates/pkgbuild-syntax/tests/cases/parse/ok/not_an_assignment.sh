make PREFIX=/usr DESTDIR="$pkgdir"
1x=y
a-b=c
x[a]b
