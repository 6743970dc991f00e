while a
  b
done
c
