if a
  b
fi
c
