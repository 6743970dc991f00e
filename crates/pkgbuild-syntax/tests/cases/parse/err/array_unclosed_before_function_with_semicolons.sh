depends=(a
build() { x; y; }
url=b
