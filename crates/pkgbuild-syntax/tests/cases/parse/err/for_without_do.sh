for x in a b
  c
done
