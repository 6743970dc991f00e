depends=(a; b)
