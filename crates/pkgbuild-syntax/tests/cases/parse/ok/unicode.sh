# Zażółć
pkgdesc="naïve café → 日本"
é=1
