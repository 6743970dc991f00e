source=("$pkgname-$pkgver.tar.gz::https://example.org/v$pkgver.tar.gz"
        'fix.patch'
        local.service)
