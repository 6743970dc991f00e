pkgname=a
pkgdesc="the quote is missing
url="https://example.org"
license=('MIT')
