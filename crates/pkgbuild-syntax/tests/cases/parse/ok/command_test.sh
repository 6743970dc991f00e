[ "$x" = y ] && [ -f z ] || test ! -e w
