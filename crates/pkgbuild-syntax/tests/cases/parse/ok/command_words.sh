install -Dm755 "$srcdir/$pkgname" -t "$pkgdir"/usr/bin/
